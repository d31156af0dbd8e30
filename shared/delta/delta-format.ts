/** The form of a delta on disk and on the wire: docs/delta.md. */
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import type { Delta } from '../domain/delta.ts';
import { toZigzag, VarintReader, varintBytesMax, writeVarint } from './varint.ts';

/** First bytes of every delta; the last one is the version of the form. */
const magic = Buffer.from('WBDELTA1', 'latin1');

/** Operations of a frame, and literal bytes of a frame, in bytes before compression. */
export const opsBytesMax = 65_536;
export const literalBytesMax = 524_288;

/** No copy from the base is shorter: what follows a delta must not cost more than its bytes are worth. */
export const copyBytesMin = 32;

/** Longest header of a delta, and longest frame with its own header, in bytes. */
export const headerBytesMax = magic.length + 2 * 32 + 2 * varintBytesMax;
export const frameBytesMax = 4 * varintBytesMax + opsBytesMax + literalBytesMax;

/** An operation has at most three numbers. */
const operationBytesMax = 3 * varintBytesMax;

/** What a delta says it is for. */
export type DeltaSubject = Pick<Delta, 'baseHash' | 'baseBytes' | 'fileHash' | 'fileBytes'>;

/** The bytes a delta begins with. */
export function encodeHeader(subject: DeltaSubject): Buffer {
  const hashes = [subject.baseHash, subject.fileHash].map((hash) => Buffer.from(hash, 'hex'));
  const sizes = Buffer.alloc(2 * varintBytesMax);
  const end = writeVarint(sizes, writeVarint(sizes, 0, subject.baseBytes), subject.fileBytes);
  return Buffer.concat([magic, ...hashes, sizes.subarray(0, end)]);
}

/**
 * Gathers operations: at most so many that a frame holds them. An operation is an insertion of
 * literal bytes, then a copy from the base; either may be empty.
 */
export class FrameBuilder {
  readonly #isPacked: boolean;
  readonly #ops = Buffer.allocUnsafe(opsBytesMax);
  readonly #literals = Buffer.allocUnsafe(literalBytesMax);
  #opsBytes = 0;
  #literalBytes = 0;
  /** Literal bytes that no operation names yet. */
  #pendingBytes = 0;
  /** Where the last copy of this frame ended in the base. */
  #baseOffset = 0;

  /** @param options.isPacked false: frames stay as they are, for whoever packs many together */
  constructor({ isPacked = true }: { readonly isPacked?: boolean } = {}) {
    this.#isPacked = isPacked;
  }

  /** Takes as many of these literal bytes as there is room for. @returns how many */
  insert(bytes: Uint8Array): number {
    const count = Math.min(bytes.length, literalBytesMax - this.#literalBytes);
    this.#literals.set(bytes.subarray(0, count), this.#literalBytes);
    this.#literalBytes += count;
    this.#pendingBytes += count;
    return count;
  }

  copy(offset: number, length: number): void {
    this.#number(this.#pendingBytes);
    this.#number(length);
    this.#number(toZigzag(offset - this.#baseOffset));
    this.#pendingBytes = 0;
    this.#baseOffset = offset + length;
  }

  get isFull(): boolean {
    const opsLeft = opsBytesMax - this.#opsBytes;
    return opsLeft < 2 * operationBytesMax || this.#literalBytes === literalBytesMax;
  }

  /** The frame, encoded; undefined when it is empty. The next one begins. */
  take(): Buffer | undefined {
    if (this.#pendingBytes > 0) {
      this.#number(this.#pendingBytes);
      this.#number(0);
      this.#pendingBytes = 0;
    }
    if (this.#opsBytes === 0) return undefined;
    const frame = encodeFrame(
      this.#ops.subarray(0, this.#opsBytes),
      this.#literals.subarray(0, this.#literalBytes),
      this.#isPacked,
    );
    this.#opsBytes = 0;
    this.#literalBytes = 0;
    this.#baseOffset = 0;
    return frame;
  }

  #number(value: number): void {
    this.#opsBytes = writeVarint(this.#ops, this.#opsBytes, value);
  }
}

/** Where the two parts of a frame are, and how long they are once decompressed. */
export interface FrameHeader {
  readonly opsBytes: number;
  readonly opsPacked: number;
  readonly literalBytes: number;
  readonly literalPacked: number;
  /** Bytes of the header itself. */
  readonly headerBytes: number;
}

/** Reads the header of a frame; undefined when there is none that may be followed. */
export function decodeFrameHeader(bytes: Uint8Array): FrameHeader | undefined {
  const reader = new VarintReader(bytes);
  const [opsBytes, opsPacked] = [reader.next(), reader.next()];
  const [literalBytes, literalPacked] = [reader.next(), reader.next()];
  if (opsBytes === undefined || opsPacked === undefined) return undefined;
  if (literalBytes === undefined || literalPacked === undefined) return undefined;
  const isBounded = opsBytes >= 1 && opsBytes <= opsBytesMax && literalBytes <= literalBytesMax;
  if (!isBounded || opsPacked > opsBytes || literalPacked > literalBytes) return undefined;
  return { opsBytes, opsPacked, literalBytes, literalPacked, headerBytes: reader.position };
}

/** A part of a frame as it was before compression; undefined when it does not become that. */
export function unpack(packed: Uint8Array, sizeBytes: number): Uint8Array | undefined {
  if (packed.length === sizeBytes) return packed;
  try {
    const bytes = brotliDecompressSync(packed, { maxOutputLength: Math.max(1, sizeBytes) });
    return bytes.length === sizeBytes ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a delta begins as it must; then the position behind its header. */
export function headerEndOf(bytes: Uint8Array, subject: DeltaSubject): number | undefined {
  const expected = encodeHeader(subject);
  const actual = bytes.subarray(0, expected.length);
  return Buffer.compare(actual, expected) === 0 ? expected.length : undefined;
}

function encodeFrame(ops: Buffer, literals: Buffer, isPacked: boolean): Buffer {
  const [packedOps, packedLiterals] = isPacked ? [pack(ops), pack(literals)] : [ops, literals];
  const header = Buffer.alloc(4 * varintBytesMax);
  let end = 0;
  for (const { length } of [ops, packedOps, literals, packedLiterals]) {
    end = writeVarint(header, end, length);
  }
  return Buffer.concat([header.subarray(0, end), packedOps, packedLiterals]);
}

/** Bytes of a sample that tells whether it is worth to compress the rest. */
const sampleBytes = 16_384;

/** Compressed when that makes it shorter, else as it is. */
function pack(bytes: Buffer): Buffer {
  if (bytes.length > 4 * sampleBytes && !shrinks(bytes.subarray(0, sampleBytes))) return bytes;
  const packed = compress(bytes, 4);
  return packed.length < bytes.length ? packed : bytes;
}

function shrinks(sample: Buffer): boolean {
  return compress(sample, 1).length < 0.95 * sample.length;
}

function compress(bytes: Buffer, quality: number): Buffer {
  return brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: quality,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  });
}
