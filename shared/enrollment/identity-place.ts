import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { rm, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type PairFile, readPairFile, writePairFile } from '../certificates/pair-file.ts';
import {
  type FileOwner,
  makeSecretDirectory,
  readSecretFile,
  writeSecretFile,
} from '../certificates/secret-files.ts';
import { writeRootsFile } from '../certificates/trusted-roots.ts';
import { parseAddress } from '../domain/distribution-point.ts';
import { WaybillError } from '../domain/errors.ts';
import { holderOf } from '../domain/peer-identity.ts';
import { identityOfSubjectAltName } from '../rpc/certificate-identity.ts';
import { authoritySiteOf } from '../rpc/certificate-trust.ts';
import { whileActingAs } from '../runtime/acting-user.ts';
import type { Enrolled } from './enrolling.ts';

/** A certificate that is there already. */
export interface HeldCertificate {
  /** Such as `dp/PS1DP1`; undefined when it is nobody's of ours. */
  readonly holder: string | undefined;
  readonly notAfterMs: number;
  /** Whether its key is the one that an enrollment has begun with and not ended: it came to its end. */
  readonly isNew: boolean;
  /** ID of the token that this key was made for; undefined: for none, or it is not new. */
  readonly tokenId?: string;
}

/**
 * Where what an enrollment brings is kept (docs/trust.md, 2): each file written whole, for its owner only, and by
 * him: root is the owner of the directory while it works there.
 * The key that is asked with is there first and goes last, so that what a crash left goes on with it.
 */
export class IdentityPlace {
  /** Roots, and the key of an enrollment that is under way. */
  readonly directory: string;
  /** Key and certificates: `agent.pem`, or `authority.pem` of a site. */
  readonly credentialFile: string;
  readonly #owner: FileOwner | undefined;

  constructor(directory: string, credentialFile: string, owner?: FileOwner) {
    this.directory = directory;
    this.credentialFile = credentialFile;
    this.#owner = owner;
  }

  get rootsFile(): string {
    return join(this.directory, 'roots.crt');
  }

