import { WaybillError } from '../../shared/domain/errors.ts';
import { doesNewOrderMend } from '../../shared/domain/site-instruction.ts';

/** What a failed try means for its send request. */
export interface SendFailure {
  readonly kind: SendFailureKind;
  readonly reason: string;
  /** Another address of the site may do better. */
  readonly isOfAddress: boolean;
  /** The receiver did not believe what it was sent, or has something better (REP-7). */
  readonly isRefusal: boolean;
}

export type SendFailureKind =
  /** The link, or the other site, is not as it should be for now. */
  | 'retry'
  /** The receiver takes it as soon as it is done with something else. */
  | 'busy'
  /** The receiver has another part of the file than was thought, or none: ask it again. */
  | 'ask-again'
  /** The bytes were not what their hash promises: they are all sent again, not for ever. */
  | 'file-damaged'
  /** The package file is not here any more. */
  | 'file-missing'
  /** The receiver does not want it, and will not want it tomorrow. */
  | 'refused'
  /** The order is too old; the receiver may take a new one of the same. */
  | 'stale'
  /** The receiver has a newer version. */
  | 'overtaken';

/** Codes by name: those of the receiver's own work need not be known to older programs. */
const kinds: Readonly<Record<string, SendFailureKind>> = {
  FILE_ALREADY_ARRIVING: 'busy',
  RECEIVER_BUSY: 'busy',
  FILE_OFFSET_MISMATCH: 'ask-again',
  FILE_HASH_MISMATCH: 'file-damaged',
  CONTENT_HASH_MISMATCH: 'file-damaged',
  FILE_NOT_HELD: 'file-missing',
  VERSION_DOWNGRADE: 'overtaken',
  INSTRUCTION_REFUSED: 'refused',
  // It does not know this site yet, or not any more: its administrator, or replication, mends it.
  PEER_NOT_ALLOWED: 'retry',
  MESSAGE_INVALID: 'refused',
  REQUEST_INVALID: 'refused',
  FILE_TOO_LARGE: 'refused',
};

const refusalCodes: readonly string[] = [
  'INSTRUCTION_REFUSED',
  'FILE_HASH_MISMATCH',
  'CONTENT_HASH_MISMATCH',
  'VERSION_DOWNGRADE',
];

const addressCodes: readonly string[] = [
  'PEER_UNREACHABLE',
  'PEER_IDENTITY_MISMATCH',
  'DEADLINE_EXCEEDED',
];

/**
 * Classifies what ended a try. What is not known is tried again: whatever was wrong can be put right
 * by somebody, and the request says what it is.
 *
 * @param doesRefusalMend whether an instruction refused for this reason may be taken a little later
 */
export function toSendFailure(
  error: unknown,
  doesRefusalMend: (reason: string) => boolean,
): SendFailure {
  const reason = error instanceof Error ? error.message : String(error);
  if (!(error instanceof WaybillError)) {
    return { kind: 'retry', reason, isOfAddress: false, isRefusal: false };
  }
  const code: string = error.code;
  return {
    kind: kindOf(code, error, doesRefusalMend),
    reason,
    isOfAddress: addressCodes.includes(code),
    isRefusal: refusalCodes.includes(code),
  };
}

function kindOf(
  code: string,
  { details }: WaybillError,
  doesRefusalMend: (reason: string) => boolean,
): SendFailureKind {
  const kind = kinds[code] ?? 'retry';
  if (code !== 'INSTRUCTION_REFUSED') return kind;
  const refusal = 'reason' in details ? details.reason : '';
  if (doesNewOrderMend(refusal)) return 'stale';
  return doesRefusalMend(refusal) ? 'retry' : kind;
}
