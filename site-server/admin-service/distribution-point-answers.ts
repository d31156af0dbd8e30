import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { toIdentityUri } from '../../shared/domain/peer-identity.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import type { DistributionPointRecord } from '../../shared/rpc/generated/waybill/v1/DistributionPointRecord.ts';
import type { HierarchyPackageRows } from '../distribution-manager/hierarchy-package-rows.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { DistributionPointConnections } from '../distribution-point-connections/distribution-point-connections.ts';
import type { DistributionPointChecker } from '../hierarchy-manager/distribution-point-checker.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { AdminScopes } from './admin-scopes.ts';
import type { DistributionPointCommands } from './distribution-point-commands.ts';
import {
  toDistributionPointPatch,
  toDistributionPointRecord,
  toForeignPointRecord,
  toNewDistributionPoint,
} from './distribution-point-messages.ts';
import { requireDistributionPointId, requireSiteCode } from './package-requests.ts';

/** What answering about DPs needs. */
export interface DistributionPointAnswersComponents {
  readonly hierarchy: HierarchyManager;
  readonly hierarchyPackages: HierarchyPackageRows;
  readonly distributionPointCommands: DistributionPointCommands;
  readonly packages: Pick<PackageStore, 'statuses'>;
  readonly sites: Pick<SiteDirectory, 'own' | 'tree' | 'identityOf'>;
  readonly checker: Pick<DistributionPointChecker, 'check'>;
  readonly connections: Pick<DistributionPointConnections, 'forget'>;
  readonly scopes: Pick<AdminScopes, 'checkOf'>;
}

/** How many packages each DP serves, and is to have. */
interface PackageCountsByDp {
  readonly installed: ReadonlyMap<string, number>;
  readonly wanted: ReadonlyMap<string, number>;
}

/** Answers what administrators ask and say about DPs, of this site and of others. */
export class DistributionPointAnswers {
  readonly #components: DistributionPointAnswersComponents;

  constructor(components: DistributionPointAnswersComponents) {
    this.#components = components;
  }

  methods() {
    const { distributionPointCommands, connections, scopes, sites } = this.#components;
    return {
      addDistributionPoint: async (settings, context) => {
        const siteCode = siteOf(settings.siteCode);
        await scopes.checkOf(context)({ siteCodes: [siteCode ?? sites.own.siteCode] });
        const point = toNewDistributionPoint(settings);
        return this.#record(await distributionPointCommands.add(point, siteCode));
      },
      setDistributionPoint: async (settings, context) => {
        const siteCode = siteOf(settings.siteCode);
        const patch = toDistributionPointPatch(settings);
        await scopes.checkOf(context)({ dpIds: [patch.dpId] });
        return this.#record(await distributionPointCommands.set(patch, siteCode));
      },
      deleteDistributionPoint: async (request, context) => {
        const dpId = requireDistributionPointId('dp_id', request.dpId);
        await scopes.checkOf(context)({ dpIds: [dpId] });
        const record = await this.#record(await this.#requireAnywhere(dpId));
        await distributionPointCommands.delete(dpId, toIdentityUri(context.caller.identity));
        connections.forget(dpId);
        return record;
      },
      checkDistributionPoint: (request, context) => this.#check(request.dpId, context),
      listDistributionPoints: (request) => this.#list(siteOf(request.siteCode)),
    } satisfies Partial<Conversation<'Admin'>>;
  }

  /**
   * A DP of this site, for what only its own site can say.
   *
   * @throws DISTRIBUTION_POINT_UNKNOWN, REQUEST_INVALID naming the site to ask
   */
  async requireOwn(dpId: string): Promise<DistributionPoint> {
    return requireOwnPoint(this.#components, dpId);
  }

  async #check(text: string, { signal }: CallContext): Promise<DistributionPointRecord> {
    const { checker } = this.#components;
    const point = await this.requireOwn(requireDistributionPointId('dp_id', text));
    await checker.check(point, signal);
    return this.#record(point);
  }

