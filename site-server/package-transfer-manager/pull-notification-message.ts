import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import type { PackageVersion, Priority } from '../../shared/domain/package.ts';
import { toIdentityUri } from '../../shared/domain/peer-identity.ts';
import type { PullSettings, PullSource } from '../../shared/domain/pull-source.ts';
import type { NotifyPullRequest } from '../../shared/rpc/generated/waybill/v1/NotifyPullRequest.ts';
import type { PullContent } from '../../shared/rpc/generated/waybill/v1/PullContent.ts';
import type { PullSource as PullSourceMessage } from '../../shared/rpc/generated/waybill/v1/PullSource.ts';

/** What a notification says. */
export interface NotificationFacts {
  readonly job: DistributionJob;
  readonly version: PackageVersion;
  readonly contents: PullContent[];
  readonly sources: readonly PullSource[];
  /** host:port of the management point. */
  readonly managementPoint: string;
  readonly settings: Pick<PullSettings, 'allowFallback' | 'packagesMax'>;
}

const priorityNames = {
  1: 'PRIORITY_HIGH',
  2: 'PRIORITY_NORMAL',
  3: 'PRIORITY_LOW',
} as const satisfies Record<Priority, string>;

/** The fourth phase of a pull notification, with all that PULL-2 lists. @param bundleHash hexadecimal */
export function toNotification(facts: NotificationFacts, bundleHash: string): NotifyPullRequest {
  const { job, version, settings, managementPoint } = facts;
  const { packageId, jobSerial } = job;
  return {
    action: { packageId, jobSerial },
    sourceVersion: version.sourceVersion,
    pullAction: job.action === 'redistribute' ? 'PULL_ACTION_REDISTRIBUTE' : 'PULL_ACTION_ADD',
    allowFallback: settings.allowFallback,
    priority: priorityNames[job.priority],
    packageType: version.contents.length > 1 ? 'PACKAGE_TYPE_APPLICATION' : 'PACKAGE_TYPE_STANDARD',
    packageFlags: 0,
    sizeBytes: version.contents.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    hashAlgorithm: 'HASH_ALGORITHM_BLAKE3_256',
    bundleHash: Buffer.from(bundleHash, 'hex'),
    contents: facts.contents,
    sources: facts.sources.map(toSourceMessage),
    managementPoint,
    settings: { packagesMax: settings.packagesMax },
    ignoresWindow: job.ignoresWindow === true,
  };
}

/** A source as it travels. */
export function toSourceMessage({ identity, address, rank }: PullSource): PullSourceMessage {
  return { identity: toIdentityUri(identity), address, rank, protocol: 'SOURCE_PROTOCOL_GRPC' };
}
