import type { DistributionPointRecord__Output } from '../../shared/rpc/generated/waybill/v1/DistributionPointRecord.ts';
import { toCount, toWord } from './wire-values.ts';

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
    reachability: toWord('DISTRIBUTION_POINT_REACHABILITY_', wire.reachability),
    reason: wire.reason,
    checkedAtMs: toCount(wire.checkedAtMs, 'checked_at_ms'),
    agentVersion: wire.agentVersion,
    freeBytes: toCount(wire.freeBytes, 'free_bytes'),
    packageCount: wire.packageCount,
    measuredBytesPerSecond: toCount(wire.measuredBytesPerSecond, 'measured_bytes_per_second'),
  };
}
