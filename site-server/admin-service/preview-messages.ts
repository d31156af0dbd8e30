import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import { requestLimits } from '../../shared/domain/request-limits.ts';
import type { PreviewBasis as BasisName } from '../../shared/rpc/generated/waybill/v1/PreviewBasis.ts';
import type { PreviewDistributionRequest__Output } from '../../shared/rpc/generated/waybill/v1/PreviewDistributionRequest.ts';
import type { PreviewedTransfer as TransferMessage } from '../../shared/rpc/generated/waybill/v1/PreviewedTransfer.ts';
import type { PreviewPart as PartMessage } from '../../shared/rpc/generated/waybill/v1/PreviewPart.ts';
import type { TransferForecast } from '../../shared/transfer-arbiter/transfer-forecast.ts';
import type {
  PreviewBasis,
  PreviewedTransfer,
  PreviewedWay,
  PreviewPart,
  ReckonedBytes,
} from '../transfer-preview/preview-parts.ts';
import { requireDistributionPointId } from './package-requests.ts';

type WireName<T> = Exclude<T, number>;

const basisNames = {
  asked: 'PREVIEW_BASIS_ASKED',
  'installed-packages': 'PREVIEW_BASIS_INSTALLED_PACKAGES',
  'whole-package': 'PREVIEW_BASIS_WHOLE_PACKAGE',
  'package-file': 'PREVIEW_BASIS_PACKAGE_FILE',
  sample: 'PREVIEW_BASIS_SAMPLE',
  'nothing-to-do': 'PREVIEW_BASIS_NOTHING_TO_DO',
  sum: 'PREVIEW_BASIS_SUM',
} as const satisfies Record<PreviewBasis, WireName<BasisName>>;

const wayNames = {
  'distribution-point': 'PREVIEWED_WAY_DISTRIBUTION_POINT',
  site: 'PREVIEWED_WAY_SITE',
  link: 'PREVIEWED_WAY_LINK',
  route: 'PREVIEWED_WAY_ROUTE',
} as const satisfies Record<PreviewedWay['way'], string>;

const unknownTexts = {
  'no-rate': 'no limit is set, and no rate was measured yet',
  'never-open': 'the schedule never opens to this priority',
  'too-long': 'it takes more than eight weeks, or no rate is known for some of its hours',
} as const satisfies Record<NonNullable<TransferForecast['unknown']>, string>;

/** A part of a preview as administrators see it. */
export function toPreviewPartMessage(part: PreviewPart): PartMessage {
  return 'version' in part ? part : { transfer: toTransferMessage(part.transfer) };
}

/** What another site reckons that DPs lack. @throws REQUEST_INVALID */
export function toReckonedBytes({
  reckoned,
}: PreviewDistributionRequest__Output): ReadonlyMap<string, ReckonedBytes> {
  const { targetCountMax } = requestLimits;
  if (reckoned.length > targetCountMax) {
    const expected = `at most ${targetCountMax}`;
    throw requestInvalid('reckoned', { expected, actual: `${reckoned.length}` });
  }
  return new Map(
    reckoned.map((one, index) => {
      const field = `reckoned[${index}]`;
      const dpId = requireDistributionPointId(`${field}.dp_id`, one.dpId);
      return [
        dpId,
        {
          bytes: requireCount(`${field}.bytes`, one.bytes),
          manifestBytes: requireCount(`${field}.manifest_bytes`, one.manifestBytes),
          fileCount: requireCount(`${field}.file_count`, one.fileCount),
          basis: toBasis(one.basis),
        },
      ];
    }),
  );
}

function toTransferMessage(transfer: PreviewedTransfer): TransferMessage {
  const { way, basis, forecast, ...rest } = transfer;
  const { waitsMs, durationMs = 0, unknown, bytesPerSecond, pace } = forecast;
  return {
    ...rest,
    way: wayNames[way],
    basis: basisNames[basis],
    waitsMs: Math.round(waitsMs),
    durationMs: Math.round(durationMs),
    durationUnknown: unknown ? unknownTexts[unknown] : '',
    bytesPerSecond: Math.round(bytesPerSecond),
    ...(pace && { pace: pace === 'limit' ? 'PREVIEW_PACE_LIMIT' : 'PREVIEW_PACE_MEASURED' }),
  };
}

/** What is not said, or not known here, is the most careful of them. */
function toBasis(name: BasisName): PreviewBasis {
  const known = Object.keys(basisNames) as PreviewBasis[];
  return known.find((basis) => basisNames[basis] === name) ?? 'whole-package';
}

function requireCount(field: string, text: string): number {
  const count = Number(text);
  if (Number.isSafeInteger(count)) return count;
  throw requestInvalid(field, { expected: 'a whole number up to 2^53', actual: text });
}
