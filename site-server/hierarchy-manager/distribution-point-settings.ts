import {
  addressRules,
  type DistributionPoint,
  type DistributionPointKind,
  distributionPointPriorityMax,
  distributionPointPriorityMin,
  parseAddress,
  parseDistributionPointId,
} from '../../shared/domain/distribution-point.ts';
import { type PullSettings, pullPackagesMaxDefault } from '../../shared/domain/pull-source.ts';
import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import { requestLimits } from '../../shared/domain/request-limits.ts';
import {
  bytesPerSecondMax,
  bytesPerSecondMin,
  type TransferControls,
} from '../../shared/domain/transfer-controls.ts';
import {
  patchedControls,
  type TransferControlsPatch,
  wholePatch,
} from '../../shared/domain/transfer-controls-patch.ts';
import { everyHoursMax, type ValidationSchedule } from '../../shared/domain/validation-schedule.ts';
import { checkedPullSettings, requireWaysToContent } from './pull-settings.ts';

/** What an administrator says of a new DP. */
export interface NewDistributionPoint {
  readonly dpId: string;
  /** host:port of the agent. */
  readonly address: string;
  readonly kind: DistributionPointKind;
  readonly description: string;
  /** How it fetches as a pull DP. */
  readonly pull?: PullSettings;
  /** What it may be sent, or as a pull DP fetch, when and how fast. */
  readonly controls?: TransferControls;
  /** The same for what it serves to others. */
  readonly serveControls?: TransferControls;
  /** How often its packages are validated. */
  readonly validation?: ValidationSchedule;
  /** Its place in the queue; absent: it tunes itself. */
  readonly pinnedPriority?: number;
}

/** What an administrator changes of a DP; what is absent stays. */
export interface DistributionPointPatch {
  readonly dpId: string;
  readonly address?: string;
  readonly kind?: DistributionPointKind;
  readonly description?: string;
  /** Replaces all that was said of it before. */
  readonly pull?: PullSettings;
  readonly controls?: TransferControlsPatch;
  readonly serveControls?: TransferControlsPatch;
  readonly validation?: ValidationSchedule | 'none';
  /** 0: it tunes itself again. */
  readonly pinnedPriority?: number;
}

const noPullSettings: PullSettings = {
  sources: [],
  allowFallback: false,
  packagesMax: pullPackagesMaxDefault,
};

/** The settings themselves when a DP may have them. @throws REQUEST_INVALID */
export function checkedSettings(settings: NewDistributionPoint): NewDistributionPoint {
  const { dpId, address, kind, description, pull } = settings;
  if (parseDistributionPointId(dpId) === undefined) {
    const expected = '1 to 63 letters, digits, dots and hyphens, first and last a letter or digit';
    throw requestInvalid('dp_id', { expected, actual: quoted(dpId) });
  }
  if (parseAddress(address) === undefined) {
    const expected = `host:port of the agent, ${addressRules}`;
    throw requestInvalid('address', { expected, actual: quoted(address) });
  }
  const charCount = Array.from(description).length;
  if (charCount > requestLimits.descriptionCharsMax) {
    const expected = `at most ${requestLimits.descriptionCharsMax} characters`;
    throw requestInvalid('description', { expected, actual: `${charCount} characters` });
  }
  const controls = controlsOf(settings, settings);
  const pinned = checkedPriority(settings.pinnedPriority);
  const validation = validationOf(settings);
  const checked = { dpId, address, kind, description, ...controls, ...validation, ...pinned };
  if (pull === undefined && kind === 'standard') return checked;
  const checkedPull = checkedPullSettings(dpId, pull ?? noPullSettings);
  if (kind === 'pull') requireWaysToContent(checkedPull);
  return { ...checked, pull: checkedPull };
}

/** The DP with what the patch says, checked. @throws REQUEST_INVALID */
export function patched(
  before: DistributionPoint,
  patch: DistributionPointPatch,
): DistributionPoint {
  // What is taken away is in no setting.
  const { controls: _, serveControls: __, validation: ___, pinnedPriority, ...rest } = before;
  const wantedPriority = patch.pinnedPriority ?? pinnedPriority;
  const settings = checkedSettings({
    dpId: before.dpId,
    address: patch.address ?? before.address,
    kind: patch.kind ?? before.kind,
    description: patch.description ?? before.description,
    ...pullOf(patch, before),
    ...controlsOf(before, patch),
    ...validationOf({ validation: patch.validation ?? before.validation }),
    ...(wantedPriority && { pinnedPriority: wantedPriority }),
  });
  return { ...rest, ...settings };
}

/** What makes another DP of that name the one that is wanted. */
export function wholePatchOf(wanted: DistributionPoint): DistributionPointPatch {
  return {
    ...wanted,
    controls: wholePatch(wanted.controls),
    serveControls: wholePatch(wanted.serveControls),
    validation: wanted.validation ?? 'none',
    pinnedPriority: wanted.pinnedPriority ?? 0,
  };
}

/** @throws REQUEST_INVALID */
function checkedPriority(priority: number | undefined): { pinnedPriority?: number } {
  if (priority === undefined) return {};
  const [least, most] = [distributionPointPriorityMin, distributionPointPriorityMax];
  const isInRange = Number.isInteger(priority) && priority >= least && priority <= most;
  if (isInRange) return { pinnedPriority: priority };
  const expected = `a whole number from ${least} to ${most}`;
  throw requestInvalid('pinned_priority', { expected, actual: `${priority}` });
}

function controlsOf(
  before: Pick<DistributionPoint, 'controls' | 'serveControls'>,
  patch: Pick<DistributionPointPatch, 'controls' | 'serveControls'>,
): Pick<DistributionPoint, 'controls' | 'serveControls'> {
  const controls = patchedControls(before.controls, patch.controls);
  const serveControls = patchedControls(before.serveControls, patch.serveControls);
  return { ...(controls && { controls }), ...(serveControls && { serveControls }) };
}

/** @throws REQUEST_INVALID */
function validationOf({
  validation,
}: {
  readonly validation?: ValidationSchedule | 'none' | undefined;
}): Pick<NewDistributionPoint, 'validation'> {
  if (validation === undefined || validation === 'none') return {};
  const { everyHours, bytesPerSecond } = validation;
  if (!Number.isInteger(everyHours) || everyHours < 1 || everyHours > everyHoursMax) {
    const expected = `1 to ${everyHoursMax} hours`;
    throw requestInvalid('validation.every_hours', { expected, actual: `${everyHours}` });
  }
  const isRate = bytesPerSecond >= bytesPerSecondMin && bytesPerSecond <= bytesPerSecondMax;
  if (bytesPerSecond !== 0 && !isRate) {
    const expected = `0, or ${bytesPerSecondMin} to ${bytesPerSecondMax} bytes a second`;
    throw requestInvalid('validation.bytes_per_second', { expected, actual: `${bytesPerSecond}` });
  }
  return { validation: { everyHours, bytesPerSecond } };
}

function pullOf(
  patch: DistributionPointPatch,
  settings: NewDistributionPoint,
): Pick<NewDistributionPoint, 'pull'> {
  const pull = patch.pull ?? settings.pull;
  return pull ? { pull } : {};
}
