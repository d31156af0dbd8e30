import { WaybillError } from '../../shared/domain/errors.ts';
import type { ConfiguredSource } from '../../shared/domain/pull-source.ts';
import type { DistributionPointRecord__Output } from '../../shared/rpc/generated/waybill/v1/DistributionPointRecord.ts';
import type { Admin } from './admin.ts';
import { toControlsRecord } from './control-view.ts';
import { distributionPointIdText, positional } from './options.ts';
import { toCount, toWord } from './wire-values.ts';

/** The positional that every command about one distribution point has. */
export const dpIdPositional = positional('dp-id', 'Distribution point', distributionPointIdText);

/** A distribution point, as `--json` shows it. */
export type DistributionPointRecord = ReturnType<typeof toDistributionPointRecord>;

/** A distribution point as it came from the site server. */
export function toDistributionPointRecord(wire: DistributionPointRecord__Output) {
  return {
    dpId: wire.dpId,
    address: wire.address,
    kind: toWord('DISTRIBUTION_POINT_KIND_', wire.kind),
    description: wire.description,
    siteCode: wire.siteCode,
    priority: wire.priority,
    isPriorityPinned: wire.isPriorityPinned,
    reachability: toWord('DISTRIBUTION_POINT_REACHABILITY_', wire.reachability),
    reason: wire.reason,
    checkedAtMs: toCount(wire.checkedAtMs, 'checked_at_ms'),
    agentVersion: wire.agentVersion,
    freeBytes: toCount(wire.freeBytes, 'free_bytes'),
    packageCount: wire.packageCount,
    measuredBytesPerSecond: toCount(wire.measuredBytesPerSecond, 'measured_bytes_per_second'),
    pull: toPullRecord(wire.pull),
    groupNames: wire.groupNames,
    controls: toControlsRecord(wire.controls),
    /** Null: never by itself. */
    validation: toValidationSchedule(wire.validation),
    serveControls: toControlsRecord(wire.serveControls),
  };
}

/** How often its packages are validated. */
function toValidationSchedule(wire: DistributionPointRecord__Output['validation']) {
  if (!wire) return null;
  const bytesPerSecond = toCount(wire.bytesPerSecond, 'validation.bytes_per_second');
  return { everyHours: wire.everyHours, bytesPerSecond };
}

/** How a pull DP gets its content; null for a DP that was never told. */
function toPullRecord(wire: DistributionPointRecord__Output['pull']) {
  if (!wire) return null;
  const { sources, allowFallback, packagesMax } = wire;
  const byRank = sources.map(({ dpId, rank }) => ({ dpId, rank }));
  byRank.sort((a, b) => a.rank - b.rank || (a.dpId < b.dpId ? -1 : 1));
  return { sources: byRank, allowFallback, packagesMax };
}

/** A source as the options are written: `PS1DP1:2`. */
export function toSourceText({ dpId, rank }: ConfiguredSource): string {
  return `${dpId}:${rank}`;
}

/** One distribution point of the site. @throws DISTRIBUTION_POINT_UNKNOWN */
export async function requireDistributionPoint(
  admin: Admin,
  dpId: string,
): Promise<DistributionPointRecord> {
  const all = await admin.list('listDistributionPoints', {});
  const wire = all.find((one) => one.dpId === dpId);
  if (wire) return toDistributionPointRecord(wire);
  throw new WaybillError({ code: 'DISTRIBUTION_POINT_UNKNOWN', dpId });
}
