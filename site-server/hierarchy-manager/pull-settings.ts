import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import type { WaybillError } from '../../shared/domain/errors.ts';
import {
  type ConfiguredSource,
  configuredSourceCountMax,
  type PullSettings,
  sourceRankMax,
} from '../../shared/domain/pull-source.ts';
import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** Most packages a pull DP may be told to fetch at once. */
export const pullPackagesMax = 50;

/**
 * The settings themselves when a pull DP may have them, lowest rank first; whether the sources exist
 * is for others to see.
 *
 * @throws REQUEST_INVALID
 */
export function checkedPullSettings(dpId: string, pull: PullSettings): PullSettings {
  const { sources, allowFallback, packagesMax } = pull;
  if (sources.length > configuredSourceCountMax) {
    const expected = `at most ${configuredSourceCountMax} sources`;
    throw requestInvalid('pull.sources', { expected, actual: `${sources.length}` });
  }
  const ids = sources.map((source) => source.dpId);
  const double = ids.find((id, index) => ids.indexOf(id) !== index);
  if (double !== undefined) {
    throw requestInvalid('pull.sources', { expected: 'each source once', actual: quoted(double) });
  }
  if (ids.includes(dpId)) {
    const expected = 'other distribution points than itself';
    throw requestInvalid('pull.sources', { expected, actual: quoted(dpId) });
  }
  for (const { rank } of sources) requireWithin('pull.sources.rank', rank, sourceRankMax);
  requireWithin('pull.packages_max', packagesMax, pullPackagesMax);
  const ranked = [...sources].sort((a, b) => a.rank - b.rank || (a.dpId < b.dpId ? -1 : 1));
  return {
    sources: ranked.map((source) => ({ dpId: source.dpId, rank: source.rank })),
    allowFallback,
    packagesMax,
  };
}

/** A pull DP must have somewhere to fetch from. @throws REQUEST_INVALID */
export function requireWaysToContent({ sources, allowFallback }: PullSettings): void {
  if (sources.length > 0 || allowFallback) return;
  const expected = 'at least one source for a pull distribution point, or fallback allowed';
  throw requestInvalid('pull.sources', { expected, actual: 'neither' });
}

/** What is said of a source that is a DP of another site. */
export function foreignSource(siteCode: string, source: DistributionPoint): WaybillError {
  const expected = `distribution points of site ${siteCode}, as this one is`;
  const actual = `${source.dpId} of site ${source.siteCode}`;
  const remedy = `"waybill dp list --site ${siteCode}" lists them; --allow-fallback needs none`;
  return requestInvalid('pull.sources', { expected, actual, remedy });
}

/** The rows of "pull DP map" of a DP: none of one that is standard, or gone. */
export function pullMapChanges(
  store: Pick<StateStore, 'records'>,
  before: DistributionPoint | undefined,
  after: DistributionPoint | undefined,
): Change[] {
  const rows = store.records(keySpaces.pullDpMap);
  const dpId = after?.dpId ?? before?.dpId ?? '';
  const key = (source: ConfiguredSource) => joinKey(dpId, source.dpId);
  const wanted = new Map(sourcesOf(after).map((source) => [key(source), source]));
  const obsolete = sourcesOf(before).filter((source) => !wanted.has(key(source)));
  return [
    ...obsolete.map((source) => rows.delete(key(source))),
    ...[...wanted].map(([rowKey, source]) => rows.put(rowKey, source)),
  ];
}

/** The DP without one of its sources; itself when it has no such source. */
export function withoutSource(point: DistributionPoint, sourceId: string): DistributionPoint {
  const { pull } = point;
  if (!pull?.sources.some(({ dpId }) => dpId === sourceId)) return point;
  const sources = pull.sources.filter(({ dpId }) => dpId !== sourceId);
  return { ...point, pull: { ...pull, sources } };
}

function sourcesOf(point: DistributionPoint | undefined): readonly ConfiguredSource[] {
  return point?.kind === 'pull' ? (point.pull?.sources ?? []) : [];
}

function requireWithin(field: string, value: number, max: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= max) return;
  throw requestInvalid(field, { expected: `1 to ${max}`, actual: `${value}` });
}
