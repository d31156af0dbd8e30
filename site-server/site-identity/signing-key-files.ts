import {
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  sign,
} from 'node:crypto';
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { syncDirectories } from '../../shared/content-library/file-system-sync.ts';
import { isSystemError } from '../../shared/content-library/library-failure.ts';
import type { SigningKey } from '../../shared/domain/site.ts';
import { keyIdOf } from '../../shared/site-identity/identity-check.ts';
import { parseSigningKeyList, signingKeyListText } from './signing-key-list.ts';

const newKeyPair = promisify(generateKeyPair);

/** Where the public halves stand, and since when each is retired. */
const listName = 'public-keys.json';
const privateName = /^([0-9a-f]{16})\.pem$/;

/**
 * The signing keys of this site as files, so that a lost state store does not lose them: the private
 * half of the key in use in `<keyId>.pem` (PKCS8, for its owner only), and the public halves of all
 * that may still be needed in `public-keys.json`. Each file comes to be in one step: a crash leaves
 * a key in use, or none, and perhaps one that signed nothing yet, which the next opening removes.
 */
export class SigningKeyFiles {
  readonly #directory: string;
  #keys: readonly SigningKey[] = [];
  #private: KeyObject | undefined;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Opens the folder, made when it is not there; a first key is made when there is none. */
  static async open(directory: string, nowMs: number): Promise<SigningKeyFiles> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await chmod(directory, 0o700);
    const files = new SigningKeyFiles(directory);
    await files.#load(nowMs);
    // Those that retired before may still be needed, when it is only the one in use that is lost.
    if (!files.#private) await files.#use(await newPrivateKey(), nowMs, 0);
    return files;
  }

  /** All that others may still need, newest first; the first one is in use. */
  get keys(): readonly SigningKey[] {
    return this.#keys;
  }

  /** Signs with the key in use. */
  sign(bytes: Uint8Array): { readonly keyId: string; readonly signature: Buffer } {
    const [current] = this.#keys;
    if (!current || !this.#private) throw new Error('There is no signing key');
    return { keyId: current.keyId, signature: sign(null, bytes, this.#private) };
  }

  /**
   * A new key takes the place of the one in use, whose private half is deleted.
   *
   * @param forgottenMs keys that retired earlier are not listed any more
   */
  async rotate(nowMs: number, forgottenMs: number): Promise<void> {
    await this.#use(await newPrivateKey(), nowMs, forgottenMs);
  }

  async #load(nowMs: number): Promise<void> {
    const listed = await this.#readList();
    const privates = await this.#readPrivates();
    const current = listed.find(({ retiredAtMs }) => retiredAtMs === 0);
    const inUse = privates.find(({ keyId }) => keyId === current?.keyId);
    this.#keys = listed;
    if (inUse) this.#private = inUse.key;
    // The list was lost, or the first key's making was cut off after its private half.
    else if (privates[0]) await this.#use(privates[0].key, nowMs, 0);
    await this.#removeOthers();
  }

  /** What the key says of itself stands in the list only once its private half is on disk. */
  async #use(key: KeyObject, nowMs: number, forgottenMs: number): Promise<void> {
    const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' });
    const keyId = keyIdOf(publicKey);
    const pem = key.export({ type: 'pkcs8', format: 'pem' });
    await this.#write(`${keyId}.pem`, String(pem));
    const known = { keyId, publicKey: publicKey.toString('base64') };
    const keys = [
      { ...known, createdAtMs: nowMs, retiredAtMs: 0 },
      ...this.#keys
        .filter((one) => one.keyId !== keyId)
        .map((one) => (one.retiredAtMs === 0 ? { ...one, retiredAtMs: nowMs } : one))
        .filter(({ retiredAtMs }) => retiredAtMs >= forgottenMs),
    ];
    await this.#write(listName, signingKeyListText(keys));
    this.#keys = keys;
    this.#private = key;
    await this.#removeOthers();
  }

  /** Private halves that are not in use sign nothing any more; unfinished files never did. */
  async #removeOthers(): Promise<void> {
    const kept = [listName, `${this.#keys[0]?.keyId}.pem`];
    for (const name of await readdir(this.#directory)) {
      if (kept.includes(name)) continue;
      if (privateName.test(name) || name.endsWith('.new')) await rm(join(this.#directory, name));
    }
    await syncDirectories(this.#directory, [this.#directory]);
  }

  async #readList(): Promise<SigningKey[]> {
    try {
      return parseSigningKeyList(await readFile(join(this.#directory, listName), 'utf8'));
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return [];
      throw error;
    }
  }

  /** Newest first. */
  async #readPrivates(): Promise<{ keyId: string; key: KeyObject; madeAtMs: number }[]> {
    const found: { keyId: string; key: KeyObject; madeAtMs: number }[] = [];
    for (const name of await readdir(this.#directory)) {
      const keyId = privateName.exec(name)?.[1];
      if (keyId === undefined) continue;
      const path = join(this.#directory, name);
      const key = privateKeyOf(await readFile(path));
      if (key) found.push({ keyId, key, madeAtMs: (await stat(path)).mtimeMs });
    }
    return found.sort((a, b) => b.madeAtMs - a.madeAtMs);
  }

  async #write(name: string, text: string): Promise<void> {
    const path = join(this.#directory, name);
    {
      await using file = await open(`${path}.new`, 'w', 0o600);
      await file.chmod(0o600);
      await file.writeFile(text);
      await file.sync();
    }
    await rename(`${path}.new`, path);
    await syncDirectories(this.#directory, [this.#directory]);
  }
}

async function newPrivateKey(): Promise<KeyObject> {
  return (await newKeyPair('ed25519')).privateKey;
}

/** The key of a file; undefined for one that a failing disk has damaged: a new key is made. */
function privateKeyOf(pem: Buffer): KeyObject | undefined {
  try {
    const key = createPrivateKey(pem);
    return key.asymmetricKeyType === 'ed25519' ? key : undefined;
  } catch {
    return undefined;
  }
}