  get #keyFile(): string {
    return join(this.directory, 'next.key');
  }

  get #addressFile(): string {
    return join(this.directory, 'renewal-address');
  }

  /** What is there. @throws CERTIFICATE_INVALID when it cannot be read, or others can read it */
  async held(): Promise<HeldCertificate | undefined> {
    const [pair, pending] = await this.#asOwner(async () => [
      await readPairFile(this.credentialFile),
      await readSecretFile(this.#keyFile),
    ]);
    if (!pair) return undefined;
    try {
      return heldIn(pair, pending);
    } catch (error) {
      const path = this.credentialFile;
      const reason = 'its certificate or its key is spoilt';
      throw new WaybillError({ code: 'CERTIFICATE_INVALID', path, reason }, { cause: error });
    }
  }

  /**
   * The key to ask with: the one that was asked with before, else a new one, on disk.
   *
   * @param enrollment asks with a token: never with a key that was made for another one, and `isAnew` only with one
   *   that was made for this one, for what else is there somebody may have copied. Absent: renews
   */
  keyToAskWith(
    newPrivateKey: () => Promise<string>,
    enrollment?: { readonly tokenId: string; readonly isAnew: boolean },
  ): Promise<string> {
    return this.#asOwner(async () => {
      await makeSecretDirectory(this.directory, this.#owner);
      const pending = await readSecretFile(this.#keyFile);
      if (pending !== undefined && mayAskWith(pending, enrollment)) return keyTextOf(pending);
      const key = await newPrivateKey();
      const mark = enrollment ? markOf(enrollment.tokenId) : '';
      await writeSecretFile(this.#keyFile, `${mark}${key}`, this.#owner);
      return key;
    });
  }

  /**
   * When the pending key was last asked with, by the clock; undefined: there is none. So that a program that
   * is started again and again asks no more often.
   */
  async lastAskedAtMs(): Promise<number | undefined> {
    return (await stat(this.#keyFile).catch(() => undefined))?.mtimeMs;
  }

  /** The pending key is asked with now. */
  async asking(nowMs: number): Promise<void> {
    await utimes(this.#keyFile, nowMs / 1000, nowMs / 1000);
  }

  /** The roots before whatever stands on them. */
  async writeRoots({ root }: Pick<Enrolled, 'root'>): Promise<void> {
    // Of generation 0: which there are besides, and how many there have been, is told later, signed.
    const held = { generation: 0, roots: [root.toString()] };
    await this.#asOwner(() => writeRootsFile(this.rootsFile, held, this.#owner));
  }

  /** With this it is enrolled. */
  async writeCredentials({
    key,
    certificates,
  }: Pick<Enrolled, 'key' | 'certificates'>): Promise<void> {
    await this.#asOwner(async () => {
      await makeSecretDirectory(dirname(this.credentialFile), this.#owner);
      await writePairFile(this.credentialFile, { key, certificates }, this.#owner);
    });
  }

  /** host:port where its site last said that it renews certificates; undefined: it has said nothing. */
  async toldRenewalAddress(): Promise<string | undefined> {
    const text = await readSecretFile(this.#addressFile);
    return text === undefined ? undefined : parseAddress(text.trim());
  }

  /** Keeps that, in one step; the same again changes nothing, and a file there that cannot be read is replaced. */
  async keepRenewalAddress(address: string): Promise<void> {
    if ((await this.toldRenewalAddress().catch(() => undefined)) === address) return;
    await writeSecretFile(this.#addressFile, `${address}\n`, this.#owner);
  }

  /**
   * Where it renews from now on, besides where its configuration says: what the identity before was told is over
   * with it. In one step; a file there that cannot be read is replaced.
   *
   * @param address empty: nowhere else
   */
  async restartRenewingAt(address: string): Promise<void> {
    await this.#asOwner(() =>
      address === ''
        ? rm(this.#addressFile, { force: true })
        : writeSecretFile(this.#addressFile, `${address}\n`, this.#owner),
    );
  }

  /** It has come to its end: the next one begins with another key. */
  async finish(): Promise<void> {
    await this.#asOwner(() => rm(this.#keyFile, { force: true }));
  }

  #asOwner<T>(work: () => Promise<T>): Promise<T> {
    return whileActingAs(this.#owner, work);
  }
}

/**
 * Whom new files in a directory are for: its owner, when we are root and he is not, as with a service that has a
 * user of its own.
 */
export async function ownerOf(
  directory: string,
  ourUid: number | undefined,
): Promise<FileOwner | undefined> {
  if (ourUid !== 0) return undefined;
  const found = await stat(directory).catch(() => undefined);
  return found && found.uid !== 0 ? { uid: found.uid, gid: found.gid } : undefined;
}

/** @throws what OpenSSL says of a certificate or key that is none */
function heldIn(pair: PairFile, pending: string | undefined): HeldCertificate {
  const [own = ''] = pair.certificates;
  const certificate = new X509Certificate(own);
  const isNew = pending !== undefined && isSameKey(pending, pair);
  const tokenId = isNew ? tokenIdOf(pending) : undefined;
  return {
    holder: holderOfCertificate(certificate),
    notAfterMs: Date.parse(certificate.validTo),
    isNew,
    ...(tokenId !== undefined && { tokenId }),
  };
}

/** The line before a key that was made for a token; what older programs made has none. */
function markOf(tokenId: string): string {
  return `token ${tokenId}\n`;
}

function tokenIdOf(pending: string): string | undefined {
  return /^token ([0-9a-f]{16})\n/.exec(pending)?.[1];
}

function keyTextOf(pending: string): string {
  return pending.slice(Math.max(0, pending.indexOf('-----BEGIN ')));
}

function mayAskWith(
  pending: string,
  enrollment: { readonly tokenId: string; readonly isAnew: boolean } | undefined,
): boolean {
  if (!isKey(pending)) return false;
  const madeFor = tokenIdOf(pending);
  if (!enrollment || madeFor === enrollment.tokenId) return true;
  return madeFor === undefined && !enrollment.isAnew;
}

function holderOfCertificate(certificate: X509Certificate): string | undefined {
  if (!certificate.ca) {
    const identity = identityOfSubjectAltName(certificate.subjectAltName);
    return identity && holderOf(identity);
  }
  const siteCode = authoritySiteOf(certificate);
  return siteCode === undefined ? undefined : holderOf({ kind: 'site', siteCode });
}

function isSameKey(pem: string, pair: PairFile): boolean {
  return isKey(pem) && createPublicKey(keyTextOf(pem)).equals(createPublicKey(pair.key));
}

function isKey(pem: string): boolean {
  try {
    createPrivateKey(keyTextOf(pem));
    return true;
  } catch {
    return false;
  }
}
