import {
  enrollmentRefusalWords,
  parseEnrollmentRefusal,
  parseRenewalRefusal,
  renewalRefusalWords,
} from './enrollment.ts';
import { toMomentText } from './moment-text.ts';
import { toRefusalSentence } from './refusal-sentence.ts';
import { instructionRefusals, parseInstructionRefusal } from './site-instruction.ts';

/** The latest time a date can have; what comes from elsewhere may say more. */
const latestDateMs = 8.64e15;

/**
 * Every failure Waybill expects, with its facts. A code is stable for ever; `docs/errors.md` has
 * a heading for each, and a test holds the two together.
 */
export type ErrorDetails =
  // What an administrator asked for
  | { code: 'REQUEST_INVALID'; field: string; expected: string; actual: string; remedy?: string }
  | { code: 'PACKAGE_UNKNOWN'; packageId: string }
  | { code: 'PACKAGE_STATE_CONFLICT'; packageId: string; state: string; expected: string }
  | { code: 'PACKAGE_ID_EXHAUSTED'; siteCode: string }
  | { code: 'DISTRIBUTION_POINT_UNKNOWN'; dpId: string }
  | { code: 'DISTRIBUTION_POINT_EXISTS'; dpId: string }
  | { code: 'JOB_STATE_CONFLICT'; jobSerial: number; state: string; expected: string }
  | { code: 'SEND_STATE_CONFLICT'; requestId: string; state: string; expected: string }
  | { code: 'GROUP_UNKNOWN'; groupName: string }
  | { code: 'GROUP_EXISTS'; groupName: string }
  | { code: 'SITE_UNKNOWN'; siteCode: string }
  | { code: 'SITE_EXISTS'; siteCode: string }
  | { code: 'SITE_IN_USE'; siteCode: string; reason: string }
  | { code: 'SITE_NOT_CAUGHT_UP'; siteCode: string; parentSiteCode: string }
  | { code: 'SITE_HAS_NO_SAY'; name: string; siteCode: string; askedSiteCode: string }
  | { code: 'LINK_UNKNOWN'; linkName: string }
  // Enrollment
  | { code: 'TOKEN_INVALID'; reason: string }
  | { code: 'ENROLLMENT_REFUSED'; holder: string; reason: string }
  | { code: 'ENROLLMENT_TOO_SOON'; waitMs: number }
  | { code: 'ENROLLMENT_OFF'; siteCode: string; reason: string }
  | { code: 'ENROLLMENT_UNKNOWN'; tokenId: string }
  | { code: 'ENROLLMENT_STATE_CONFLICT'; tokenId: string; state: string; expected: string }
  | { code: 'ENROLLMENT_ROOT_MISMATCH'; address: string; reason: string }
  | { code: 'RENEWAL_REFUSED'; holder: string; reason: string }
  | { code: 'RENEWAL_TOO_SOON'; holder: string; waitMs: number }
  | { code: 'ALREADY_ENROLLED'; path: string; reason: string }
  | { code: 'ADMINISTRATOR_UNKNOWN'; name: string }
  | { code: 'HOLDER_UNKNOWN'; holder: string; siteCode: string; near: string }
  | { code: 'ADMINISTRATOR_EXISTS'; name: string; identityUri: string }
  | { code: 'ADMINISTRATOR_LAST'; name: string; siteCode: string }
  | { code: 'LOG_UNKNOWN'; component: string; known: string }
  // The source of a package
  | { code: 'SOURCE_MISSING'; path: string }
  | { code: 'SOURCE_UNREADABLE'; path: string; reason: string }
  | { code: 'SOURCE_CHANGED'; path: string; tries: number }
  | { code: 'SOURCE_FILE_TYPE'; path: string; fileType: string }
  | { code: 'SOURCE_SYMLINK_LEAVES_TREE'; path: string; target: string }
  | { code: 'SOURCE_NAME_REFUSED'; path: string; reason: string }
  | { code: 'SOURCE_EMPTY'; path: string }
  // The content library
  | { code: 'CONTENT_NOT_HELD'; contentId: string }
  | { code: 'CONTENT_INCOMPLETE'; packageId: string; missingFiles: number }
  | { code: 'CONTENT_HASH_MISMATCH'; contentId: string; expectedHash: string; actualHash: string }
  | { code: 'FILE_NOT_HELD'; fileHash: string }
  | { code: 'FILE_HASH_MISMATCH'; expectedHash: string; actualHash: string }
  | { code: 'FILE_NOT_WANTED'; fileHash: string }
  | { code: 'MANIFEST_INVALID'; contentId: string; line: number; reason: string }
  | { code: 'DISK_FULL'; path: string; freeBytes: number; neededBytes: number }
  | { code: 'PACKAGE_NOT_HELD'; packageId: string }
  // Conversations between agents
  | { code: 'ACTION_SUPERSEDED'; packageId: string; jobSerial: number; newestJobSerial: number }
  | { code: 'ACTION_NOT_BEGUN'; packageId: string; jobSerial: number }
  | { code: 'VERSION_DOWNGRADE'; packageId: string; offered: number; held: number }
  | { code: 'MESSAGE_INVALID'; field: string; expected: string; actual: string }
  | { code: 'PEER_UNREACHABLE'; peer: string; address: string; reason: string }
  | { code: 'PEER_IDENTITY_MISMATCH'; expected: string; actual: string; address: string }
  | { code: 'PEER_NOT_ALLOWED'; caller: string; method: string; expected: string }
  | { code: 'SCOPE_EXCEEDED'; caller: string; scope: string; outside: string }
  | { code: 'PEER_OVER_LIMIT'; caller: string; limit: string }
  | { code: 'CERTIFICATE_REFUSED'; caller: string; reason: string }
  | { code: 'PEER_FAILED'; peer: string; reason: string }
  | { code: 'DEADLINE_EXCEEDED'; peer: string; method: string; deadlineMs: number }
  // Pull distribution points
  | { code: 'PULL_SOURCES_MISSING'; packageId: string; dpId: string }
  | { code: 'PULL_SOURCES_EXHAUSTED'; packageId: string; reason: string }
  | { code: 'PULL_SOURCE_LIED'; source: string; fileHash: string; reason: string }
  | { code: 'CONTENT_WINDOW_CLOSED'; opensAtMs: number }
  | { code: 'PULL_JOB_UNKNOWN'; packageId: string; jobSerial: number }
  | { code: 'PULL_RESULT_MISSING'; dpId: string; polls: number }
  | { code: 'PACKAGE_INFO_MISMATCH'; packageId: string; expectedHash: string; actualHash: string }
  | { code: 'JOB_UNKNOWN'; dpId: string; packageId: string; jobSerial: number }
  | { code: 'PACKAGE_NOT_LOCATED'; packageId: string }
  | { code: 'DELTA_INVALID'; deltaHash: string; reason: string }
  // Several sites
  | { code: 'SITE_PARENT_MISMATCH'; siteCode: string; expected: string; actual: string }
  | { code: 'CLOCK_AHEAD'; siteCode: string; aheadMs: number; aheadMsMax: number }
  | { code: 'REPLICATION_GAP'; siteCode: string; expected: number; actual: number }
  | { code: 'REPLICATION_ROW_REFUSED'; siteCode: string; row: string; reason: string }
  | { code: 'REPLICATION_ORIGIN_REFUSED'; siteCode: string; neighbour: string }
  | { code: 'REPLICATION_LAYOUT'; siteCode: string; layoutFound: number; layoutKnown: number }
  // Package files between sites
  | { code: 'PACKAGE_FILE_INVALID'; packageId: string; reason: string }
  | { code: 'PRESTAGED_FILE_INVALID'; path: string; reason: string }
  | { code: 'DELTA_BASE_MISSING'; packageId: string; baseVersion: number; missingFiles: number }
  // Between sites
  | { code: 'INSTRUCTION_REFUSED'; requestId: string; packageId: string; reason: string }
  | { code: 'FILE_ALREADY_ARRIVING'; fileHash: string; siteCode: string }
  | { code: 'FILE_OFFSET_MISMATCH'; fileHash: string; heldBytes: number; offsetBytes: number }
  | { code: 'FILE_TOO_LARGE'; fileHash: string; fileBytes: number; fileBytesMax: number }
  | { code: 'RECEIVER_BUSY'; what: string; limit: number }
  // The process and its machine
  | { code: 'CONFIG_INVALID'; path: string; problems: string }
  | { code: 'CERTIFICATE_INVALID'; path: string; reason: string }
  | { code: 'CERTIFICATE_REQUEST_INVALID'; reason: string }
  | { code: 'AUTHORITY_CONFLICT'; path: string; reason: string }
  | { code: 'SETUP_UNFINISHED'; reason: string /** A command; empty: none. */; removal: string }
  | { code: 'DATA_DIRECTORY_IN_USE'; path: string; holder: string }
  | { code: 'STATE_STORE_NEWER'; path: string; layoutFound: number; layoutKnown: number }
  | { code: 'STATE_STORE_DAMAGED'; path: string; reason: string }
  | { code: 'ADDRESS_IN_USE'; address: string }
  | { code: 'ADDRESS_NOT_USABLE'; address: string; reason: string };

