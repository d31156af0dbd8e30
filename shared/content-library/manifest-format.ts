import {
  type ContentEntry,
  parseContentId,
  parseHash,
  refusalOfName,
  refusalOfTarget,
} from '../domain/content.ts';

/** What the first line of a manifest says. */
export interface ManifestHeader {
  readonly contentId: string;
  readonly entryCount: number;
  readonly fileCount: number;
  readonly sizeBytes: number;
}

/**
 * Bytes of the header line with its newline: filled up with spaces, so that a writer can put it
 * before the entries when it has counted them.
 */
export const headerBytes = 256;

/** Longest entry line without its newline: a link target of 4,095 bytes, each escaped as \u0000. */
export const entryLineBytesMax = 32 * 1024;

/**
 * Deepest entry. Each level costs a reader memory; 300 KiB of path in names of one letter are
 * 153,600 levels.
 */
export const depthMax = 262_144;

const formatVersion = 1;

/** A line that is not as it must be; the reader adds where it stands. */
export class ManifestLineError extends Error {}

/** The header line, newline included. */
export function encodeHeader(header: ManifestHeader): string {
  const { contentId, entryCount, fileCount, sizeBytes } = header;
  const fields = { format: formatVersion, contentId, entryCount, fileCount, sizeBytes };
  return `${JSON.stringify(fields).padEnd(headerBytes - 1)}\n`;
}

/** @throws ManifestLineError unless the line is what `encodeHeader` makes */
export function decodeHeader(line: string): ManifestHeader {
  const fields = parseLine(line) as Partial<ManifestHeader> & { format?: unknown };
  check(typeof fields === 'object' && fields !== null, 'the header is not an object');
  check(fields.format === formatVersion, `format is not ${formatVersion}`);
  const header = {
    contentId: text(fields.contentId, 'contentId'),
    entryCount: count(fields.entryCount, 'entryCount'),
    fileCount: count(fields.fileCount, 'fileCount'),
    sizeBytes: count(fields.sizeBytes, 'sizeBytes'),
  };
  check(parseContentId(header.contentId) !== undefined, 'contentId is no content ID');
  check(encodeHeader(header) === `${line}\n`, 'the header is not in canonical form');
  return header;
}

/** One line of an entry, without newline. */
export function encodeEntry(entry: ContentEntry): string {
  switch (entry.type) {
    case 'directory':
      return JSON.stringify(['d', entry.depth, entry.name, entry.mode, entry.mtimeNs]);
    case 'symlink':
      return JSON.stringify(['l', entry.depth, entry.name, entry.target, entry.mtimeNs]);
    case 'file': {
      const { depth, name, sizeBytes, mode, mtimeNs, hash } = entry;
      // As JSON.stringify would: of all fields only the name can need an escape.
      return `["f",${depth},${JSON.stringify(name)},${sizeBytes},${mode},"${mtimeNs}","${hash}"]`;
    }
  }
}

/**
 * The entry a line stands for, every field within its bounds. A line in any other spelling than
 * the one `encodeEntry` makes is refused, so that equal trees have equal hashes.
 *
 * @throws ManifestLineError
 */
export function decodeEntry(line: string): ContentEntry {
  const fields = parseLine(line);
  check(Array.isArray(fields), 'the entry is not an array');
  const entry = toEntry(fields);
  check(encodeEntry(entry) === line, 'the entry is not in canonical form');
  return entry;
}

function toEntry(fields: readonly unknown[]): ContentEntry {
  const [kind, depthField, nameField, a, b, c, d] = fields;
  const depth = count(depthField, 'depth');
  check(depth <= depthMax, `depth is over ${depthMax}`);
  const name = text(nameField, 'name');
  refuse(refusalOfName(name));
  switch (kind) {
    case 'd':
      return { type: 'directory', depth, name, mode: mode(a), mtimeNs: mtime(b) };
    case 'l': {
      const target = text(a, 'target');
      refuse(refusalOfTarget(depth, target));
      return { type: 'symlink', depth, name, target, mtimeNs: mtime(b) };
    }
    case 'f': {
      const hash = text(d, 'hash');
      check(parseHash(hash) !== undefined, 'hash is not 64 lower-case hexadecimal digits');
      const sizeBytes = count(a, 'size');
      return { type: 'file', depth, name, sizeBytes, mode: mode(b), mtimeNs: mtime(c), hash };
    }
    default:
      throw new ManifestLineError('the kind of entry is none of "d", "f", "l"');
  }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new ManifestLineError('the line is not JSON');
  }
}

function count(value: unknown, field: string): number {
  check(Number.isSafeInteger(value) && Number(value) >= 0, `${field} is not a whole number`);
  return Number(value);
}

function text(value: unknown, field: string): string {
  check(typeof value === 'string', `${field} is not a text`);
  return value;
}

function mode(value: unknown): number {
  const bits = count(value, 'mode');
  check(bits <= 0o7777, 'mode is over 0o7777');
  return bits;
}

/** Nanoseconds that fit 64 bits, in the one way to write them. */
function mtime(value: unknown): string {
  const digits = text(value, 'mtimeNs');
  check(/^(0|-?[1-9]\d{0,18})$/.test(digits), 'mtimeNs is not a decimal number');
  const fits = digits.length < 19 || BigInt.asIntN(64, BigInt(digits)) === BigInt(digits);
  check(fits, 'mtimeNs is beyond 64 bits');
  return digits;
}

function refuse(refusal: string | undefined): void {
  if (refusal !== undefined) throw new ManifestLineError(refusal);
}

function check(isTrue: boolean, reason: string): asserts isTrue {
  if (!isTrue) throw new ManifestLineError(reason);
}
