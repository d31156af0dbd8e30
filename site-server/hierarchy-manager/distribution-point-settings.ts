import {
  type DistributionPointKind,
  parseAddress,
  parseDistributionPointId,
} from '../../shared/domain/distribution-point.ts';
import { type PullSettings, pullPackagesMaxDefault } from '../../shared/domain/pull-source.ts';
import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import { requestLimits } from '../../shared/domain/request-limits.ts';
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
}

/** What an administrator changes of a DP; what is absent stays. */
export interface DistributionPointPatch {
  readonly dpId: string;
  readonly address?: string;
  readonly kind?: DistributionPointKind;
  readonly description?: string;
  /** Replaces all that was said of it before. */
  readonly pull?: PullSettings;
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
    const expected = 'host:port of the agent, an IPv6 host in brackets';
    throw requestInvalid('address', { expected, actual: quoted(address) });
  }
  const charCount = Array.from(description).length;
  if (charCount > requestLimits.descriptionCharsMax) {
    const expected = `at most ${requestLimits.descriptionCharsMax} characters`;
    throw requestInvalid('description', { expected, actual: `${charCount} characters` });
  }
  if (pull === undefined && kind === 'standard') return { dpId, address, kind, description };
  const checkedPull = checkedPullSettings(dpId, pull ?? noPullSettings);
  if (kind === 'pull') requireWaysToContent(checkedPull);
  return { dpId, address, kind, description, pull: checkedPull };
}

/** The settings with what the patch says, checked. @throws REQUEST_INVALID */
export function patched(
  settings: NewDistributionPoint,
  patch: DistributionPointPatch,
): NewDistributionPoint {
  return checkedSettings({
    dpId: settings.dpId,
    address: patch.address ?? settings.address,
    kind: patch.kind ?? settings.kind,
    description: patch.description ?? settings.description,
    ...pullOf(patch, settings),
  });
}

function pullOf(
  patch: DistributionPointPatch,
  settings: NewDistributionPoint,
): Pick<NewDistributionPoint, 'pull'> {
  const pull = patch.pull ?? settings.pull;
  return pull ? { pull } : {};
}
