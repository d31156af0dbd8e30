import { parseContentId } from '../../shared/domain/content.ts';
import { addressForm, parseAddress } from '../../shared/domain/distribution-point.ts';
import type { Priority } from '../../shared/domain/package.ts';
import { fromIdentityUri } from '../../shared/domain/peer-identity.ts';
import type { PullAction } from '../../shared/domain/pull-job.ts';
import {
  fallbackRanks,
  type PullSource,
  pullPackagesMaxDefault,
  pullSourceCountMax,
  type SourceIdentity,
} from '../../shared/domain/pull-source.ts';
import {
  invalidMessage,
  requireAction,
  requireHash,
} from '../../shared/package-info/package-version.ts';
import type { PackageAction } from '../../shared/package-receiver/package-actions.ts';
import type { NotifyPullRequest__Output } from '../../shared/rpc/generated/waybill/v1/NotifyPullRequest.ts';
import type { PullContent__Output } from '../../shared/rpc/generated/waybill/v1/PullContent.ts';
import type { PullSource__Output } from '../../shared/rpc/generated/waybill/v1/PullSource.ts';

/** What a site says when there is a package to fetch (PULL-2), each field checked by itself. */
export interface PullNotification extends PackageAction {
  readonly sourceVersion: number;
  readonly action: PullAction;
  readonly allowFallback: boolean;
  readonly priority: Priority;
  readonly sizeBytes: number;
  /** Of the package info bundle, lower-case hexadecimal. */
  readonly bundleHash: string;
  readonly contents: readonly { readonly contentId: string; readonly relatedContentId: string }[];
  /** Lowest rank first; each peer once. */
  readonly sources: readonly PullSource[];
  /** host:port. */
  readonly managementPoint: string;
  /** Packages to fetch at once. */
  readonly packagesMax: number;
  /** Whether it is let run now, whatever the hour is (ADM-2). */
  readonly ignoresWindow: boolean;
}

/** Who this DP is, and whose. */
export interface PullDpSelf {
  readonly dpId: string;
  readonly siteCode: string;
}

/** Most packages a pull DP may be told to fetch at once. */
const packagesMaxMax = 50;

const pullActions: ReadonlyMap<unknown, PullAction> = new Map([
  ['PULL_ACTION_ADD', 'add'],
  ['PULL_ACTION_REDISTRIBUTE', 'redistribute'],
]);
const priorities: ReadonlyMap<unknown, Priority> = new Map([
  ['PRIORITY_HIGH', 1],
  ['PRIORITY_NORMAL', 2],
  ['PRIORITY_LOW', 3],
]);
const packageTypes: ReadonlyMap<unknown, string> = new Map([
  ['PACKAGE_TYPE_STANDARD', 'standard'],
  ['PACKAGE_TYPE_APPLICATION', 'application'],
]);
const hashAlgorithms: ReadonlyMap<unknown, string> = new Map([
  ['HASH_ALGORITHM_BLAKE3_256', 'blake3-256'],
]);
const protocols: ReadonlyMap<unknown, string> = new Map([['SOURCE_PROTOCOL_GRPC', 'grpc']]);

/** @throws MESSAGE_INVALID, naming the first field that is not as it must be */
export function requirePullNotification(
  request: NotifyPullRequest__Output,
  self: PullDpSelf,
): PullNotification {
  requireOneOf('package_type', request.packageType, packageTypes);
  requireOneOf('hash_algorithm', request.hashAlgorithm, hashAlgorithms);
  if (request.packageFlags !== 0) {
    throw invalidMessage('package_flags', '0', `${request.packageFlags}`);
  }
  return {
    ...requireAction(request.action),
    sourceVersion: request.sourceVersion,
    action: requireOneOf('pull_action', request.pullAction, pullActions),
    allowFallback: request.allowFallback,
    priority: requireOneOf('priority', request.priority, priorities),
    sizeBytes: Number(request.sizeBytes),
    bundleHash: requireHash('bundle_hash', request.bundleHash),
    contents: request.contents.map(requirePullContent),
    sources: requireSources(request.sources, self),
    managementPoint: requireAddress('management_point', request.managementPoint),
    packagesMax: requirePackagesMax(request.settings?.packagesMax ?? 0),
    ignoresWindow: request.ignoresWindow,
  };
}

function requireOneOf<T>(field: string, value: unknown, known: ReadonlyMap<unknown, T>): T {
  const found = known.get(value);
  if (found !== undefined) return found;
  throw invalidMessage(field, `one of ${[...known.keys()].join(', ')}`, String(value));
}

function requirePullContent(content: PullContent__Output, index: number) {
  const { relatedContentId } = content;
  const contentId = parseContentId(content.contentId);
  if (contentId === undefined) {
    const field = `contents[${index}].content_id`;
    throw invalidMessage(field, 'the name of a content', content.contentId);
  }
  if (relatedContentId !== '' && parseContentId(relatedContentId) === undefined) {
    const field = `contents[${index}].related_content_id`;
    throw invalidMessage(field, 'the name of a content, or nothing', relatedContentId);
  }
  return { contentId, relatedContentId };
}

function requireSources(sources: readonly PullSource__Output[], self: PullDpSelf): PullSource[] {
  if (sources.length < 1 || sources.length > pullSourceCountMax) {
    throw invalidMessage('sources', `1 to ${pullSourceCountMax} sources`, `${sources.length}`);
  }
  const identities = new Set(sources.map(({ identity }) => identity));
  if (identities.size !== sources.length) {
    throw invalidMessage('sources', 'different peers', 'one twice');
  }
  const checked = sources.map((source, index) => requireSource(`sources[${index}]`, source, self));
  return checked.sort((a, b) => a.rank - b.rank);
}

function requireSource(field: string, source: PullSource__Output, self: PullDpSelf): PullSource {
  const { rank } = source;
  requireOneOf(`${field}.protocol`, source.protocol, protocols);
  if (rank > fallbackRanks.site) {
    throw invalidMessage(`${field}.rank`, `0 to ${fallbackRanks.site}`, `${rank}`);
  }
  return {
    identity: requireIdentity(`${field}.identity`, source.identity, self),
    address: requireAddress(`${field}.address`, source.address),
    rank,
  };
}

function requireIdentity(field: string, uri: string, self: PullDpSelf): SourceIdentity {
  const identity = fromIdentityUri(uri);
  if (identity?.kind === 'dp' && identity.dpId !== self.dpId) return identity;
  if (identity?.kind === 'site' && identity.siteCode === self.siteCode) return identity;
  throw invalidMessage(field, `another distribution point, or site ${self.siteCode}`, uri);
}

function requireAddress(field: string, text: string): string {
  const address = parseAddress(text);
  if (address === undefined) throw invalidMessage(field, addressForm, text);
  return address;
}

/** Packages to fetch at once, as the site says. @throws MESSAGE_INVALID */
export function requirePackagesMax(packagesMax: number): number {
  if (packagesMax <= packagesMaxMax) return packagesMax || pullPackagesMaxDefault;
  throw invalidMessage('settings.packages_max', `0 to ${packagesMaxMax}`, `${packagesMax}`);
}
