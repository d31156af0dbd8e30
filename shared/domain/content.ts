/** Unit of verification, resume, fallback, rate control and pre-emption, in bytes. */
export const pieceBytes = 1024 * 1024;

/**
 * Where an entry stands in the tree. Entries come in depth-first order: a directory, then all that
 * is in it; siblings in ascending order of the UTF-8 bytes of their names. So the parent of an
 * entry is the last directory before it that is one level up, paths of any length cost nothing,
 * and two siblings of one name cannot hide.
 */
interface EntryPlace {
  /** 0 for an entry at the root of the content. */
  readonly depth: number;
  /** One name, no `/`. */
  readonly name: string;
}

/** A regular file of a content. */
export interface FileEntry extends EntryPlace {
  readonly type: 'file';
  readonly sizeBytes: number;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  /** Modification time in nanoseconds since the Unix epoch, as decimal text. */
  readonly mtimeNs: string;
  /** Lower-case hexadecimal BLAKE3-256 of the bytes. */
  readonly hash: string;
}

/** A directory of a content, so that empty ones, modes and times arrive too. */
export interface DirectoryEntry extends EntryPlace {
  readonly type: 'directory';
  readonly mode: number;
  readonly mtimeNs: string;
}

/** A symbolic link that stays inside the content. */
export interface SymlinkEntry extends EntryPlace {
  readonly type: 'symlink';
  readonly target: string;
  readonly mtimeNs: string;
}

export type ContentEntry = FileEntry | DirectoryEntry | SymlinkEntry;

/** What the manifest and the signature of a content must be. Hashes: lower-case hexadecimal. */
export interface ContentDescriptor {
  readonly contentId: string;
  readonly contentHash: string;
  readonly signatureHash: string;
  readonly manifestBytes: number;
  readonly signatureBytes: number;
  readonly entryCount: number;
  readonly fileCount: number;
  readonly sizeBytes: number;
}

/** The manifest and the signature of a content, in memory. */
export interface InlineManifest {
  readonly contentId: string;
  readonly manifest: Uint8Array;
  readonly signature: Uint8Array;
}

/** How many pieces a file has: 0 when it is empty. */
export function pieceCountOf(sizeBytes: number): number {
  return Math.ceil(sizeBytes / pieceBytes);
}

/** Whether a file is verified piece by piece; smaller ones travel whole. */
export function hasPieces(sizeBytes: number): boolean {
  return sizeBytes > pieceBytes;
}

/** Length of one piece of a file, in bytes. */
export function pieceLengthOf(sizeBytes: number, pieceIndex: number): number {
  return Math.min(pieceBytes, sizeBytes - pieceIndex * pieceBytes);
}

/** Bytes of the signature blob that belong to one file: 32 for each piece, none for small files. */
export function signatureBytesOf(sizeBytes: number): number {
  return hasPieces(sizeBytes) ? 32 * pieceCountOf(sizeBytes) : 0;
}

/** The text itself when it can name a content: 1 to 80 letters, digits, dots, hyphens, underscores. */
export function parseContentId(text: string): string | undefined {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$/.test(text) ? text : undefined;
}

/** The text itself when it is a lower-case hexadecimal BLAKE3-256. */
export function parseHash(text: string): string | undefined {
  return /^[0-9a-f]{64}$/.test(text) ? text : undefined;
}

/** Longest file name that every common file system takes, in bytes of UTF-8. */
const nameBytesMax = 255;
/** Longest target of a symbolic link on Linux, in bytes of UTF-8. */
const targetBytesMax = 4095;

/** Why no receiver may be asked to create an entry of this name, or undefined when it may. */
export function refusalOfName(name: string): string | undefined {
  if (name === '') return 'the name is empty';
  if (name === '.' || name === '..') return `the name is "${name}"`;
  if (name.includes('/')) return 'the name holds a slash';
  if (name.includes('\0')) return 'the name holds a NUL character';
  if (!name.isWellFormed() || name.includes('\ufffd')) return 'the name is not valid UTF-8';
  if (utf8LengthOf(name) > nameBytesMax) return `the name is longer than ${nameBytesMax} bytes`;
  return undefined;
}

/**
 * Why a link at this depth may not have this target, or undefined when it may. `..` is allowed
 * only at the beginning and only up to the root: such a link stays inside whatever other links of
 * the tree it passes through.
 */
export function refusalOfTarget(depth: number, target: string): string | undefined {
  if (target === '') return 'the target is empty';
  if (target.includes('\0')) return 'the target holds a NUL character';
  if (!target.isWellFormed() || target.includes('\ufffd')) return 'the target is not valid UTF-8';
  if (utf8LengthOf(target) > targetBytesMax) return `the target is over ${targetBytesMax} bytes`;
  if (target.startsWith('/')) return 'the target is absolute';
  const names = target.split('/').filter((name) => name !== '' && name !== '.');
  const ups = names.findIndex((name) => name !== '..');
  const upCount = ups === -1 ? names.length : ups;
  if (upCount > depth) return 'the target is outside the tree';
  if (names.slice(upCount).includes('..')) return 'the target has ".." after a name';
  return undefined;
}

/** Ascending order of UTF-8 bytes, the order of siblings in a manifest. */
export function compareNames(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const difference = rankOf(a.charCodeAt(index)) - rankOf(b.charCodeAt(index));
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** UTF-8 orders as code points do; UTF-16 does so once surrogates stand behind all other units. */
function rankOf(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

function utf8LengthOf(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return bytes;
}
