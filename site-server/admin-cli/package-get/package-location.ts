import { addressForm, parseAddress } from '../../../shared/domain/distribution-point.ts';
import { WaybillError } from '../../../shared/domain/errors.ts';
import type { PackageVersion } from '../../../shared/domain/package.ts';
import { fromIdentityUri } from '../../../shared/domain/peer-identity.ts';
import { type PullSource, pullSourceCountMax } from '../../../shared/domain/pull-source.ts';
import type { ResponseOf } from '../../../shared/rpc/conversation.ts';
import { toWord } from '../wire-values.ts';

/** Where a package is, with all that is needed to verify it. */
export interface PackageLocation {
  readonly version: PackageVersion;
  /** Best one first. */
  readonly sources: readonly LocatedSource[];
}

/** A source and why it has its rank. */
export interface LocatedSource extends PullSource {
  /** Such as `same-network`. */
  readonly nearness: string;
}

/** A package version out of its bundle. @throws MESSAGE_INVALID */
export type DecodeBundle = (bytes: Uint8Array, packageId: string) => PackageVersion;

type Answer = ResponseOf<'ManagementPoint', 'locateContent'>;
type AnsweredSource = Answer['sources'][number];

/**
 * What a management point answered, checked.
 *
 * @throws PACKAGE_NOT_LOCATED when it names no source
 * @throws MESSAGE_INVALID when the bundle is of another package, or a source is none
 */
export function toPackageLocation(
  answer: Answer,
  packageId: string,
  decodeBundle: DecodeBundle,
): PackageLocation {
  const version = decodeBundle(answer.bundle, packageId);
  const sources = answer.sources.slice(0, pullSourceCountMax).map(toSource);
  if (sources.length === 0) throw new WaybillError({ code: 'PACKAGE_NOT_LOCATED', packageId });
  return { version, sources: sources.toSorted((a, b) => a.rank - b.rank) };
}

function toSource({ source, nearness }: AnsweredSource, index: number): LocatedSource {
  const field = `sources[${index}]`;
  const identity = fromIdentityUri(source?.identity ?? '');
  if (identity?.kind !== 'dp' && identity?.kind !== 'site') {
    const expected = 'a distribution point or a site, such as waybill://dp/PS1DP1';
    throw invalid(`${field}.identity`, expected, source?.identity ?? 'nothing');
  }
  const address = parseAddress(source?.address ?? '');
  if (address === undefined) throw invalid(`${field}.address`, addressForm, source?.address ?? '');
  if (source?.protocol !== 'SOURCE_PROTOCOL_GRPC') {
    throw invalid(`${field}.protocol`, 'SOURCE_PROTOCOL_GRPC', String(source?.protocol));
  }
  const { rank } = source;
  return { identity, address, rank, nearness: toWord('SOURCE_NEARNESS_', nearness) };
}

function invalid(field: string, expected: string, actual: string): WaybillError {
  return new WaybillError({
    code: 'MESSAGE_INVALID',
    field,
    expected,
    actual: actual.slice(0, 80),
  });
}
