import { createPublicKey, type X509Certificate } from 'node:crypto';
import { readFile, rm, stat } from 'node:fs/promises';
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
import {
  authoritySiteOf,
  type CertificateChain,
  certificateBlocks,
  chainOf,
} from '../rpc/certificate-trust.ts';
import { whileActingAs } from '../runtime/acting-user.ts';
import type { Enrolled } from './enrolling.ts';
import { isKey, keyTextOf, markOf, tokenIdOf } from './pending-key.ts';
import { RenewalKey } from './renewal-key.ts';

/** A certificate that is there already. */
export interface HeldCertificate {
  readonly chain: CertificateChain;
  /** Such as `dp/PS1DP1`; undefined when it is nobody's of ours. */
  readonly holder: string | undefined;
  readonly notAfterMs: number;
  /** Whether its key is the one that an enrollment has begun with and not ended: it came to its end. */
  readonly isNew: boolean;
  /** ID of the token that this key was made for; undefined: it is not new. */
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
  /** What renewals ask with. */
  readonly renewalKey: RenewalKey;
  readonly #owner: FileOwner | undefined;

  constructor(directory: string, credentialFile: string, owner?: FileOwner) {
    this.directory = directory;
    this.credentialFile = credentialFile;
    this.renewalKey = new RenewalKey(directory, owner);
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
   * The key to ask with for a token: the one that was asked with before, else a new one, on disk. Never one that was
   * made for another token.
   *
   * @param enrollment.isAnew only one that was made for this token, for what else is there somebody may have copied
   */
  keyToAskWith(
    newPrivateKey: () => Promise<string>,
    enrollment: { readonly tokenId: string; readonly isAnew: boolean },
  ): Promise<string> {
    return this.#asOwner(async () => {
      await makeSecretDirectory(this.directory, this.#owner);
      const pending = await readSecretFile(this.#keyFile);
      if (pending !== undefined && mayAskWith(pending, enrollment)) return keyTextOf(pending);
      const key = await newPrivateKey();
      await writeSecretFile(this.#keyFile, `${markOf(enrollment.tokenId)}${key}`, this.#owner);
      return key;
    });
  }

  /**
   * Removes a key that is there for no token: older programs kept that of a renewal so. One that was made for a token
   * stays: the token may have been used for it.
   */
  async dropUnmarkedKey(): Promise<void> {
    const pending = await this.#asOwner(() => readSecretFile(this.#keyFile));
    if (pending !== undefined && tokenIdOf(pending) === undefined) await this.finish();
  }

  /** The roots as they are on disk now, PEM; undefined: there are none. */
  async roots(): Promise<Buffer | undefined> {
    const pem = await this.#asOwner(() => readFile(this.rootsFile).catch(() => undefined));
    return pem && certificateBlocks(pem).length > 0 ? pem : undefined;
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

  /** The enrollment has come to its end: the next one begins with another key. */
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
  const chain = chainOf(Buffer.from(pair.certificates.join('\n'), 'latin1'));
  const [certificate] = chain;
  const tokenId =
    pending !== undefined && isSameKey(pending, pair) ? tokenIdOf(pending) : undefined;
  return {
    chain,
    holder: holderOfCertificate(certificate),
    notAfterMs: Date.parse(certificate.validTo),
    isNew: tokenId !== undefined,
    ...(tokenId !== undefined && { tokenId }),
  };
}

function mayAskWith(
  pending: string,
  { tokenId, isAnew }: { readonly tokenId: string; readonly isAnew: boolean },
): boolean {
  if (!isKey(pending)) return false;
  const madeFor = tokenIdOf(pending);
  return madeFor === tokenId || (madeFor === undefined && !isAnew);
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
