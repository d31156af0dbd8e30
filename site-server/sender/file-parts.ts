import { type FileHandle, open } from 'node:fs/promises';
import { isSystemError } from '../../shared/content-library/library-failure.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { PackageFileFacts } from '../../shared/domain/send-request.ts';

/** Reads a package file in order; closed when it is disposed of. */
export class FileParts implements AsyncDisposable {
  readonly #file: FileHandle;
  readonly #facts: PackageFileFacts;

  private constructor(file: FileHandle, facts: PackageFileFacts) {
    this.#file = file;
    this.#facts = facts;
  }

  /** @throws FILE_NOT_HELD when it is not there in its full length */
  static async open(path: string, facts: PackageFileFacts): Promise<FileParts> {
    const file = await open(path, 'r').catch((error) => {
      throw isSystemError(error, 'ENOENT') ? notHeld(facts) : error;
    });
    const { size } = await file.stat();
    if (size === facts.fileBytes) return new FileParts(file, facts);
    await file.close();
    throw notHeld(facts);
  }

  /** So many bytes from an offset, in memory of their own. @throws FILE_NOT_HELD when it ends early */
  async read(offset: number, bytes: number): Promise<Buffer> {
    const part = Buffer.allocUnsafeSlow(bytes);
    for (let read = 0; read < bytes; ) {
      const { bytesRead } = await this.#file.read(part, read, bytes - read, offset + read);
      if (bytesRead === 0) throw notHeld(this.#facts);
      read += bytesRead;
    }
    return part;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

function notHeld({ fileHash }: PackageFileFacts): WaybillError {
  return new WaybillError({ code: 'FILE_NOT_HELD', fileHash });
}
