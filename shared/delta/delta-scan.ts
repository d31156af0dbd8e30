import { BlockIndex, blockBytesFor, weakHashOf } from './block-index.ts';
import { commonEnd, commonRun, commonStart } from './common-bytes.ts';
import { copyBytesMin } from './delta-format.ts';
import type { ByteSource } from './delta-reader.ts';
import { SlidingBytes } from './sliding-bytes.ts';

/** What takes the operations that a scan finds. */
export interface OperationSink {
  /** The bytes are valid during the call only. */
  insert(bytes: Uint8Array): void;
  copy(offset: number, lengthBytes: number): void;
}

/** What a scan works with. */
export interface DeltaScanParts {
  readonly base: ByteSource;
  readonly file: ByteSource;
  readonly sink: OperationSink;
  /** Asked now and then, with what was scanned and what of it was literal: whether to go on. */
  readonly goesOn: (scannedBytes: number, literalBytes: number) => boolean;
}

/** Literal bytes that wait for a match that reaches back over them. */
const waitingBytesMax = 512 * 1024;
/** Read ahead of the scan, and compared at once, at most. */
const stepBytes = 256 * 1024;
/** Compared first, since many matches are short. */
const firstStepBytes = 4 * 1024;
/** After a match the same shift is tried for so long, and taken up again with so long a run. */
const resumeBytesMax = 8 * 1024;
const resumeRunBytes = copyBytesMin;

/**
 * Finds what of a file is in its base: blocks of the base by a rolling hash, compared byte by byte,
 * then extended both ways. Memory is bounded whatever the sizes.
 *
 * @returns false when it is not worth going on, or the base is too large
 */
export function scanForDelta(parts: DeltaScanParts): boolean {
  const blockBytes = blockBytesFor(parts.base.sizeBytes);
  if (blockBytes === undefined) return false;
  const index = indexOf(parts, blockBytes);
  return index !== undefined && new DeltaScan(parts, index).run();
}

function indexOf({ base, goesOn }: DeltaScanParts, blockBytes: number): BlockIndex | undefined {
  const blockCount = Math.floor(base.sizeBytes / blockBytes);
  const index = new BlockIndex(blockCount, blockBytes);
  const partBlocks = Math.max(1, stepBytes / blockBytes);
  for (let first = 0; first < blockCount; first += partBlocks) {
    if (!goesOn(0, 0)) return undefined;
    const count = Math.min(partBlocks, blockCount - first);
    const bytes = base.read(first * blockBytes, count * blockBytes);
    for (let block = 0; block < count; block++) {
      index.add(weakHashOf(bytes, block * blockBytes, blockBytes), first + block);
    }
  }
  return index;
}

class DeltaScan {
  readonly #parts: DeltaScanParts;
  readonly #index: BlockIndex;
  readonly #file: SlidingBytes;
  /** Up to here the file has its operations. */
  #done = 0;
  #literalBytes = 0;

  constructor(parts: DeltaScanParts, index: BlockIndex) {
    this.#parts = parts;
    this.#index = index;
    const capacityBytes = waitingBytesMax + 2 * stepBytes + 2 * index.blockBytes;
    this.#file = new SlidingBytes(parts.file, Math.min(capacityBytes, parts.file.sizeBytes));
  }

  run(): boolean {
    const { file, goesOn } = this.#parts;
    const { blockBytes } = this.#index;
    this.#goOnFrom(0);
    let at = this.#done;
    while (at + blockBytes <= file.sizeBytes) {
      if (!goesOn(at, this.#literalBytes + at - this.#done)) return false;
      at = this.#step(at);
    }
    this.#insertTo(file.sizeBytes);
    return goesOn(file.sizeBytes, this.#literalBytes);
  }

  /** @returns where to go on */
  #step(at: number): number {
    const { blockBytes } = this.#index;
    this.#file.hold(this.#done, Math.min(this.#parts.file.sizeBytes, at + blockBytes + 1));
    const { start, end } = this.#file;
    const found = this.#index.scan(this.#file.bytes, at - start, end - start);
    const position = start + found.at;
    if (found.block === -1) {
      if (position - this.#done >= waitingBytesMax) this.#insertTo(position);
      return position + 1;
    }
    return this.#match(position, found.block * blockBytes) ?? position + 1;
  }

  /** @returns the end of the match; undefined when only the hashes are the same */
  #match(at: number, baseAt: number): number | undefined {
    const { base } = this.#parts;
    const { blockBytes } = this.#index;
    const block = base.read(baseAt, blockBytes);
    if (Buffer.compare(block, this.#file.view(at, at + blockBytes)) !== 0) return undefined;
    const backMax = Math.min(at - this.#done, baseAt);
    const before = base.read(baseAt - backMax, backMax);
    const back = commonEnd(before, this.#file.view(at - backMax, at));
    this.#insertTo(at - back);
    this.#goOnFrom(this.#copy(baseAt - back, blockBytes + back));
    return this.#done;
  }

  /** As long as the base goes on as it does here, but for a few bytes now and then. */
  #goOnFrom(baseAt: number): void {
    for (let run = this.#resume(baseAt); run !== undefined; ) {
      run = this.#resume(this.#copy(run, resumeRunBytes));
    }
  }

  /** Copies what is known to be the same, and what follows as long as it is. @returns its end in the base */
  #copy(baseAt: number, knownBytes: number): number {
    const lengthBytes = knownBytes + this.#commonFrom(this.#done + knownBytes, baseAt + knownBytes);
    this.#parts.sink.copy(baseAt, lengthBytes);
    this.#done += lengthBytes;
    return baseAt + lengthBytes;
  }

  /** How many bytes are the same from here on. Nothing before is looked at again. */
  #commonFrom(from: number, baseFrom: number): number {
    const { base, file } = this.#parts;
    let length = 0;
    for (let step = firstStepBytes; ; step = Math.min(2 * step, stepBytes)) {
      const at = from + length;
      const baseAt = baseFrom + length;
      const count = Math.min(step, file.sizeBytes - at, base.sizeBytes - baseAt);
      if (count <= 0) return length;
      this.#file.hold(at, at + count);
      const common = commonStart(this.#file.view(at, at + count), base.read(baseAt, count));
      length += common;
      if (common < count) return length;
    }
  }

  /**
   * A few changed bytes, then the base goes on as before: seen at once, however short it is.
   *
   * @returns where it goes on in the base; what is in between is inserted
   */
  #resume(baseAt: number): number | undefined {
    const { base, file } = this.#parts;
    const at = this.#done;
    const count = Math.min(resumeBytesMax, file.sizeBytes - at, base.sizeBytes - baseAt);
    if (count < resumeRunBytes) return undefined;
    this.#file.hold(at, at + count);
    const view = this.#file.view(at, at + count);
    const run = commonRun(view, base.read(baseAt, count), resumeRunBytes);
    if (run === undefined) return undefined;
    this.#insertTo(at + run);
    return baseAt + run;
  }

  #insertTo(end: number): void {
    while (this.#done < end) {
      const to = Math.min(end, this.#done + stepBytes);
      this.#file.hold(this.#done, to);
      this.#parts.sink.insert(this.#file.view(this.#done, to));
      this.#literalBytes += to - this.#done;
      this.#done = to;
    }
  }
}
