import { findingDetailCharsMax, namedFilesMax, type UnsoundFile } from './validation-result.ts';

/**
 * How far the validation of a package is, at the library it is about: the row of "content validations".
 * It goes on there after a crash; when it is done, the row is the answer to who asks once more.
 */
export interface ContentValidationState {
  readonly packageId: string;
  readonly jobSerial: number;
  readonly packageHash: string;
  readonly startedAtMs: number;
  readonly isDone: boolean;
  /** The content that is looked at, and the next of its entries. */
  readonly contentIndex: number;
  readonly entryIndex: number;
  /** Of the manifests' sums, so that a file that stands there twice counts twice. */
  readonly doneBytes: number;
  /** Files that were looked at, each once. */
  readonly fileCount: number;
  readonly damagedCount: number;
  readonly missingCount: number;
  /** Of the damaged ones, those that were put right here: the record of a package, modes of files. */
  readonly mendedCount: number;
  /** Deltas, which are advice: they are set aside, and not brought again. */
  readonly damagedDeltaCount: number;
  /** Manifests and signatures; the files of such a content were not looked at. */
  readonly damagedManifestCount: number;
  readonly files: readonly UnsoundFile[];
  /** Other packages that lack a file now that was set aside. */
  readonly alsoUsedBy: readonly string[];
}

/** Other packages that a state names at most. */
export const alsoUsedByMax = 100;

/** What a state says of a package: what it is about, without how far it is. */
export type ContentValidationBegin = Pick<
  ContentValidationState,
  'packageId' | 'jobSerial' | 'packageHash' | 'startedAtMs'
>;

export function beginValidation(begin: ContentValidationBegin): ContentValidationState {
  return {
    ...begin,
    isDone: false,
    contentIndex: 0,
    entryIndex: 0,
    doneBytes: 0,
    fileCount: 0,
    damagedCount: 0,
    missingCount: 0,
    mendedCount: 0,
    damagedDeltaCount: 0,
    damagedManifestCount: 0,
    files: [],
    alsoUsedBy: [],
  };
}

/** A file that is not as it should be, and whether it was put right at once. */
export interface Finding extends UnsoundFile {
  readonly isMended?: boolean;
}

/** The state with these findings. */
export function withFindings(
  state: ContentValidationState,
  findings: readonly Finding[],
): ContentValidationState {
  const damaged = findings.filter(({ finding }) => finding === 'damaged');
  const named = findings.map(({ path, fileHash, finding, detail }) => {
    const text = detail?.slice(0, findingDetailCharsMax);
    return { path, fileHash, finding, ...(text !== undefined && { detail: text }) };
  });
  return {
    ...state,
    damagedCount: state.damagedCount + damaged.length,
    missingCount: state.missingCount + findings.length - damaged.length,
    mendedCount: state.mendedCount + damaged.filter(({ isMended }) => isMended).length,
    files: [...state.files, ...named].slice(0, namedFilesMax),
  };
}

/** The state once these other packages lack something, too. */
export function withOtherUsers(
  state: ContentValidationState,
  packageIds: readonly string[],
): ContentValidationState {
  const all = [...new Set([...state.alsoUsedBy, ...packageIds])];
  return { ...state, alsoUsedBy: all.slice(0, alsoUsedByMax) };
}

/** What a validation tells whoever asked for it. */
export interface ValidationReport {
  /** The version that is here; 0: none, and then nothing was looked at. */
  readonly heldVersion: number;
  readonly heldHash: string;
  readonly fileCount: number;
  readonly damagedCount: number;
  readonly missingCount: number;
  readonly mendedCount: number;
  readonly damagedDeltaCount: number;
  readonly damagedManifestCount: number;
  readonly files: readonly UnsoundFile[];
  readonly alsoUsedBy: readonly string[];
}

/** How far a validation is. */
export interface ValidationProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly unsoundCount: number;
}
