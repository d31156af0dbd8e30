import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import type { DistributionPointHealth } from '../../shared/domain/distribution-point-health.ts';
import type { Priority } from '../../shared/domain/package.ts';
import type { TransferControls } from '../../shared/domain/transfer-controls.ts';
import type { TransferLink } from '../../shared/domain/transfer-link.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import {
  type ForecastSubject,
  forecastTransfer,
} from '../../shared/transfer-arbiter/transfer-forecast.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import { type DpLacksNeeds, lacksOf } from './dp-lacks.ts';
import { type InstalledPackage, installedAt } from './known-holdings.ts';
import type { PreviewedTransfer, PreviewTarget, ReckonedBytes } from './preview-parts.ts';
import type { PreviewedVersion } from './previewed-version.ts';
import type { QueuedTransfer } from './site-forecast.ts';

/** What reckoning DPs needs. */
export interface PreviewedPointsNeeds extends DpLacksNeeds {
  readonly hierarchy: Pick<HierarchyManager, 'get' | 'healthOf' | 'requireAnywhere'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly siteCode: string;
}

/** DPs that would get a version. */
export interface PointsToPreview {
  readonly targets: readonly PreviewTarget[];
  /** Absent when this site does not hold what would travel. */
  readonly previewed: PreviewedVersion | undefined;
  /** Then: by DP, what another site reckons. */
  readonly reckoned: ReadonlyMap<string, ReckonedBytes>;
  /** Bytes and files of the whole version. */
  readonly whole: { readonly sizeBytes: number; readonly fileCount: number };
  readonly priority: Priority;
  readonly links: readonly TransferLink[];
  readonly signal: AbortSignal;
}

/** A part about a DP, and how it would stand in the queue of its site. */
export interface PreviewedPoint {
  readonly transfer: PreviewedTransfer;
  readonly queued: QueuedTransfer;
}

/** A DP with what is known of it. */
interface SeenPoint {
  readonly target: PreviewTarget;
  readonly own: { dp: DistributionPoint; health: DistributionPointHealth } | undefined;
  readonly controls: readonly TransferControls[];
  readonly installed: readonly InstalledPackage[];
}

/** What DPs would be brought, and how long that takes: in their order, a few at a time. */
export async function* previewedPoints(
  needs: PreviewedPointsNeeds,
  points: PointsToPreview,
  atOnceMax: number,
): AsyncGenerator<PreviewedPoint> {
  const { targets, signal } = points;
  const installed = await installedAt(needs, new Set(targets.map(({ dpId }) => dpId)));
  for (let at = 0; at < targets.length; at += atOnceMax) {
    signal.throwIfAborted();
    const some = targets.slice(at, at + atOnceMax).map(async (target) => {
      const here = installed.get(target.dpId) ?? [];
      return toPart(needs, points, await seenPoint(needs, points, target, here));
    });
    yield* await Promise.all(some);
  }
}

async function seenPoint(
  { hierarchy }: PreviewedPointsNeeds,
  { links }: PointsToPreview,
  target: PreviewTarget,
  installed: readonly InstalledPackage[],
): Promise<SeenPoint> {
  const { dpId } = target;
  const dp = await hierarchy.get(dpId);
  const own = dp && { dp, health: await hierarchy.healthOf(dpId) };
  const point = dp ?? (await hierarchy.requireAnywhere(dpId).catch(() => undefined));
  const shared = links.filter(({ dpIds }) => dpIds.includes(dpId)).map(({ controls }) => controls);
  const controls = [...(point?.controls ? [point.controls] : []), ...shared];
  return { target, own, controls, installed };
}

async function toPart(
  needs: PreviewedPointsNeeds,
  points: PointsToPreview,
  point: SeenPoint,
): Promise<PreviewedPoint> {
  const { target, own, controls } = point;
  const { dpId, siteCode } = target;
  const lacks = await pointLacks(needs, points, point);
  const subject: ForecastSubject = {
    ...{ bytes: lacks.bytes + lacks.manifestBytes, priority: points.priority, controls },
    measuredBytesPerSecond: own?.health.measuredBytesPerSecond ?? 0,
  };
  const forecast = forecastTransfer(subject, needs.clock.nowMs());
  return {
    transfer: { way: 'distribution-point', dpId, siteCode, ...lacks, forecast },
    queued: {
      subject,
      isPull: own?.dp.kind === 'pull',
      dpPriority: own?.dp.pinnedPriority ?? own?.health.dpPriority ?? 0,
    },
  };
}

async function pointLacks(
  needs: PreviewedPointsNeeds,
  { previewed, reckoned, whole, signal }: PointsToPreview,
  { target, own, installed }: SeenPoint,
): Promise<ReckonedBytes & { readonly note: string }> {
  const { dpId, isOnItsWay } = target;
  if (isOnItsWay) return { ...nothing, note: 'it has it, or is about to' };
  if (previewed) return lacksOf(needs, previewed, { dpId, own, installed }, signal);
  const known = reckoned.get(dpId);
  if (known) return { ...known, note: '' };
  const note = `the content is not at site ${needs.siteCode} yet`;
  const { sizeBytes: bytes, fileCount } = whole;
  return { bytes, fileCount, manifestBytes: 0, basis: 'whole-package', note };
}

const nothing: ReckonedBytes = {
  ...{ bytes: 0, manifestBytes: 0, fileCount: 0, basis: 'nothing-to-do' },
};
