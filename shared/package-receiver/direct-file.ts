/**
 * Runs in the receive worker: writes to a file past the page cache. What arrives is not read again
 * here, and to find room for it in the page cache may cost more CPU than all the rest of a push.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { alignedMemory, alignmentBytes } from '../content-library/aligned-memory.ts';
import { isSystemError } from '../content-library/library-failure.ts';
import { writeFully } from '../content-library/write-fully.ts';
import { pieceBytes } from '../domain/content.ts';

/** Its thread writes one piece at a time. */
const alignedPiece = alignedMemory(pieceBytes);

/** How a direct file is opened. */
interface DirectFileOptions {
  readonly flag: number | undefined;
}

/** Writes to one file past the page cache. */
export class DirectFile {
  readonly #path: string;
  readonly #flag: number | undefined;
  #fd: number | undefined;
  #isRefused = false;

  /**
   * @param path of a file that exists once something is written
   * @param options.flag asks for such writes; undefined where the platform has none. @default O_DIRECT
   */
  constructor(path: string, { flag }: DirectFileOptions = { flag: constants.O_DIRECT }) {
    this.#path = path;
    this.#flag = flag;
  }

  /**
   * Writes bytes that are as long, and go to a position, as such writes must be. What others wrote
   * there before, through the page cache, is gone from it.
   *
   * @param bytes at most one piece
   * @returns whether all is written; if not, it may be in part, and is to be written in the usual way
   * @throws whatever a write meets, such as ENOSPC
   */
  write(bytes: Uint8Array, position: number): boolean {
    if (this.#flag === undefined || this.#isRefused) return false;
    if (!isAligned(bytes.length) || !isAligned(position)) return false;
    try {
      this.#fd ??= openSync(this.#path, constants.O_WRONLY | constants.O_NOFOLLOW | this.#flag);
      alignedPiece.set(bytes);
      writeFully(this.#fd, alignedPiece.subarray(0, bytes.length), position);
      return true;
    } catch (error) {
      // Some file systems say so when the file is opened, others at the first write.
      if (!isSystemError(error, 'EINVAL', 'EOPNOTSUPP')) throw error;
      this.#isRefused = true;
      this.close();
      return false;
    }
  }

  /** Safe twice; a later write would open it anew. */
  close(): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
  }
}

function isAligned(value: number): boolean {
  return value % alignmentBytes === 0;
}
