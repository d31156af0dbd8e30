import { createPrivateKey, sign, verify, X509Certificate } from 'node:crypto';
import { parseAddress } from '../../shared/domain/distribution-point.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { SigningKey, SiteIdentity } from '../../shared/domain/site.ts';
import {
  authoritiesOf,
  certificateBlocks,
  chainOf,
  isIssuedBy,
  peerOfChain,
  refusalOfTime,
} from '../../shared/rpc/certificate-trust.ts';
import type { KnownTrust } from '../../shared/rpc/known-trust.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import { ignoreAbort } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import {
  digestOf,
  isSiteIdentity,
  publicKeyOf,
  refusalOfIdentity,
  signingKeyCountMax,
} from '../../shared/site-identity/identity-check.ts';
import { identityText } from '../../shared/site-identity/identity-text.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import { authorityNamed } from '../certificate-authority/site-authority-certificate.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import { SigningKeyFiles } from './signing-key-files.ts';

/** What the keeper of the site's identity needs. */
export interface SiteIdentityComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  /** What the other sites say of themselves, as it came. */
  readonly directory: Pick<SiteDirectory, 'identityOf' | 'tree'>;
  readonly credentials: PeerCredentials;
  /** Whose certificates are nobody's. @default no one's */
  readonly trust?: Pick<KnownTrust, 'revocationOf'>;
  /** host:port by which others reach this site, as it is once the site listens. */
  readonly siteAddress: () => string;
  readonly agentVersion: string;
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  readonly logger: Logger;
}

/** How it is tuned. */
export interface SiteIdentityConfig {
  readonly siteCode: string;
  /** The folder of the signing keys, such as `<data>/signing-keys`. */
  readonly keyDirectory: string;
  /** How long what a key signed before it retired is believed. @default 30 days */
  readonly retiredKeyMs: number;
}

/**
 * How often a site signs what it says of itself anew, though nothing has changed: by that others know that
 * nobody in between holds back what it says (freeze).
 */
export const signedAnewMs = 24 * 3_600_000;

/** Why a signature is not believed. */
export type SignatureRefusal = 'key-unknown' | 'key-retired' | 'signature';

/** A text and who is said to have signed it, when. */
export interface SignedText {
  readonly siteCode: string;
  readonly keyId: string;
  readonly bytes: Uint8Array;
  readonly signature: Uint8Array;
  /** As the text itself says; believed only once the signature is right. */
  readonly signedAtMs: number;
}

/**
 * Who this site is to the others: keeps the signing keys, and the site's row of "site identities",
 * signed with the key of its certificate. Signs instructions, and checks those of other sites by
 * their rows. Writes the key folder and that one row; a crash leaves keys whole, and a row that is
 * behind is written at the next start.
 */
export class SiteIdentityKeeper implements Component {
  readonly #components: SiteIdentityComponents;
  readonly #config: SiteIdentityConfig;
  readonly #keys: SigningKeyFiles;
  readonly #changes = new SerialQueue();
  #unlisten: (() => void) | undefined;
  readonly #stopped = new AbortController();
  #saying: Promise<void> | undefined;
  /** The rows that were believed, by site; a row that changes is another object. */
  readonly #believed = new Map<string, { readonly row: SiteIdentity; readonly untilMs: number }>();

  private constructor(
    components: SiteIdentityComponents,
    config: SiteIdentityConfig,
    keys: SigningKeyFiles,
  ) {
    this.#components = components;
    this.#config = config;
    this.#keys = keys;
  }

  /** Opens the signing keys; the first one is made when there is none. */
  static async open(
    components: SiteIdentityComponents,
    config: SiteIdentityConfig,
  ): Promise<SiteIdentityKeeper> {
    const keys = await SigningKeyFiles.open(config.keyDirectory, components.clock.nowMs());
    return new SiteIdentityKeeper(components, config, keys);
  }

  /** Brings the site's row up to date. After the site listens: the row has its address. */
  async start(): Promise<void> {
    this.#unlisten = this.#components.credentials.onChange?.(() => this.#useNewCredentials());
    await this.#changes.run(() => this.#publish());
    this.#saying ??= this.#sayNowAndThen();
  }

  async stop(): Promise<void> {
    this.#unlisten?.();
    this.#stopped.abort();
    await this.#saying;
    await this.#changes.whenIdle();
  }