export type ErrorCode = ErrorDetails['code'];

/** The facts of one code, without the code. */
export type ErrorFacts<C extends ErrorCode> = Omit<Extract<ErrorDetails, { code: C }>, 'code'>;

/** Who is shown by a certificate that no root stands behind which is trusted here. */
export const peerOfAnotherCa = 'a peer of another CA';

const rootChangeAdvice =
  '. Where the root was changed, this passes within minutes; if it does not, enroll whoever missed the change anew, with --force';

function filesOf(count: number): string {
  return count === 1 ? '1 file' : `${count} files`;
}

const sentences: { readonly [C in ErrorCode]: (facts: ErrorFacts<C>) => string } = {
  REQUEST_INVALID: (f) => toRefusalSentence(f.field, f),
  PACKAGE_UNKNOWN: (f) =>
    `There is no package ${f.packageId}. "waybill package list" shows those there are`,
  PACKAGE_STATE_CONFLICT: (f) =>
    `Package ${f.packageId} is ${f.state}; this needs a package that is ${f.expected}`,
  PACKAGE_ID_EXHAUSTED: (f) =>
    `Site ${f.siteCode} has used all 1,048,575 package IDs; create the package at another site`,
  DISTRIBUTION_POINT_UNKNOWN: (f) =>
    `There is no distribution point ${f.dpId}. "waybill dp list" shows those there are`,
  DISTRIBUTION_POINT_EXISTS: (f) =>
    `Distribution point ${f.dpId} exists already. "waybill dp set" changes it`,
  JOB_STATE_CONFLICT: (f) =>
    `Job ${f.jobSerial} is ${f.state}; this needs one that is ${f.expected}`,
  SEND_STATE_CONFLICT: (f) =>
    `Send request ${f.requestId} is ${f.state}; this needs one that is ${f.expected}`,
  GROUP_UNKNOWN: (f) =>
    `There is no group ${f.groupName}. "waybill group list" shows those there are, "waybill group add" makes one`,
  GROUP_EXISTS: (f) => `Group ${f.groupName} exists already. "waybill group set" changes it`,
  SITE_UNKNOWN: (f) =>
    `There is no site ${f.siteCode}. "waybill site list" shows those there are, "waybill site add" makes one known`,
  SITE_EXISTS: (f) => `Site ${f.siteCode} exists already. "waybill site set" changes it`,
  SITE_IN_USE: (f) => `Site ${f.siteCode} cannot be deleted: ${f.reason}`,
  SITE_NOT_CAUGHT_UP: (f) =>
    `Site ${f.siteCode} makes no package before its parent ${f.parentSiteCode} has told it which there were; "waybill site list" says how it stands with the parent`,
  SITE_HAS_NO_SAY: (f) =>
    `Site ${f.askedSiteCode} has no say in this: ${f.name} is of site ${f.siteCode}; ask that one, or a site above it`,
  LINK_UNKNOWN: (f) => `There is no link ${f.linkName}. "waybill link list" shows those there are`,
  TOKEN_INVALID: (f) =>
    `This is no token of Waybill: it is ${f.reason}. Copy it once more as "waybill" printed it: wbt1_ and 80 letters, digits, - and _`,
  ENROLLMENT_REFUSED: (f) =>
    `Enrollment of ${f.holder} was refused: ${wordsOf(f.reason, parseEnrollmentRefusal, enrollmentRefusalWords)}`,
  ENROLLMENT_TOO_SOON: (f) =>
    `Too many tokens that this site does not know came from your address; try again in ${Math.ceil(f.waitMs / 1000)} s`,
  ENROLLMENT_OFF: (f) => `Site ${f.siteCode} enrolls nobody: ${f.reason}`,
  ENROLLMENT_UNKNOWN: (f) =>
    `There is no token ${f.tokenId}. "waybill enrollment list" shows those there are`,
  ENROLLMENT_STATE_CONFLICT: (f) =>
    `Token ${f.tokenId} is ${f.state}; this needs one that is ${f.expected}`,
  ENROLLMENT_ROOT_MISMATCH: (f) =>
    `The server at ${f.address} is not the one the token was made for: ${f.reason}. Nothing was sent to it`,
  RENEWAL_TOO_SOON: (f) =>
    `The certificate of ${f.holder} was renewed a moment ago; try again in ${Math.ceil(f.waitMs / 1000)} s`,
  RENEWAL_REFUSED: (f) =>
    `Renewal of the certificate of ${f.holder} was refused: ${wordsOf(f.reason, parseRenewalRefusal, renewalRefusalWords)}`,
  ALREADY_ENROLLED: (f) => `${f.path} is there already: ${f.reason}`,
  ADMINISTRATOR_UNKNOWN: (f) =>
    `There is no administrator ${f.name} at this site. "waybill admin list" shows those there are`,
  HOLDER_UNKNOWN: (f) =>
    `Site ${f.siteCode} knows nobody called ${f.holder}${f.near === '' ? '.' : `; did you mean ${f.near}?`} Nothing was revoked. "waybill certs" shows whom it knows; who has a certificate of another site is known there (--site), and --force revokes a name of which the record is lost`,
  ADMINISTRATOR_EXISTS: (f) =>
    `Administrator ${f.name} exists already, as ${f.identityUri}. To give another role or scope, delete him first: "waybill admin delete ${f.name}"`,
  ADMINISTRATOR_LAST: (f) =>
    `Nobody is known at site ${f.siteCode} who could do everything there without ${f.name}: no other administrator of it with full rights, without a scope, whose certificate counts. Make another one first, with "waybill admin add NAME --role full"; he counts once he has enrolled. Or let another administrator do it`,
  LOG_UNKNOWN: (f) => `There is no log ${f.component}; expected one of ${f.known}`,
  SOURCE_MISSING: (f) =>
    `Source ${f.path}: expected an existing directory, given as an absolute path of the site server`,
  SOURCE_UNREADABLE: (f) => `Source ${f.path} cannot be read: ${f.reason}`,
  SOURCE_CHANGED: (f) =>
    `Source ${f.path} changed while it was read, ${f.tries} times. Stop what writes to it and update the package`,
  SOURCE_FILE_TYPE: (f) =>
    `Source ${f.path} is a ${f.fileType}; a package holds files, directories and symbolic links only`,
  SOURCE_SYMLINK_LEAVES_TREE: (f) =>
    `Source ${f.path} is a symbolic link to ${f.target}, outside the source directory`,
  SOURCE_NAME_REFUSED: (f) => `Source ${f.path} has a name no receiver may create: ${f.reason}`,
  SOURCE_EMPTY: (f) => `Source ${f.path} holds nothing; expected at least one entry`,
  CONTENT_NOT_HELD: (f) => `Content ${f.contentId} is not in this content library`,
  CONTENT_INCOMPLETE: (f) =>
    `${filesOf(f.missingFiles)} of package ${f.packageId} ${f.missingFiles === 1 ? 'is' : 'are'} not in the content library yet`,
  CONTENT_HASH_MISMATCH: (f) =>
    `Content ${f.contentId}: expected hash ${f.expectedHash}, got ${f.actualHash}`,
  FILE_NOT_HELD: (f) => `File ${f.fileHash} is not in this content library`,
  FILE_HASH_MISMATCH: (f) => `File content: expected hash ${f.expectedHash}, got ${f.actualHash}`,
  FILE_NOT_WANTED: (f) => `File ${f.fileHash} was sent but is not wanted by the package`,
  MANIFEST_INVALID: (f) => `Manifest of ${f.contentId}, line ${f.line}: ${f.reason}`,
  DISK_FULL: (f) =>
    `${f.path} has ${f.freeBytes} bytes free; ${f.neededBytes} are needed. Make room; work goes on by itself`,
  PACKAGE_NOT_HELD: (f) => `Package ${f.packageId} is not in this content library`,
  ACTION_SUPERSEDED: (f) =>
    `Job ${f.jobSerial} for package ${f.packageId} is older than job ${f.newestJobSerial}, which has begun`,
  ACTION_NOT_BEGUN: (f) => `Job ${f.jobSerial} for package ${f.packageId} has not begun here`,
  VERSION_DOWNGRADE: (f) =>
    `Package ${f.packageId} version ${f.offered} was offered; version ${f.held} is served and never goes back`,
  MESSAGE_INVALID: (f) => toRefusalSentence(f.field, f),
  PEER_UNREACHABLE: (f) => `${f.peer} at ${f.address} cannot be reached: ${f.reason}`,
  PEER_IDENTITY_MISMATCH: (f) =>
    `${f.address} shows the certificate of ${f.actual}; expected ${f.expected}${f.actual === peerOfAnotherCa ? rootChangeAdvice : ''}`,
  PEER_NOT_ALLOWED: (f) => `${f.caller} may not call ${f.method}; expected ${f.expected}`,
  SCOPE_EXCEEDED: (f) =>
    `${f.caller} may change only what is in ${f.scope}; outside it: ${f.outside}. Nothing was changed`,
  PEER_OVER_LIMIT: (f) => `${f.caller} is over a limit of this server: ${f.limit}`,
  CERTIFICATE_REFUSED: (f) => `The certificate of ${f.caller} does not count here: ${f.reason}`,
  PEER_FAILED: (f) => `${f.peer} failed: ${f.reason}`,
  DEADLINE_EXCEEDED: (f) => `${f.peer} did not answer ${f.method} within ${f.deadlineMs} ms`,
  PULL_SOURCES_MISSING: (f) =>
    `No source of ${f.dpId} holds package ${f.packageId} yet. It goes on by itself when one does`,
  PULL_SOURCES_EXHAUSTED: (f) =>
    `No source gives what is missing of package ${f.packageId}: ${f.reason}. It goes on by itself when one does`,
  PULL_SOURCE_LIED: (f) =>
    `${f.source} gave wrong bytes for file ${f.fileHash}: ${f.reason}. Nothing of them was kept, and it is not asked again`,
  CONTENT_WINDOW_CLOSED: (f) => `Its window ${opening(f.opensAtMs)}`,
  PULL_JOB_UNKNOWN: (f) => `There is no pull job ${f.jobSerial} for package ${f.packageId} here`,
  PULL_RESULT_MISSING: (f) => `${f.dpId} did not say how the job ended, asked ${f.polls} times`,
  PACKAGE_INFO_MISMATCH: (f) =>
    `Package info bundle of ${f.packageId}: expected hash ${f.expectedHash}, got ${f.actualHash}`,
  JOB_UNKNOWN: (f) => `${f.dpId} was never given job ${f.jobSerial} for package ${f.packageId}`,
  PACKAGE_NOT_LOCATED: (f) => `No distribution point has package ${f.packageId} for you`,
  DELTA_INVALID: (f) => `Delta ${f.deltaHash} cannot be applied: ${f.reason}`,
  SITE_PARENT_MISMATCH: (f) =>
    `Site ${f.siteCode} says it is ${f.actual}; it was made known as ${f.expected}`,
  CLOCK_AHEAD: (f) =>
    `A change of site ${f.siteCode} is ${f.aheadMs} ms in the future; at most ${f.aheadMsMax} are taken. Set the clock of that site; its changes are taken once their time is near`,
  REPLICATION_GAP: (f) =>
    `Changes of site ${f.siteCode} were to go on after ${f.expected}, but came after ${f.actual}`,
  REPLICATION_ROW_REFUSED: (f) =>
    `Site ${f.siteCode} changed the row ${f.row}, which is refused: ${f.reason}`,
  REPLICATION_ORIGIN_REFUSED: (f) =>
    `Site ${f.neighbour} sent changes of site ${f.siteCode}, which is not on its side of the hierarchy`,
  REPLICATION_LAYOUT: (f) =>
    `Site ${f.siteCode} replicates rows of layout ${f.layoutFound}; this site knows ${f.layoutKnown}. Bring both to the same version`,
  PACKAGE_FILE_INVALID: (f) => `Package file of ${f.packageId} cannot be used: ${f.reason}`,
  PRESTAGED_FILE_INVALID: (f) =>
    `Prestaged file ${f.path} cannot be imported: ${f.reason}. Nothing was changed`,
  DELTA_BASE_MISSING: (f) =>
    `${filesOf(f.missingFiles)} of package ${f.packageId} version ${f.baseVersion} ${f.missingFiles === 1 ? 'is' : 'are'} missing, on which a package file builds. A full one brings all`,
  INSTRUCTION_REFUSED: (f) =>
    `Instruction ${f.requestId} for package ${f.packageId} was refused: ${refusalWords(f.reason)}`,
  FILE_ALREADY_ARRIVING: (f) =>
    `File ${f.fileHash} is arriving from site ${f.siteCode} already, in another stream`,
  FILE_OFFSET_MISMATCH: (f) =>
    `File ${f.fileHash} was sent from byte ${f.offsetBytes}; ${f.heldBytes} bytes are here`,
  FILE_TOO_LARGE: (f) =>
    `File ${f.fileHash} has ${f.fileBytes} bytes; at most ${f.fileBytesMax} are taken`,
  RECEIVER_BUSY: (f) =>
    `The receiver has ${f.limit} ${f.what}, as many as it takes; try again later`,
  CONFIG_INVALID: (f) => `Configuration ${f.path} is not valid:\n${f.problems}`,
  CERTIFICATE_INVALID: (f) => `The file ${f.path} cannot be used: ${f.reason}`,
  CERTIFICATE_REQUEST_INVALID: (f) => `The certificate request cannot be used: ${f.reason}`,
  AUTHORITY_CONFLICT: (f) => `${f.path}: ${f.reason}. Nothing was changed`,
  SETUP_UNFINISHED: (f) =>
    `${f.reason}. The site is not set up yet; mend that, then call the same again, which goes on with what is there${f.removal && `. To begin anew with other options, first: ${f.removal}`}`,
  DATA_DIRECTORY_IN_USE: (f) =>
    `Data directory ${f.path} is in use by ${f.holder}; stop it, or choose another directory`,
  STATE_STORE_NEWER: (f) =>
    `State store ${f.path} has layout ${f.layoutFound}; this program knows ${f.layoutKnown}. Use the newer program`,
  STATE_STORE_DAMAGED: (f) => `State store ${f.path} is damaged: ${f.reason}`,
  ADDRESS_IN_USE: (f) => `Address ${f.address} is in use by another program`,
  ADDRESS_NOT_USABLE: (f) => `Nobody can listen on address ${f.address}: ${f.reason}`,
};

