import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import {
  type DistributionPointHealth,
  unmeasured,
} from '../../shared/domain/distribution-point-health.ts';
import { type PullSettings, pullPackagesMaxDefault } from '../../shared/domain/pull-source.ts';
import { requestLimits } from '../../shared/domain/request-limits.ts';
import { patchedControls } from '../../shared/domain/transfer-controls-patch.ts';
import type { DistributionPointRecord } from '../../shared/rpc/generated/waybill/v1/DistributionPointRecord.ts';
import type { DistributionPointSettings__Output } from '../../shared/rpc/generated/waybill/v1/DistributionPointSettings.ts';
import type { PullDistributionPointSettings as PullMessage } from '../../shared/rpc/generated/waybill/v1/PullDistributionPointSettings.ts';
import {
  toTransferControlsMessage,
  toTransferControlsPatch,
} from '../../shared/transfer-arbiter/transfer-controls-message.ts';
import type {
  DistributionPointPatch,
  NewDistributionPoint,
} from '../hierarchy-manager/distribution-point-settings.ts';
import {
  distributionPointKindNames,
  reachabilityNames,
  toDistributionPointKind,
} from './enum-tables.ts';
import { requireDistributionPointId } from './package-requests.ts';
import { checkedText } from './request-text.ts';

const descriptionRule = { charsMax: requestLimits.descriptionCharsMax, isMultiline: true };

/** A DP as administrators see it. */
export function toDistributionPointRecord(
  distributionPoint: DistributionPoint,
  health: DistributionPointHealth,
  packageCount: number,
): DistributionPointRecord {
  return {
    dpId: distributionPoint.dpId,
    address: distributionPoint.address,
    kind: distributionPointKindNames[distributionPoint.kind],
    description: distributionPoint.description,
    siteCode: distributionPoint.siteCode,
    priority: distributionPoint.pinnedPriority ?? health.dpPriority,
    isPriorityPinned: distributionPoint.pinnedPriority !== undefined,
    reachability: reachabilityNames[health.reachability],
    reason: health.reason,
    checkedAtMs: health.checkedAtMs,
    agentVersion: health.agentVersion,
    freeBytes: health.freeBytes,
    packageCount,
    measuredBytesPerSecond: health.measuredBytesPerSecond,
    ...(distributionPoint.pull && { pull: toPullMessage(distributionPoint.pull) }),
    ...toControlsMessages(distributionPoint),
    ...(distributionPoint.validation && { validation: { ...distributionPoint.validation } }),
  };
}

/** A DP that another site keeps: how it is, that site knows. */
export function toForeignPointRecord(
  distributionPoint: DistributionPoint,
  packageCount: number,
): DistributionPointRecord {
  const { dpId, siteCode } = distributionPoint;
  const record = toDistributionPointRecord(distributionPoint, unmeasured(dpId), packageCount);
  return { ...record, reason: `see site ${siteCode}` };
}

/** A DP to add; standard, when its kind is not said. @throws REQUEST_INVALID */
export function toNewDistributionPoint(
  settings: DistributionPointSettings__Output,
): NewDistributionPoint {
  const { dpId, address } = settings;
  const description = checkedText('description', settings.description ?? '', descriptionRule);
  const kind = toDistributionPointKind(settings.kind) ?? 'standard';
  const { controls: patch, serveControls: servePatch } = controlsOf(settings);
  const controls = patchedControls(undefined, patch);
  const serveControls = patchedControls(undefined, servePatch);
  const { validation } = validationOf(settings);
  return {
    ...{ dpId, address, kind, description, ...pullOf(settings) },
    ...(settings.pinnedPriority && { pinnedPriority: settings.pinnedPriority }),
    ...(controls && { controls }),
    ...(serveControls && { serveControls }),
    ...(validation !== undefined && validation !== 'none' && { validation }),
  };
}

/** What to change of a DP; what is not said stays. @throws REQUEST_INVALID */
export function toDistributionPointPatch(
  settings: DistributionPointSettings__Output,
): DistributionPointPatch {
  const { address, description } = settings;
  const kind = toDistributionPointKind(settings.kind);
  return {
    dpId: requireDistributionPointId('dp_id', settings.dpId),
    ...(address !== '' && { address }),
    ...(kind && { kind }),
    ...(description !== undefined && {
      description: checkedText('description', description, descriptionRule),
    }),
    ...pullOf(settings),
    ...controlsOf(settings),
    ...validationOf(settings),
    ...(settings.pinnedPriority !== undefined && { pinnedPriority: settings.pinnedPriority }),
  };
}

/** What may be is checked where it is kept. */
function validationOf({
  validation,
}: DistributionPointSettings__Output): Pick<DistributionPointPatch, 'validation'> {
  if (!validation) return {};
  const { everyHours, bytesPerSecond } = validation;
  if (everyHours === 0) return { validation: 'none' };
  return { validation: { everyHours, bytesPerSecond: Number(bytesPerSecond) } };
}

function toPullMessage({ sources, allowFallback, packagesMax }: PullSettings): PullMessage {
  return { sources: sources.map((source) => ({ ...source })), allowFallback, packagesMax };
}

function toControlsMessages({
  controls,
  serveControls,
}: DistributionPoint): Pick<DistributionPointRecord, 'controls' | 'serveControls'> {
  return {
    ...(controls && { controls: toTransferControlsMessage(controls) }),
    ...(serveControls && { serveControls: toTransferControlsMessage(serveControls) }),
  };
}

/** @throws REQUEST_INVALID */
function controlsOf({
  controls,
  serveControls,
}: DistributionPointSettings__Output): Pick<DistributionPointPatch, 'controls' | 'serveControls'> {
  return {
    ...(controls && { controls: toTransferControlsPatch(controls, 'controls') }),
    ...(serveControls && {
      serveControls: toTransferControlsPatch(serveControls, 'serve_controls'),
    }),
  };
}

/** Who is named is checked here, what may be is where it is kept. @throws REQUEST_INVALID */
function pullOf({ pull }: DistributionPointSettings__Output): { pull?: PullSettings } {
  if (!pull) return {};
  const { allowFallback, packagesMax } = pull;
  const sources = pull.sources.map(({ dpId, rank }) => {
    return { dpId: requireDistributionPointId('pull.sources.dp_id', dpId), rank };
  });
  return {
    pull: { sources, allowFallback, packagesMax: packagesMax || pullPackagesMaxDefault },
  };
}
