import { createPublicKey, type KeyObject } from 'node:crypto';
import { rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type FileOwner,
  makeSecretDirectory,
  readSecretFile,
  writeSecretFile,
} from '../certificates/secret-files.ts';
import { whileActingAs } from '../runtime/acting-user.ts';
import { isKey } from './pending-key.ts';

/**
 * The key that a renewal has asked with: the file `renewal.key` beside the roots, there before it asks and gone once the
 * certificate is, so that what a crash left goes on with it. No enrollment asks with it, and no renewal with the key
 * of an enrollment: a token is good for one key only.
 */
export class RenewalKey {
  readonly #directory: string;
  readonly #owner: FileOwner | undefined;

  /** @param directory where the identity is */
  constructor(directory: string, owner?: FileOwner) {
    this.#directory = directory;
    this.#owner = owner;
  }

  get #path(): string {
    return join(this.#directory, 'renewal.key');
  }

  /**
   * The one that was asked with before, else a new one, on disk; PEM.
   *
   * @param inUse of the certificate that is to be followed; a crash may have come between that and the end
   * @throws CERTIFICATE_INVALID when others may read it, or it cannot be written; DISK_FULL
   */
  toAskWith(newPrivateKey: () => Promise<string>, inUse: KeyObject): Promise<string> {
    return whileActingAs(this.#owner, async () => {
      await makeSecretDirectory(this.#directory, this.#owner);
      const pending = await readSecretFile(this.#path);
      const isToAskWith =
        pending !== undefined && isKey(pending) && !createPublicKey(pending).equals(inUse);
      if (isToAskWith) return pending;
      const key = await newPrivateKey();
      await writeSecretFile(this.#path, key, this.#owner);
      return key;
    });
  }

  /**
   * When it was last asked with, by the clock; undefined: there is none. So that a program that is started again and
   * again asks no more often.
   */
  async lastAskedAtMs(): Promise<number | undefined> {
    return (await stat(this.#path).catch(() => undefined))?.mtimeMs;
  }

  /** It is asked with now. */
  async asking(nowMs: number): Promise<void> {
    await utimes(this.#path, nowMs / 1000, nowMs / 1000);
  }

  /** The next one begins with another key. */
  async forget(): Promise<void> {
    await whileActingAs(this.#owner, () => rm(this.#path, { force: true }));
  }
}
