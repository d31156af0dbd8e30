/** The form of a package file: docs/package-file.md. */
import { parseHash } from '../domain/content.ts';
import type { Delta } from '../domain/delta.ts';
import { parsePackageId } from '../domain/package.ts';

/** What a package file says first: whose it is, and all that bounds what comes. Sizes in bytes. */
export interface PackageFileHead {
  readonly packageId: string;
  readonly sourceVersion: number;
  /** The version it builds on; 0 for a full one. */
  readonly baseVersion: number;
  readonly bundleBytes: number;
  /** What the blocks become, all together. */
  readonly rawBytes: number;
  /** Files that are inside, and their sizes added up. */
  readonly fileCount: number;
  readonly fileBytes: number;
  /** Deltas that are inside, and their sizes; they become files of the library. */
  readonly deltaCount: number;
  readonly deltaBytes: number;
  /** Patches that are inside, and their sizes; they are used and forgotten. */
  readonly patchCount: number;
  readonly patchBytes: number;
  /** Sizes of the files that deltas and patches make. */
  readonly madeBytes: number;
}

/** First bytes of every package file; the last digit is the version of the form. */
const magic = 'WBPKGF1\n';

/** Bytes of the head: the magic, then a line of JSON filled up with spaces, with its newline. */
export const headBytes = 512;

/** Bytes of a block before it is packed; only the last one is shorter. */
export const blockBytes = 4 * 1024 * 1024;

/** Bytes of what stands before a block: its length, and its packed length. */
export const blockHeadBytes = 8;

/** Longest package info bundle, in bytes: it was one message once. */
export const bundleBytesMax = 2 * 1024 * 1024;

const numberFields = [
  'sourceVersion',
  'baseVersion',
  'bundleBytes',
  'rawBytes',
  'fileCount',
  'fileBytes',
  'deltaCount',
  'deltaBytes',
  'patchCount',
  'patchBytes',
  'madeBytes',
] as const satisfies readonly (keyof PackageFileHead)[];

/** The first bytes of a package file. */
export function encodeHead(head: PackageFileHead): Buffer {
  const numbers = numberFields.map((field) => [field, head[field]]);
  const json = JSON.stringify({ packageId: head.packageId, ...Object.fromEntries(numbers) });
  return Buffer.from(`${magic}${json.padEnd(headBytes - magic.length - 1)}\n`, 'latin1');
}

/** The head that these bytes are; undefined unless they are what `encodeHead` makes. */
export function decodeHead(bytes: Uint8Array): PackageFileHead | undefined {
  const text = Buffer.from(bytes).toString('latin1');
  if (bytes.length !== headBytes || !text.startsWith(magic)) return undefined;
  const head = parsed(text.slice(magic.length));
  if (head === undefined || parsePackageId(head.packageId) === undefined) return undefined;
  const areNumbers = numberFields.every(
    (field) => Number.isSafeInteger(head[field]) && head[field] >= 0,
  );
  return areNumbers && encodeHead(head).equals(bytes) ? head : undefined;
}

function parsed(text: string): PackageFileHead | undefined {
  try {
    const head: unknown = JSON.parse(text);
    const packageId = (head as PackageFileHead | null)?.packageId;
    return typeof packageId === 'string' ? (head as PackageFileHead) : undefined;
  } catch {
    return undefined;
  }
}

/** What comes next in the raw bytes; its bytes follow. */
export type PackageFileRecord =
  /** The manifest of the next content, whole. */
  | { readonly kind: 'manifest' }
  /** The manifest of the next content, as a delta against that of an older content. */
  | { readonly kind: 'manifest-delta'; readonly baseContentId: string; readonly delta: RecordDelta }
  /** The signature of the content whose manifest came before. */
  | { readonly kind: 'signature' }
  | { readonly kind: 'file'; readonly hash: string; readonly sizeBytes: number }
  /** A delta that makes a file of a content: which one, by its position in the version. */
  | { readonly kind: 'delta'; readonly contentIndex: number; readonly delta: RecordDelta }
  /** A delta that makes a small file at once, and is then forgotten. */
  | { readonly kind: 'patch'; readonly patch: Patch };

/** A delta without the hashes of its pieces: whoever takes it computes them. */
export type RecordDelta = Omit<Delta, 'deltaPieceHashes'>;

/** A delta that no library keeps: what comes out settles whether it was right. */
export interface Patch extends Omit<RecordDelta, 'deltaHash' | 'deltaBytes'> {
  readonly patchBytes: number;
}

/** Largest file that a patch makes, and largest base of one, in bytes: both are in memory. */
export const patchedFileBytesMax = 1024 * 1024;

const kinds = ['manifest', 'manifest-delta', 'signature', 'file', 'delta', 'patch'] as const;

