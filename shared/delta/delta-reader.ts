import type { Delta } from '../domain/delta.ts';
import { WaybillError } from '../domain/errors.ts';
import {
  copyBytesMin,
  decodeFrameHeader,
  frameBytesMax,
  headerBytesMax,
  headerEndOf,
  unpack,
} from './delta-format.ts';
import { fromZigzag, VarintReader } from './varint.ts';

/** Bytes that can be read from any position. */
export interface ByteSource {
  readonly sizeBytes: number;
  /** So many bytes from a position, fewer at the end; valid until the next call. */
  read(position: number, lengthBytes: number): Uint8Array;
}

/** A step that makes the next bytes of the file. */
export type DeltaOperation =
  | { readonly kind: 'insert'; readonly bytes: Uint8Array }
  | { readonly kind: 'copy'; readonly offset: number; readonly lengthBytes: number };

/**
 * The operations of a delta, in order. Nothing it says is believed: they stay within the base, and
 * add up to the file's size, or the reading ends with a failure. Memory is that of one frame.
 *
 * @throws DELTA_INVALID when it is damaged, cut off, too long, or for another file or base
 */
export function* deltaOperations(source: ByteSource, delta: Delta): Generator<DeltaOperation> {
  const refuse = (reason: string): never => {
    throw new WaybillError({ code: 'DELTA_INVALID', deltaHash: delta.deltaHash, reason });
  };
  let position = headerEndOf(source.read(0, headerBytesMax), delta) ?? refuse('of another file');
  let madeBytes = 0;
  while (position < source.sizeBytes) {
    const frame = source.read(position, frameBytesMax);
    const parts = partsOf(frame) ?? refuse(`no frame at ${position}`);
    position += parts.frameBytes;
    for (const operation of operationsOf(parts, delta.baseBytes, refuse)) {
      madeBytes += operation.kind === 'copy' ? operation.lengthBytes : operation.bytes.length;
      if (madeBytes > delta.fileBytes) refuse('it makes more than the file has');
      yield operation;
    }
  }
  if (madeBytes !== delta.fileBytes) refuse('it makes less than the file has');
}

interface FrameParts {
  readonly ops: Uint8Array;
  readonly literals: Uint8Array;
  readonly frameBytes: number;
}

function partsOf(frame: Uint8Array): FrameParts | undefined {
  const header = decodeFrameHeader(frame);
  if (!header) return undefined;
  const opsEnd = header.headerBytes + header.opsPacked;
  const frameBytes = opsEnd + header.literalPacked;
  if (frame.length < frameBytes) return undefined;
  const ops = unpack(frame.subarray(header.headerBytes, opsEnd), header.opsBytes);
  const literals = unpack(frame.subarray(opsEnd, frameBytes), header.literalBytes);
  // Copied: the frame's memory is used again while these are followed.
  return ops && literals && { ops: ops.slice(), literals: literals.slice(), frameBytes };
}

function* operationsOf(
  { ops, literals }: FrameParts,
  baseBytes: number,
  refuse: (reason: string) => never,
): Generator<DeltaOperation> {
  const numbers = new VarintReader(ops);
  const next = () => numbers.next() ?? refuse('an operation is cut off');
  let literalOffset = 0;
  let baseOffset = 0;
  while (!numbers.isAtEnd) {
    const [insertBytes, lengthBytes] = [next(), next()];
    if (insertBytes + lengthBytes === 0) refuse('an operation makes nothing');
    const insertEnd = literalOffset + insertBytes;
    if (insertEnd > literals.length) refuse('an operation inserts what is not there');
    if (insertBytes > 0)
      yield { kind: 'insert', bytes: literals.subarray(literalOffset, insertEnd) };
    literalOffset = insertEnd;
    if (lengthBytes === 0) continue;
    if (lengthBytes < copyBytesMin) refuse('an operation copies less than is worth it');
    const offset = baseOffset + fromZigzag(next());
    const isInBase = offset >= 0 && offset + lengthBytes <= baseBytes;
    if (!isInBase) refuse('an operation copies from beyond the base');
    yield { kind: 'copy', offset, lengthBytes };
    baseOffset = offset + lengthBytes;
  }
  if (literalOffset !== literals.length) refuse('bytes are left that no operation inserts');
}