  /**
   * Signs with a new key from now on. What the one before has signed is believed for 30 days more.
   *
   * @throws REQUEST_INVALID after too many rotations within that time; DISK_FULL
   */
  async rotate(): Promise<void> {
    await this.#changes.run(async () => {
      const nowMs = this.#components.clock.nowMs();
      const kept = this.#keys.keys.filter((key) => this.#isListed(key, nowMs));
      if (kept.length >= signingKeyCountMax) {
        const expected = `at most ${signingKeyCountMax - 1} changes of the key in 30 days`;
        throw requestInvalid('signing key', { expected, actual: `${kept.length}` });
      }
      await this.#requireRoomToPublish();
      await this.#keys.rotate(nowMs, nowMs - this.#config.retiredKeyMs);
      this.#components.logger.info({ keyId: this.#keys.keys[0]?.keyId }, 'Changed the signing key');
      await this.#publish();
    });
  }

  /** Signs bytes with the newest key: Ed25519, 64 bytes. */
  sign(bytes: Uint8Array): { readonly keyId: string; readonly signature: Buffer } {
    return this.#keys.sign(bytes);
  }

  /**
   * Signs bytes that carry this site's identity, so that whoever knows nothing but the hierarchy's CA can
   * check them: the key that signs is one of those the identity names.
   *
   * @param toBytes what is signed, by the identity
   */
  signWithIdentity(
    toBytes: (identity: SiteIdentity) => Buffer,
  ): Promise<{ readonly bytes: Buffer; readonly keyId: string; readonly signature: Buffer }> {
    return this.#changes.run(async () => {
      const rows = this.#components.store.records(keySpaces.siteIdentities);
      const row = await rows.get(this.#config.siteCode);
      if (!row) throw new Error('The site has said nothing of itself yet');
      const bytes = toBytes(row);
      return { bytes, ...this.#keys.sign(bytes) };
    });
  }

  /**
   * Why a signed text is not believed; undefined when that site signed these very bytes, with a key
   * it has, or had and retired no longer than 30 days ago and after it says it signed. A site that is revoked has
   * none, until it has said with a new certificate which.
   */
  refusalOf(text: SignedText): SignatureRefusal | undefined {
    const identity = this.#identityOf(text.siteCode);
    if (identity && this.#isRevoked(identity)) return 'key-unknown';
    const key = identity?.signingKeys.find(({ keyId }) => keyId === text.keyId);
    const publicKey = key && publicKeyOf(key);
    if (!key || !publicKey) return 'key-unknown';
    if (text.signature.length !== 64) return 'signature';
    if (!verify(null, text.bytes, publicKey, text.signature)) return 'signature';
    const nowMs = this.#components.clock.nowMs();
    const isTooLate = key.retiredAtMs > 0 && text.signedAtMs > key.retiredAtMs;
    return isTooLate || !this.#isListed(key, nowMs) ? 'key-retired' : undefined;
  }

  /**
   * For whoever takes rows of "site identities" from other sites: why this row is not taken, as
   * the end of a sentence; undefined when it is sound. Whether its certificate counts now is judged when
   * the row is used: that of a site that has been off for long would hold up all other rows, and a clock
   * that is wrong here is no fault of theirs. So would one under a root that was retired before this site came: it
   * is sound but for that, and passed over (`isRollback`); not where what is held is believed, for then it is of a
   * root of which this site is just to hear, or of none.
   *
   * @param key the row's key, a site code
   */
  checkIdentityRow(key: string, row: unknown): string | undefined {
    const refusal = this.#refusalOf(key, row, undefined);
    if (refusal === undefined || !isSoundButForItsRoot(key, row)) return refusal;
    const held = this.#components.directory.identityOf(key);
    const isHeldBelieved = held && this.#refusalOf(key, held, undefined) === undefined;
    return isHeldBelieved ? refusal : undefined;
  }

  #refusalOf(key: string, row: unknown, nowMs: number | undefined): string | undefined {
    const authorities = authoritiesOf(this.#components.credentials.ca);
    return refusalOfIdentity(row, { siteCode: key, authorities, nowMs });
  }

  /**
   * Whether a row of "site identities" that comes from another site, and is sound, takes back what is
   * held here: a site in between can keep an old one, but cannot sign a new one. Nobody deletes them.
   * What others hold of this very site and is not what it says is said anew.
   *
   * @param row undefined: deleted
   */
  isRollback(key: string, row: unknown): boolean {
    const held = this.#components.directory.identityOf(key);
    const isOfNoRoot = row !== undefined && this.#refusalOf(key, row, undefined) !== undefined;
    if (!held) return isOfNoRoot;
    const { signedAtMs, signature } = (row ?? noIdentity) as SiteIdentity;
    if (key === this.#config.siteCode && signature !== held.signature) this.#sayAnew(signedAtMs);
    return isOfNoRoot || signedAtMs < held.signedAtMs;
  }

  /** Others know this site by its certificate; whom it believes, its roots say. */
  #useNewCredentials(): void {
    this.#believed.clear();
    this.#sayAnew(-1);
  }

  async #sayNowAndThen(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await this.#components.clock.sleep(signedAnewMs, signal).catch(ignoreAbort);
      if (!signal.aborted) this.#sayAnew(-1);
    }
  }

  #sayAnew(otherSignedAtMs: number): void {
    this.#changes
      .run(() => this.#publish(otherSignedAtMs))
      .catch((err: unknown) => {
        if (!isErrorWithCode(err, 'DISK_FULL')) throw err;
        this.#components.logger.warn({ err }, 'The identity of this site could not be said anew');
      });
  }

  /** What a known site says of itself, if that is believed, whoever wrote the row here. */
  #identityOf(siteCode: string): SiteIdentity | undefined {
    const { directory, clock, logger } = this.#components;
    const row = directory.identityOf(siteCode);
    if (!row || !directory.tree.get(siteCode)) return undefined;
    const believed = this.#believed.get(siteCode);
    if (believed?.row === row && clock.nowMs() <= believed.untilMs) return row;
    this.#believed.delete(siteCode);
    const refusal = this.#refusalOf(siteCode, row, clock.nowMs());
    if (refusal !== undefined) {
      logger.warn({ siteCode, refusal }, 'The identity of a site is not believed');
      return undefined;
    }
    const untilMs = Date.parse(new X509Certificate(row.certificate).validTo);
    this.#believed.set(siteCode, { row, untilMs });
    return row;
  }

  /** @param identity one that is believed */
  #isRevoked({ certificate }: SiteIdentity): boolean {
    const { credentials, trust } = this.#components;
    const chain = chainOf(Buffer.from(certificate, 'latin1'));
    const peer = peerOfChain(chain, authoritiesOf(credentials.ca));
    return !peer || trust?.revocationOf(peer) !== undefined;
  }

  #isListed({ retiredAtMs }: SigningKey, nowMs: number): boolean {
    return retiredAtMs === 0 || nowMs - retiredAtMs < this.#config.retiredKeyMs;
  }

  /** A key that nobody is told of would sign what nobody believes. @throws DISK_FULL */
  async #requireRoomToPublish(): Promise<void> {
    const { store } = this.#components;
    const rows = store.records(keySpaces.siteIdentities);
    const { siteCode } = this.#config;
    const row = await rows.get(siteCode);
    if (row) await store.write([rows.put(siteCode, row)], { sync: true });
  }

  /** @param otherSignedAtMs of a row that others hold in place of this site's */
  async #publish(otherSignedAtMs = -1): Promise<void> {
    const { store, clock } = this.#components;
    const rows = store.records(keySpaces.siteIdentities);
    const { siteCode } = this.#config;
    const nowMs = clock.nowMs();
    if (this.#hasNoValidCertificate(nowMs)) return;
    const facts = this.#facts(nowMs);
    const before = await rows.get(siteCode);
    const isSound = before && this.#refusalOf(siteCode, before, nowMs) === undefined;
    // A row from the future says nothing of today: the clock was set back.
    const isFresh = before && Math.abs(nowMs - before.signedAtMs) < signedAnewMs;
    if (isSound && isFresh && isSame(facts, before) && otherSignedAtMs < 0) return;
    // Later than the one before, even when the clock was set back: others keep the later one.
    const signedAtMs = Math.max(nowMs, (before?.signedAtMs ?? 0) + 1, otherSignedAtMs + 1);
    const unsigned = { ...facts, signedAtMs };
    const row = { ...unsigned, signature: this.#signatureOf(unsigned) };
    await store.write([rows.put(siteCode, row)], { sync: true });
  }

  /** Nobody would believe a row that is signed now; it is said again once there is a certificate that counts. */
  #hasNoValidCertificate(nowMs: number): boolean {
    const { credentials, logger } = this.#components;
    const chain = chainOf(credentials.certificate);
    const isOfRetiredRoot = !isIssuedBy(chain, authoritiesOf(credentials.ca));
    const refusal = isOfRetiredRoot
      ? 'the root behind it counts no more'
      : refusalOfTime(chain[0], nowMs);
    if (refusal !== undefined) {
      logger.warn(
        { refusal },
        'This site says nothing of itself: its certificate does not count now',
      );
    }
    return refusal !== undefined;
  }

  #facts(nowMs: number): Omit<SiteIdentity, 'signature' | 'signedAtMs'> {
    const { credentials, siteAddress, agentVersion } = this.#components;
    return {
      siteCode: this.#config.siteCode,
      address: parseAddress(siteAddress()) ?? '',
      agentVersion,
      signingKeys: this.#keys.keys.filter((key) => this.#isListed(key, nowMs)),
      certificate: credentials.certificate.toString('latin1'),
    };
  }

  #signatureOf(unsigned: Omit<SiteIdentity, 'signature'>): string {
    const key = createPrivateKey(this.#components.credentials.key);
    return sign(digestOf(key), identityText(unsigned), key).toString('base64');
  }
}

/** Whether everything of a row is right, but that no root that is trusted here stands behind its site's authority. */
function isSoundButForItsRoot(siteCode: string, row: unknown): boolean {
  if (!isSiteIdentity(row)) return false;
  const authority = authorityNamed(
    certificateBlocks(Buffer.from(row.certificate, 'latin1'))[1] ?? '',
    siteCode,
  );
  if (!authority) return false;
  const trust = { siteCode, authorities: [authority], nowMs: undefined };
  return refusalOfIdentity(row, trust) === undefined;
}

/** What a deleted row says. */
const noIdentity: Pick<SiteIdentity, 'signedAtMs' | 'signature'> = { signedAtMs: 0, signature: '' };

function isSame(facts: Omit<SiteIdentity, 'signature' | 'signedAtMs'>, row: SiteIdentity): boolean {
  const { signature: _, signedAtMs: __, ...rest } = row;
  return Buffer.from(identityText({ ...facts, signedAtMs: 0 })).equals(
    identityText({ ...rest, signedAtMs: 0 }),
  );
}