const sizeFieldBytes = 6;
const hashBytes = 32;
const contentIdBytes = 80;
const deltaFieldsBytes = 3 * (hashBytes + sizeFieldBytes);

/** Bytes of each record after its kind. Fixed, so that a reader need not look ahead. */
const fieldBytesOf = {
  manifest: 0,
  'manifest-delta': contentIdBytes + deltaFieldsBytes,
  signature: 0,
  file: hashBytes + sizeFieldBytes,
  delta: 2 + deltaFieldsBytes,
  patch: 2 * (hashBytes + sizeFieldBytes) + sizeFieldBytes,
} as const satisfies Record<PackageFileRecord['kind'], number>;

/** A record: a byte for its kind, then its fields. */
export function encodeRecord(record: PackageFileRecord): Buffer {
  const bytes = Buffer.alloc(1 + fieldBytesOf[record.kind]);
  bytes.writeUInt8(kinds.indexOf(record.kind));
  if (record.kind === 'file') writeFile(bytes, 1, [record.hash, record.sizeBytes]);
  if (record.kind === 'delta') {
    bytes.writeUInt16LE(record.contentIndex, 1);
    writeDelta(bytes, 3, record.delta);
  }
  if (record.kind === 'patch') writePatch(bytes, 1, record.patch);
  if (record.kind === 'manifest-delta') {
    bytes.write(record.baseContentId, 1, 'latin1');
    writeDelta(bytes, 1 + contentIdBytes, record.delta);
  }
  return bytes;
}

/** Bytes of the fields of a record that begins with this byte; undefined when none does. */
export function recordFieldBytes(kindByte: number): number | undefined {
  const kind = kinds[kindByte];
  return kind && fieldBytesOf[kind];
}

/** The record of a kind that there is, by its fields, all of them. */
export function decodeRecord(kindByte: number, fields: Buffer): PackageFileRecord | undefined {
  const kind = kinds[kindByte];
  switch (kind) {
    case 'manifest':
    case 'signature':
      return { kind };
    case 'file': {
      const [hash, sizeBytes] = readFile(fields, 0);
      return { kind, hash, sizeBytes };
    }
    case 'delta':
      return { kind, contentIndex: fields.readUInt16LE(0), delta: readDelta(fields, 2) };
    case 'patch':
      return { kind, patch: readPatch(fields, 0) };
    case 'manifest-delta': {
      const baseContentId = fields.toString('latin1', 0, contentIdBytes).replace(/\0+$/, '');
      return { kind, baseContentId, delta: readDelta(fields, contentIdBytes) };
    }
    default:
      return undefined;
  }
}

type HashAndSize = readonly [hash: string, sizeBytes: number];

function writeFile(bytes: Buffer, start: number, [hash, sizeBytes]: HashAndSize): void {
  if (parseHash(hash) === undefined) throw new RangeError('This is no hash');
  bytes.write(hash, start, 'hex');
  bytes.writeUIntLE(sizeBytes, start + hashBytes, sizeFieldBytes);
}

function readFile(bytes: Buffer, start: number): HashAndSize {
  const sizeStart = start + hashBytes;
  return [bytes.toString('hex', start, sizeStart), bytes.readUIntLE(sizeStart, sizeFieldBytes)];
}

function writeDelta(bytes: Buffer, start: number, delta: RecordDelta): void {
  const step = hashBytes + sizeFieldBytes;
  writeFile(bytes, start, [delta.fileHash, delta.fileBytes]);
  writeFile(bytes, start + step, [delta.baseHash, delta.baseBytes]);
  writeFile(bytes, start + 2 * step, [delta.deltaHash, delta.deltaBytes]);
}

function readDelta(bytes: Buffer, start: number): RecordDelta {
  const step = hashBytes + sizeFieldBytes;
  const [fileHash, fileBytes] = readFile(bytes, start);
  const [baseHash, baseBytes] = readFile(bytes, start + step);
  const [deltaHash, deltaBytes] = readFile(bytes, start + 2 * step);
  return { fileHash, fileBytes, baseHash, baseBytes, deltaHash, deltaBytes };
}

function writePatch(bytes: Buffer, start: number, patch: Patch): void {
  const step = hashBytes + sizeFieldBytes;
  writeFile(bytes, start, [patch.fileHash, patch.fileBytes]);
  writeFile(bytes, start + step, [patch.baseHash, patch.baseBytes]);
  bytes.writeUIntLE(patch.patchBytes, start + 2 * step, sizeFieldBytes);
}

function readPatch(bytes: Buffer, start: number): Patch {
  const step = hashBytes + sizeFieldBytes;
  const [fileHash, fileBytes] = readFile(bytes, start);
  const [baseHash, baseBytes] = readFile(bytes, start + step);
  const patchBytes = bytes.readUIntLE(start + 2 * step, sizeFieldBytes);
  return { fileHash, fileBytes, baseHash, baseBytes, patchBytes };
}