  #requireAnywhere(dpId: string): Promise<DistributionPoint> {
    return this.#components.hierarchy.requireAnywhere(dpId);
  }

  async #record(point: DistributionPoint): Promise<DistributionPointRecord> {
    return this.#toRecord(point, await this.#facts());
  }

  async *#list(siteCode: string | undefined): AsyncGenerator<DistributionPointRecord> {
    const facts = await this.#facts();
    const points: DistributionPoint[] = [];
    for await (const point of this.#components.hierarchy.listAll()) {
      if ((siteCode ?? point.siteCode) === point.siteCode) points.push(point);
    }
    points.sort((a, b) => (a.dpId < b.dpId ? -1 : 1));
    for (const point of points) yield await this.#toRecord(point, facts);
  }

  async #toRecord(
    point: DistributionPoint,
    { packageCounts, groups }: PointFacts,
  ): Promise<DistributionPointRecord> {
    const { hierarchy, hierarchyPackages, sites } = this.#components;
    const { dpId, siteCode } = point;
    const groupNames = [...(groups.get(dpId) ?? [])];
    const { siteCode: own } = hierarchyPackages;
    // Status of a DP comes to its own site and to those above: elsewhere only what is wanted is known.
    const isSeen = siteCode === own || sites.tree.isUnder(siteCode, own);
    const { installed, wanted } = packageCounts;
    const count = (isSeen ? installed : wanted).get(dpId) ?? 0;
    if (siteCode !== own) return { ...toForeignPointRecord(point, count), groupNames };
    const health = await hierarchy.healthOf(dpId);
    return { ...toDistributionPointRecord(point, health, count), groupNames };
  }

  async #facts(): Promise<PointFacts> {
    const groups = await this.#components.hierarchyPackages.groups.groupsByDp();
    return { packageCounts: await this.#packageCounts(), groups };
  }

  /** In one walk over each table. */
  async #packageCounts(): Promise<PackageCountsByDp> {
    const { packages, hierarchyPackages } = this.#components;
    const [installed, wanted] = [new Map<string, number>(), new Map<string, number>()];
    const count = (counts: Map<string, number>, dpId: string) =>
      counts.set(dpId, (counts.get(dpId) ?? 0) + 1);
    for (const statuses of [packages.statuses, hierarchyPackages.statuses]) {
      for await (const [, { dpId, installedVersion }] of statuses.list()) {
        if (installedVersion > 0) count(installed, dpId);
      }
    }
    for await (const [, { dpId, intent }] of hierarchyPackages.assignments.list()) {
      if (intent === 'installed') count(wanted, dpId);
    }
    return { installed, wanted };
  }
}

/** What the records of all DPs are made from, besides their rows. */
interface PointFacts {
  readonly packageCounts: PackageCountsByDp;
  /** By DP, the groups it is in. */
  readonly groups: ReadonlyMap<string, readonly string[]>;
}

/** A DP of this site. @throws DISTRIBUTION_POINT_UNKNOWN, REQUEST_INVALID naming the site to ask */
export async function requireOwnPoint(
  {
    hierarchy,
    hierarchyPackages,
  }: {
    readonly hierarchy: Pick<HierarchyManager, 'get' | 'requireAnywhere'>;
    readonly hierarchyPackages: Pick<HierarchyPackageRows, 'siteCode'>;
  },
  dpId: string,
): Promise<DistributionPoint> {
  const point = await hierarchy.requireAnywhere(dpId);
  if (await hierarchy.get(dpId)) return point;
  const { siteCode } = hierarchyPackages;
  const expected = `a distribution point of site ${siteCode}`;
  const remedy = `Ask the other site with --site ${point.siteCode}`;
  throw requestInvalid('dp_id', { expected, actual: `${dpId} of site ${point.siteCode}`, remedy });
}

/** @throws REQUEST_INVALID */
function siteOf(text: string): string | undefined {
  return text === '' ? undefined : requireSiteCode('site_code', text);
}
