import type { PackageStatus__Output } from '../../shared/rpc/generated/waybill/v1/PackageStatus.ts';
import type { Tone } from '../../shared/runtime/text-style.ts';
import { toCount, toHex, toWord } from './wire-values.ts';

/** A package on a distribution point, as `--json` shows it. */
export type PackageStatusRecord = ReturnType<typeof toPackageStatusRecord>;

/** A status row as it came from the site server. */
export function toPackageStatusRecord(wire: PackageStatus__Output) {
  return {
    packageId: wire.packageId,
    dpId: wire.dpId,
    state: toWord('PACKAGE_STATUS_STATE_', wire.state),
    installedVersion: wire.installedVersion,
    targetVersion: wire.targetVersion,
    /** Null: only the DP's site knows. */
    percent: wire.percent ?? null,
    reason: wire.reason,
    changedAtMs: toCount(wire.changedAtMs, 'changed_at_ms'),
    verifiedHash: toHex(wire.verifiedHash),
    siteCode: wire.siteCode,
    /** The DP's site has not said it yet: it follows from what was asked for. */
    isAwaited: wire.isAwaited ?? false,
  };
}

/** The state for reading: `install pending`. */
export function toStatusText(status: PackageStatusRecord): string {
  return status.state.replaceAll('-', ' ');
}

/** Whether all is well, something is on its way, or somebody should look. */
export function toneOfStatus({ state }: PackageStatusRecord): Tone {
  if (state === 'installed' || state === 'removed') return 'good';
  return state.endsWith('failed') ? 'bad' : 'busy';
}