/** When a schedule opens; 0: never. */
function opening(opensAtMs: number): string {
  const isTime = opensAtMs > 0 && opensAtMs <= latestDateMs;
  return isTime ? `opens at ${toMomentText(opensAtMs)}` : 'never opens';
}

function refusalWords(reason: string): string {
  const refusal = parseInstructionRefusal(reason);
  return refusal ? instructionRefusals[refusal].words : reason;
}

function wordsOf<R extends string>(
  reason: string,
  parse: (text: string) => R | undefined,
  words: Readonly<Record<R, string>>,
): string {
  const known = parse(reason);
  return known === undefined ? reason : words[known];
}

/** All codes, for the tests that hold tables and documents complete. */
export const errorCodes = Object.keys(sentences) as ErrorCode[];

/** A failure that was expected to be possible; told apart by `details.code`, never by its text. */
export class WaybillError extends Error {
  readonly details: ErrorDetails;

  constructor(details: ErrorDetails, options?: ErrorOptions) {
    const sentence = sentences[details.code] as (facts: ErrorDetails) => string;
    super(sentence(details), options);
    this.name = 'WaybillError';
    this.details = details;
  }

  get code(): ErrorCode {
    return this.details.code;
  }
}

/** Whether this is a WaybillError with one of these codes. */
export function isErrorWithCode(error: unknown, ...codes: ErrorCode[]): error is WaybillError {
  return error instanceof WaybillError && codes.includes(error.code);
}
