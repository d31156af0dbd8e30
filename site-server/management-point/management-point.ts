import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { parsePackageId } from '../../shared/domain/package.ts';
import { type PeerIdentity, toIdentityUri } from '../../shared/domain/peer-identity.ts';
import type { PullSource } from '../../shared/domain/pull-source.ts';
import type { StateMessage } from '../../shared/domain/state-message.ts';
import { encodeBundle } from '../../shared/package-info/package-info-bundle.ts';
import { invalidMessage } from '../../shared/package-info/package-version.ts';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import type { ContentLocation } from '../../shared/rpc/generated/waybill/v1/ContentLocation.ts';
import type { LocateContentRequest__Output } from '../../shared/rpc/generated/waybill/v1/LocateContentRequest.ts';
import type { PullSource as PullSourceMessage } from '../../shared/rpc/generated/waybill/v1/PullSource.ts';
import type { StateMessage__Output } from '../../shared/rpc/generated/waybill/v1/StateMessage.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { JobTable } from '../package-transfer-manager/job-table.ts';
import type { StateSystem } from '../state-system/state-system.ts';
import type { ContentLocator, RankedSource } from './content-locator.ts';
import {
  type ClientNetwork,
  clientNetworkCountMax,
  parseClientNetwork,
} from './source-nearness.ts';
import { requireStateMessage } from './state-message-check.ts';

/** What the management point needs. */
export interface ManagementPointComponents {
  readonly store: Pick<StateStore, 'records'>;
  readonly hierarchy: Pick<HierarchyManager, 'kindOf'>;
  readonly jobs: Pick<JobTable, 'get'>;
  readonly stateSystem: Pick<StateSystem, 'apply'>;
  readonly locator: Pick<ContentLocator, 'locate'>;
}

const nearnessNames = {
  'same-machine': 'SOURCE_NEARNESS_SAME_MACHINE',
  'same-network': 'SOURCE_NEARNESS_SAME_NETWORK',
  'same-site': 'SOURCE_NEARNESS_SAME_SITE',
  fallback: 'SOURCE_NEARNESS_FALLBACK',
} as const satisfies Record<RankedSource['nearness'], string>;

/**
 * The management point of a site (ROLE-3): answers proto/waybill/v1/management_point.proto. It takes
 * a state message only of who speaks for itself, of a job it was given; and says where content is.
 * Stores nothing itself.
 */
export class ManagementPoint {
  readonly #components: ManagementPointComponents;

  constructor(components: ManagementPointComponents) {
    this.#components = components;
  }

  /** The functions that answer the conversation. */
  conversation(): Conversation<'ManagementPoint'> {
    return {
      reportState: (message, context) => this.#reportState(message, context),
      locateContent: (request, context) => this.#locateContent(request, context),
    };
  }

  async #reportState(message: StateMessage__Output, { caller }: CallContext) {
    this.#requireSelf(message.dpId, caller.identity);
    const checked = requireStateMessage(message);
    const job = await this.#requireJob(checked);
    // Of a job that has ended nothing more is news.
    if (job.endedAtMs === 0) await this.#components.stateSystem.apply(checked);
    return {};
  }

  /** @throws PEER_NOT_ALLOWED when a DP speaks for another one, or is not of this site */
  #requireSelf(dpId: string, identity: PeerIdentity): void {
    const isSelf = identity.kind === 'dp' && identity.dpId === dpId;
    if (isSelf && this.#components.hierarchy.kindOf(dpId) !== undefined) return;
    throw new WaybillError({
      code: 'PEER_NOT_ALLOWED',
      caller: toIdentityUri(identity),
      method: '/waybill.v1.ManagementPoint/ReportState',
      expected: 'distribution points of this site, each for itself',
    });
  }

  /** The job, open or ended. @throws JOB_UNKNOWN when the DP was never given it */
  async #requireJob(message: StateMessage): Promise<DistributionJob> {
    const { dpId, packageId, jobSerial, sourceVersion } = message;
    const { jobs, store } = this.#components;
    const history = store.records(keySpaces.jobHistory);
    const job = jobs.get(jobSerial) ?? (await history.get(joinKey(jobSerial)));
    const isTheirs = job?.dpId === dpId && job.packageId === packageId;
    const isMeant = isTheirs && job.sourceVersion === sourceVersion;
    if (isMeant && job.action !== 'remove' && job.startedAtMs > 0) return job;
    throw new WaybillError({ code: 'JOB_UNKNOWN', dpId, packageId, jobSerial });
  }

  async #locateContent(
    request: LocateContentRequest__Output,
    { caller }: CallContext,
  ): Promise<ContentLocation> {
    const packageId = parsePackageId(request.packageId);
    if (packageId === undefined) {
      throw invalidMessage('package_id', 'a package ID such as PS100001', request.packageId);
    }
    const networks = requireNetworks(request.clientNetworks);
    const client = { networks, callerAddress: caller.address };
    const { version, sources } = await this.#components.locator.locate(packageId, client);
    return {
      bundle: encodeBundle(version).bytes,
      sources: sources.map(({ source, nearness }) => ({
        source: toMessage(source),
        nearness: nearnessNames[nearness],
      })),
    };
  }
}

function requireNetworks(texts: readonly string[]): ClientNetwork[] {
  if (texts.length > clientNetworkCountMax) {
    const expected = `at most ${clientNetworkCountMax} networks`;
    throw invalidMessage('client_networks', expected, `${texts.length}`);
  }
  return texts.map((text) => {
    const network = parseClientNetwork(text);
    if (network) return network;
    throw invalidMessage('client_networks', 'an address with its prefix, as 192.0.2.7/24', text);
  });
}

function toMessage({ identity, address, rank }: PullSource): PullSourceMessage {
  return { identity: toIdentityUri(identity), address, rank, protocol: 'SOURCE_PROTOCOL_GRPC' };
}
