import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { filePathOf } from '../content-library/library-layout.ts';
import { WaybillError } from '../domain/errors.ts';
import type { SendableFile } from './content-item.ts';

interface OpenFile {
  readonly handle: Promise<FileHandle>;
  /** Reads that run now. */
  userCount: number;
  /** To be closed when its last read has ended. */
  isForgotten: boolean;
}

/**
 * Files of the content library that pieces are read from; a few stay open for the next piece.
 * Called by PieceSource; stores nothing.
 */
export class OpenLibraryFiles {
  readonly #directory: string;
  readonly #openMax: number;
  /** Least recently used first. */
  readonly #open = new Map<string, OpenFile>();

  /** @param openMax files kept open while nobody reads them */
  constructor(directory: string, openMax: number) {
    this.#directory = directory;
    this.#openMax = openMax;
  }

  /**
   * Fills all of `into` with the bytes of a file from a position on.
   *
   * @throws FILE_NOT_HELD when the library lost the file, or does not hold it in its length
   */
  async read(file: SendableFile, into: Uint8Array, position: number): Promise<void> {
    const opened = this.#take(file);
    let isReplaced = false;
    try {
      const handle = await opened.handle;
      // A file that was written anew, or taken away since it was opened, has no name any more.
      isReplaced = (await handle.stat()).nlink === 0;
      if (isReplaced) this.#forget(file.hash, opened);
      else await fill(handle, { file, into, position });
    } catch (error) {
      // Another file may take this one's place: it must be found.
      this.#forget(file.hash, opened);
      throw isLost(error) ? notHeld(file) : error;
    } finally {
      opened.userCount -= 1;
      if (opened.isForgotten) closeUnlessUsed(opened);
      this.#closeUnused(this.#openMax);
    }
    if (isReplaced) await this.read(file, into, position);
  }

  /** Nobody reads: no file of a removed package stays on disk by being open. */
  rest(): void {
    this.forgetAll();
  }

  /** Every file is opened anew: another one may stand in its place. */
  forgetAll(): void {
    for (const [hash, opened] of this.#open) this.#forget(hash, opened);
  }

  #take(file: SendableFile): OpenFile {
    const opened = this.#open.get(file.hash) ?? {
      handle: openRegular(this.#directory, file),
      userCount: 0,
      isForgotten: false,
    };
    opened.userCount += 1;
    this.#open.delete(file.hash);
    this.#open.set(file.hash, opened);
    return opened;
  }

  #closeUnused(openMax: number): void {
    for (const [hash, opened] of this.#open) {
      if (this.#open.size <= openMax) return;
      if (opened.userCount === 0) this.#forget(hash, opened);
    }
  }

  /** Reads that run go on. */
  #forget(hash: string, opened: OpenFile): void {
    if (this.#open.get(hash) !== opened) return;
    this.#open.delete(hash);
    opened.isForgotten = true;
    closeUnlessUsed(opened);
  }
}

function closeUnlessUsed({ handle, userCount }: OpenFile): void {
  // One that could not be opened is not to be closed either.
  if (userCount === 0) handle.then((opened) => opened.close()).catch(() => {});
}

async function openRegular(directory: string, file: SendableFile): Promise<FileHandle> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const handle = await open(filePathOf(directory, file.hash), flags);
  try {
    const found = await handle.stat();
    if (found.isFile() && found.size === file.sizeBytes) return handle;
    throw notHeld(file);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function fill(
  handle: FileHandle,
  { file, into, position }: { file: SendableFile; into: Uint8Array; position: number },
): Promise<void> {
  for (let filled = 0; filled < into.length; ) {
    const left = into.length - filled;
    const { bytesRead } = await handle.read(into, filled, left, position + filled);
    if (bytesRead === 0) throw notHeld(file);
    filled += bytesRead;
  }
}

function isLost(error: unknown): boolean {
  return ['ENOENT', 'ELOOP', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');
}

function notHeld({ hash }: SendableFile): WaybillError {
  return new WaybillError({ code: 'FILE_NOT_HELD', fileHash: hash });
}
