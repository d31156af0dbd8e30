import { encodeTrustBundle } from '../../shared/certificates/trust-bundle.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { toIdentityUri } from '../../shared/domain/peer-identity.ts';
import type { SiteDefinition } from '../../shared/domain/site.ts';
import type { Conversation } from '../../shared/rpc/conversation.ts';
import type { Route as RouteMessage } from '../../shared/rpc/generated/waybill/v1/Route.ts';
import type { SendRequest as SendRequestMessage } from '../../shared/rpc/generated/waybill/v1/SendRequest.ts';
import type { SiteRecord } from '../../shared/rpc/generated/waybill/v1/SiteRecord.ts';
import type { TrustBundles } from '../certificate-authority/trust-bundles.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type {
  AdminReplication,
  AdminSendRequests,
  AdminSiteIdentity,
  NeighbourState,
  SeenSendRequest,
  SendRequestQuery,
} from './hierarchy-ports.ts';
import { requireSiteCode } from './package-requests.ts';
import type { SiteCommands } from './site-commands.ts';
import {
  toNewSite,
  toRouteMessage,
  toRoutePatch,
  toSendRequestMessage,
  toSendRequestQuery,
  toSitePatch,
  toSiteRecord,
} from './site-messages.ts';

/** What answering about sites needs. */
export interface SiteAnswersComponents {
  readonly sites: Pick<SiteDirectory, 'own' | 'tree' | 'identityOf'>;
  readonly siteCommands: SiteCommands;
  readonly hierarchy: Pick<HierarchyManager, 'listAll'>;
  readonly agentVersion: string;
  /** None: this site is alone. */
  readonly replication?: AdminReplication;
  /** None: this site signs nothing. */
  readonly siteIdentity?: AdminSiteIdentity;
  /** None: this site sends nothing. */
  readonly sendRequests?: AdminSendRequests;
  /** Absent where certificates are for development. */
  readonly trustBundles?: Pick<TrustBundles, 'current'>;
}

/** Answers what administrators ask and say about sites, the ways between them, and what is sent. */
export class SiteAnswers {
  readonly #components: SiteAnswersComponents;

  constructor(components: SiteAnswersComponents) {
    this.#components = components;
  }

  methods() {
    const { siteCommands, siteIdentity, sites } = this.#components;
    return {
      addSite: async (settings) => this.#record(await siteCommands.add(toNewSite(settings))),
      setSite: async (settings) => this.#record(await siteCommands.set(toSitePatch(settings))),
      deleteSite: async (request, { caller }) => {
        const siteCode = requireSiteCode('site_code', request.siteCode);
        const site = sites.tree.get(siteCode);
        const record = site && (await this.#record(site));
        const deletedBy = toIdentityUri(caller.identity);
        const deleted = await siteCommands.delete(siteCode, { ...request, deletedBy });
        return record ?? (await this.#record(deleted));
      },
      listSites: () => this.#list(),
      rotateSigningKey: async () => {
        if (!siteIdentity) throw noSigningKeys(sites.own.siteCode);
        await siteIdentity.rotate();
        return this.#record(this.#own());
      },
      getTrustBundle: async () => {
        const bundle = this.#components.trustBundles?.current();
        return { trustBundle: bundle ? encodeTrustBundle(bundle) : Buffer.alloc(0) };
      },
      setRoute: async (route) => toRouteMessage(await siteCommands.setRoute(toRoutePatch(route))),
      listRoutes: () => this.#routes(),
      listSendRequests: (filter) => this.#listSendRequests(toSendRequestQuery(filter)),
      watchSendRequests: (filter, { signal }) =>
        this.#watchSendRequests(toSendRequestQuery(filter), signal),
    } satisfies Partial<Conversation<'Admin'>>;
  }

  async *#list(): AsyncGenerator<SiteRecord> {
    const facts = await this.#facts();
    for (const site of this.#components.sites.tree.list()) yield this.#toRecord(site, facts);
  }

  async #record(site: SiteDefinition): Promise<SiteRecord> {
    return this.#toRecord(site, await this.#facts());
  }

  async #facts(): Promise<SiteFacts> {
    const counts = await this.#distributionPointCounts();
    return { counts, neighbours: (await this.#components.replication?.neighbours()) ?? [] };
  }

  #toRecord(site: SiteDefinition, { counts, neighbours }: SiteFacts): SiteRecord {
    const { sites, agentVersion } = this.#components;
    const { siteCode } = site;
    return toSiteRecord(site, {
      identity: sites.identityOf(siteCode),
      neighbour: neighbours.find((one) => one.siteCode === siteCode),
      distributionPointCount: counts.get(siteCode) ?? 0,
      ...(siteCode === sites.own.siteCode && { agentVersion }),
    });
  }

  #own(): SiteDefinition {
    const { own, tree } = this.#components.sites;
    const site = tree.get(own.siteCode);
    if (!site) throw new WaybillError({ code: 'SITE_UNKNOWN', siteCode: own.siteCode });
    return site;
  }

  async #distributionPointCounts(): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    for await (const { siteCode } of this.#components.hierarchy.listAll()) {
      counts.set(siteCode, (counts.get(siteCode) ?? 0) + 1);
    }
    return counts;
  }

  async *#routes(): AsyncGenerator<RouteMessage> {
    for await (const route of this.#components.siteCommands.routes()) yield toRouteMessage(route);
  }

  async *#listSendRequests(query: SendRequestQuery): AsyncGenerator<SendRequestMessage> {
    yield* toMessages(this.#components.sendRequests?.list(query));
  }

  async *#watchSendRequests(
    query: SendRequestQuery,
    signal: AbortSignal,
  ): AsyncGenerator<SendRequestMessage> {
    yield* toMessages(this.#components.sendRequests?.watch(query, signal));
  }
}

/** What the records of all sites are made from, besides their rows. */
interface SiteFacts {
  /** DPs by site. */
  readonly counts: ReadonlyMap<string, number>;
  readonly neighbours: readonly NeighbourState[];
}

async function* toMessages(
  requests: AsyncIterable<SeenSendRequest> | undefined,
): AsyncGenerator<SendRequestMessage> {
  if (!requests) return;
  for await (const request of requests) yield toSendRequestMessage(request);
}

function noSigningKeys(siteCode: string): WaybillError {
  const expected = 'a site with signing keys';
  return new WaybillError({ code: 'REQUEST_INVALID', field: 'site', expected, actual: siteCode });
}
