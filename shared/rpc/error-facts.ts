import type { ErrorCode, ErrorFacts } from '../domain/errors.ts';

/** A text that need not be there: what sends it may be older than the fact. */
export type FactKind = 'number' | 'text' | 'optional text';

type FactKinds<C extends ErrorCode> = {
  readonly [F in keyof ErrorFacts<C>]-?: Record<never, never> extends Pick<ErrorFacts<C>, F>
    ? 'optional text'
    : ErrorFacts<C>[F] extends number
      ? 'number'
      : 'text';
};

const path = { path: 'text' } as const;
const pathAndReason = { path: 'text', reason: 'text' } as const;
const hashes = { expectedHash: 'text', actualHash: 'text' } as const;
const expectation = { field: 'text', expected: 'text', actual: 'text' } as const;

/**
 * The facts of each code and their types: facts travel as text, and the receiver takes an error only
 * when it has every fact of its code, well formed.
 */
export const errorFactKinds: { readonly [C in ErrorCode]: FactKinds<C> } = {
  REQUEST_INVALID: { ...expectation, remedy: 'optional text' },
  PACKAGE_UNKNOWN: { packageId: 'text' },
  PACKAGE_STATE_CONFLICT: { packageId: 'text', state: 'text', expected: 'text' },
  PACKAGE_ID_EXHAUSTED: { siteCode: 'text' },
  DISTRIBUTION_POINT_UNKNOWN: { dpId: 'text' },
  DISTRIBUTION_POINT_EXISTS: { dpId: 'text' },
  JOB_STATE_CONFLICT: { jobSerial: 'number', state: 'text', expected: 'text' },
  SEND_STATE_CONFLICT: { requestId: 'text', state: 'text', expected: 'text' },
  GROUP_UNKNOWN: { groupName: 'text' },
  GROUP_EXISTS: { groupName: 'text' },
  SITE_UNKNOWN: { siteCode: 'text' },
  SITE_EXISTS: { siteCode: 'text' },
  SITE_IN_USE: { siteCode: 'text', reason: 'text' },
  SITE_NOT_CAUGHT_UP: { siteCode: 'text', parentSiteCode: 'text' },
  SITE_HAS_NO_SAY: { name: 'text', siteCode: 'text', askedSiteCode: 'text' },
  LINK_UNKNOWN: { linkName: 'text' },
  TOKEN_INVALID: { reason: 'text' },
  ENROLLMENT_REFUSED: { holder: 'text', reason: 'text' },
  ENROLLMENT_TOO_SOON: { waitMs: 'number' },
  ENROLLMENT_OFF: { siteCode: 'text', reason: 'text' },
  ENROLLMENT_UNKNOWN: { tokenId: 'text' },
  ENROLLMENT_STATE_CONFLICT: { tokenId: 'text', state: 'text', expected: 'text' },
  ENROLLMENT_ROOT_MISMATCH: { address: 'text', reason: 'text' },
  RENEWAL_TOO_SOON: { holder: 'text', waitMs: 'number' },
  RENEWAL_REFUSED: { holder: 'text', reason: 'text' },
  ALREADY_ENROLLED: pathAndReason,
  ADMINISTRATOR_UNKNOWN: { name: 'text' },
  HOLDER_UNKNOWN: { holder: 'text', siteCode: 'text', near: 'text' },
  ADMINISTRATOR_EXISTS: { name: 'text', identityUri: 'text' },
  ADMINISTRATOR_LAST: { name: 'text', siteCode: 'text' },
  LOG_UNKNOWN: { component: 'text', known: 'text' },
  SOURCE_MISSING: path,
  SOURCE_UNREADABLE: pathAndReason,
  SOURCE_CHANGED: { path: 'text', tries: 'number' },
  SOURCE_FILE_TYPE: { path: 'text', fileType: 'text' },
  SOURCE_SYMLINK_LEAVES_TREE: { path: 'text', target: 'text' },
  SOURCE_NAME_REFUSED: pathAndReason,
  SOURCE_EMPTY: path,
  CONTENT_NOT_HELD: { contentId: 'text' },
  CONTENT_INCOMPLETE: { packageId: 'text', missingFiles: 'number' },
  CONTENT_HASH_MISMATCH: { contentId: 'text', ...hashes },
  FILE_NOT_HELD: { fileHash: 'text' },
  FILE_HASH_MISMATCH: hashes,
  FILE_NOT_WANTED: { fileHash: 'text' },
  MANIFEST_INVALID: { contentId: 'text', line: 'number', reason: 'text' },
  DISK_FULL: { path: 'text', freeBytes: 'number', neededBytes: 'number' },
  PACKAGE_NOT_HELD: { packageId: 'text' },
  ACTION_SUPERSEDED: { packageId: 'text', jobSerial: 'number', newestJobSerial: 'number' },
  ACTION_NOT_BEGUN: { packageId: 'text', jobSerial: 'number' },
  VERSION_DOWNGRADE: { packageId: 'text', offered: 'number', held: 'number' },
  MESSAGE_INVALID: expectation,
  PEER_UNREACHABLE: { peer: 'text', address: 'text', reason: 'text' },
  PEER_IDENTITY_MISMATCH: { expected: 'text', actual: 'text', address: 'text' },
  PEER_NOT_ALLOWED: { caller: 'text', method: 'text', expected: 'text' },
  SCOPE_EXCEEDED: { caller: 'text', scope: 'text', outside: 'text' },
  PEER_OVER_LIMIT: { caller: 'text', limit: 'text' },
  CERTIFICATE_REFUSED: { caller: 'text', reason: 'text' },
  PEER_FAILED: { peer: 'text', reason: 'text' },
  DEADLINE_EXCEEDED: { peer: 'text', method: 'text', deadlineMs: 'number' },
  PULL_SOURCES_MISSING: { packageId: 'text', dpId: 'text' },
  PULL_SOURCES_EXHAUSTED: { packageId: 'text', reason: 'text' },
  PULL_SOURCE_LIED: { source: 'text', fileHash: 'text', reason: 'text' },
  CONTENT_WINDOW_CLOSED: { opensAtMs: 'number' },
  PULL_JOB_UNKNOWN: { packageId: 'text', jobSerial: 'number' },
  PULL_RESULT_MISSING: { dpId: 'text', polls: 'number' },
  PACKAGE_INFO_MISMATCH: { packageId: 'text', ...hashes },
  JOB_UNKNOWN: { dpId: 'text', packageId: 'text', jobSerial: 'number' },
  PACKAGE_NOT_LOCATED: { packageId: 'text' },
  DELTA_INVALID: { deltaHash: 'text', reason: 'text' },
  SITE_PARENT_MISMATCH: { siteCode: 'text', expected: 'text', actual: 'text' },
  CLOCK_AHEAD: { siteCode: 'text', aheadMs: 'number', aheadMsMax: 'number' },
  REPLICATION_GAP: { siteCode: 'text', expected: 'number', actual: 'number' },
  REPLICATION_ROW_REFUSED: { siteCode: 'text', row: 'text', reason: 'text' },
  REPLICATION_ORIGIN_REFUSED: { siteCode: 'text', neighbour: 'text' },
  REPLICATION_LAYOUT: { siteCode: 'text', layoutFound: 'number', layoutKnown: 'number' },
  PACKAGE_FILE_INVALID: { packageId: 'text', reason: 'text' },
  PRESTAGED_FILE_INVALID: pathAndReason,
  DELTA_BASE_MISSING: { packageId: 'text', baseVersion: 'number', missingFiles: 'number' },
  INSTRUCTION_REFUSED: { requestId: 'text', packageId: 'text', reason: 'text' },
  FILE_ALREADY_ARRIVING: { fileHash: 'text', siteCode: 'text' },
  FILE_OFFSET_MISMATCH: { fileHash: 'text', heldBytes: 'number', offsetBytes: 'number' },
  FILE_TOO_LARGE: { fileHash: 'text', fileBytes: 'number', fileBytesMax: 'number' },
  RECEIVER_BUSY: { what: 'text', limit: 'number' },
  CONFIG_INVALID: { path: 'text', problems: 'text' },
  CERTIFICATE_INVALID: pathAndReason,
  CERTIFICATE_REQUEST_INVALID: { reason: 'text' },
  AUTHORITY_CONFLICT: pathAndReason,
  DATA_DIRECTORY_IN_USE: { path: 'text', holder: 'text' },
  STATE_STORE_NEWER: { path: 'text', layoutFound: 'number', layoutKnown: 'number' },
  STATE_STORE_DAMAGED: pathAndReason,
  ADDRESS_IN_USE: { address: 'text' },
  ADDRESS_NOT_USABLE: { address: 'text', reason: 'text' },
};
