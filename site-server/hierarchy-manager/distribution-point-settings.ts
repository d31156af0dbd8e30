import {
  type DistributionPointKind,
  parseAddress,
  parseDistributionPointId,
} from '../../shared/domain/distribution-point.ts';
import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import { requestLimits } from '../../shared/domain/request-limits.ts';

/** What an administrator says of a new DP. */
export interface NewDistributionPoint {
  readonly dpId: string;
  /** host:port of the agent. */
  readonly address: string;
  readonly kind: DistributionPointKind;
  readonly description: string;
}

/** What an administrator changes of a DP; what is absent stays. */
export interface DistributionPointPatch {
  readonly dpId: string;
  readonly address?: string;
  readonly kind?: DistributionPointKind;
  readonly description?: string;
}

/** The settings themselves when a DP may have them. @throws REQUEST_INVALID */
export function checkedSettings(settings: NewDistributionPoint): NewDistributionPoint {
  const { dpId, address, kind, description } = settings;
  if (parseDistributionPointId(dpId) === undefined) {
    const expected = '1 to 63 letters, digits, dots and hyphens, first and last a letter or digit';
    throw requestInvalid('dp_id', { expected, actual: quoted(dpId) });
  }
  if (parseAddress(address) === undefined) {
    const expected = 'host:port of the agent, an IPv6 host in brackets';
    throw requestInvalid('address', { expected, actual: quoted(address) });
  }
  if (kind !== 'standard') throw requestInvalid('kind', { expected: 'standard', actual: kind });
  const charCount = Array.from(description).length;
  if (charCount > requestLimits.descriptionCharsMax) {
    const expected = `at most ${requestLimits.descriptionCharsMax} characters`;
    throw requestInvalid('description', { expected, actual: `${charCount} characters` });
  }
  return { dpId, address, kind, description };
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
  });
}
