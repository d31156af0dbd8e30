import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { chmod, mkdir, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { syncDirectories } from '../content-library/file-system-sync.ts';
import { toWriteFailure } from '../content-library/library-failure.ts';
import type { PeerCredentialFiles } from '../rpc/peer-credentials.ts';

/** A key that a certificate was asked for with, and when that was last. */
export interface PendingKey {
  /** PEM. Never logged. */
  readonly pem: string;
  /** By the clock of the file system; the future, when that was set back since. */
  readonly askedAtMs: number;
}

/**
 * The files of an identity that renews itself (docs/trust.md, 2): `agent.pem` holds key, certificate and
 * site authority, so that one rename replaces all three; beside it the roots, and the key of a renewal
 * that is under way. Each file is for its owner only, and comes to be in one step, synced: a crash leaves
 * the old one or the new one, and at most a key that is asked with again.
 */
export class IdentityFiles {
  readonly credentialFiles: PeerCredentialFiles;
  readonly #directory: string;

  /** @param files `certificateFile` and `keyFile` are one file */
  constructor(files: PeerCredentialFiles) {
    this.credentialFiles = files;
    this.#directory = dirname(resolve(files.certificateFile));
  }

  /**
   * Undefined for separate files, as development certificates are: those are somebody else's, and never
   * written here.
   */
  static of(files: PeerCredentialFiles): IdentityFiles | undefined {
    const isOne = resolve(files.certificateFile) === resolve(files.keyFile);
    return isOne ? new IdentityFiles(files) : undefined;
  }

  /** The key of a renewal that was begun and has not ended, if there is one that can be read. */
  async pendingKey(): Promise<PendingKey | undefined> {
    try {
      const pem = await readFile(this.#pendingPath, 'utf8');
      createPrivateKey(pem);
      return { pem, askedAtMs: (await stat(this.#pendingPath)).mtimeMs };
    } catch {
      // Not there, or nothing that one can ask with: another one is made.
      return undefined;
    }
  }

  /** Before the site hears of the key: so that whatever it answers can still be used after a crash. */
  async keepPendingKey(pem: string): Promise<void> {
    await this.#write(this.#pendingPath, pem);
  }

  /** That it is asked with now: a crash right after must not make that more often. */
  async touchPendingKey(nowMs: number): Promise<void> {
    await utimes(this.#pendingPath, nowMs / 1000, nowMs / 1000);
  }

  /** Puts the new key and certificates in the place of the old ones; the pending key is done with. */
  async install(keyPem: string, certificates: readonly string[]): Promise<void> {
    const blocks = [keyPem, ...certificates].map((pem) => `${pem.trim()}\n`);
    await this.#write(this.credentialFiles.certificateFile, blocks.join(''));
    await this.forgetPendingKey();
  }

  async forgetPendingKey(): Promise<void> {
    await rm(this.#pendingPath, { force: true });
  }

  get #pendingPath(): string {
    return join(this.#directory, 'next.key');
  }

  async #write(path: string, text: string): Promise<void> {
    const directory = dirname(resolve(path));
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await chmod(directory, 0o700);
      const temporary = `${path}.new`;
      await using file = await open(temporary, 'w', 0o600);
      // What a crash has left may have had another mode.
      await file.chmod(0o600);
      await file.writeFile(text);
      await file.sync();
      await rename(temporary, path);
      await syncDirectories(directory, [directory]);
    } catch (error) {
      throw toWriteFailure(error, path, text.length);
    }
  }
}

/** Whether two keys are one: a private key and the public key of a certificate. */
export function isKeyOf(privatePem: string, publicKey: KeyObject): boolean {
  return createPublicKey(createPrivateKey(privatePem)).equals(publicKey);
}
