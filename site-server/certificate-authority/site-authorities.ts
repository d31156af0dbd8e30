import type { TrustedRoots } from '../../shared/certificates/trusted-roots.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { isRevoked, type Revocation } from '../../shared/domain/revocation.ts';
import { type TrustBundleRow, trustBundleKey } from '../../shared/domain/trust-bundle.ts';
import { AbortError, isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { CertificateAuthority } from './certificate-authority.ts';
import {
  byUse,
  isDueForSigning,
  isSameKey,
  isToBeTaken,
  type KnownAuthority,
  knownAuthority,
  publicKeyInfoIn,
  travellingAuthority,
} from './site-authority-certificate.ts';

/** What the certificates of site authorities need. */
export interface SiteAuthoritiesComponents {
  readonly store: Pick<StateStore, 'records' | 'write' | 'onWritten'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly directory: Pick<SiteDirectory, 'tree' | 'identityOf'>;
  readonly trustedRoots: Pick<TrustedRoots, 'held' | 'onChange'>;
  readonly authority: CertificateAuthority;
  /** Whether and when what is known of a holder was revoked. @default never */
  readonly revocationOf?: (holder: string) => Pick<Revocation, 'revokedAtMs'> | undefined;
}

/** When sites change. */
export interface SiteAuthoritiesConfig {
  /** How long after a new root was made everybody still stands on the old one. */
  readonly rootOverlapMs: number;
  /** How often it is looked who is to have a new certificate. @default 60_000 */
  readonly lookMs: number;
  /** Nothing is signed again for a site sooner, whoever overwrites its row. @default 600_000 */
  readonly signAgainMs: number;
}

export const defaultSiteAuthoritiesConfig: Omit<SiteAuthoritiesConfig, 'rootOverlapMs'> = {
  lookMs: 60_000,
  signAgainMs: 600_000,
};

/**
 * Keeps the authorities of all sites valid, and brings them under a new root (docs/trust.md, 6). The top signs
 * each site's authority again when it is due, for the same key: the key itself is only at the site. It takes the key
 * from the identity that the site has signed, or from its own earlier word. Each site takes what is for it when
 * its time has come. Owns the replicated table "site authorities". A crash leaves a row that is taken at the
 * next start.
 */
export class SiteAuthorities implements Component {
  readonly #components: SiteAuthoritiesComponents;
  readonly #config: SiteAuthoritiesConfig;
  readonly #stopping = new AbortController();
  readonly #wake = new WakeSignal();
  /** When what was signed last, by site: at most as many as there may be sites. */
  readonly #signed = new Map<string, { readonly root: string; readonly atMs: number }>();
  #unsubscribes: (() => void)[] = [];
  #running: Promise<unknown>[] = [];

  constructor(components: SiteAuthoritiesComponents, config: SiteAuthoritiesConfig) {
    this.#components = components;
    this.#config = config;
  }

  async start(): Promise<void> {
    const { store, trustedRoots } = this.#components;
    const spaces = [keySpaces.siteAuthorities.name, keySpaces.trustBundles.name];
    this.#unsubscribes = [
      store.onWritten((changes) => {
        if (changes.some(({ space }) => spaces.includes(space))) this.#wake.wake();
      }),
      trustedRoots.onChange(() => this.#wake.wake()),
    ];
    this.#running = [this.#lookForEver(), this.#wakeForEver()];
  }

  async stop(): Promise<void> {
    for (const unsubscribe of this.#unsubscribes) unsubscribe();
    this.#stopping.abort();
    await Promise.all(this.#running);
  }

  /** Does what is due. @throws DISK_FULL; CERTIFICATE_INVALID when a key cannot be read, or a file not written */
  async look(): Promise<void> {
    if (this.#components.authority.isTop) {
      await this.#renewOwn();
      await this.#signAll();
    }
    await this.#takeOwn();
  }

  /** After a root was retired before this site stood on another: nothing that counts is left of its own authority. */
  async #renewOwn(): Promise<void> {
    const { authority, trustedRoots, logger } = this.#components;
    if (authority.bundle?.generation !== trustedRoots.held.generation) return;
    if (!(await authority.renewOwnAuthority())) return;
    logger.info('The authority of this site has a new certificate');
  }

  async #signAll(): Promise<void> {
    for (const { siteCode } of this.#components.directory.tree.list()) await this.#sign(siteCode);
  }

  async #sign(siteCode: string): Promise<void> {
    const { authority, store, clock, logger, trustedRoots } = this.#components;
    const [newestRoot = ''] = trustedRoots.held.roots;
    const known = await this.#known(siteCode);
    // Not before this site itself trusts the root it signs with.
    if (!known || authority.bundle?.generation !== trustedRoots.held.generation) return;
    if (!isDueForSigning(known, newestRoot, clock.nowMs())) return;
    if (!this.#maySign(siteCode, newestRoot)) return;
    const publicKey = publicKeyInfoIn(known.certificate);
    const certificate = await authority.certifySiteAuthority(siteCode, publicKey);
    // A site that was revoked meanwhile was perhaps given one that begins after that.
    const still = await this.#known(siteCode);
    if (!still || !isSameKey(still.certificate, known.certificate)) return;
    const row = { siteCode, certificate };
    await store.write([this.#rows.put(siteCode, row)], { sync: true });
    logger.info({ siteCode }, 'Signed the authority of a site again');
  }

  /** Not over and over, when somebody overwrites the row. */
  #maySign(siteCode: string, root: string): boolean {
    const nowMs = this.#components.clock.monotonicMs();
    const last = this.#signed.get(siteCode);
    if (last?.root === root && nowMs - last.atMs < this.#config.signAgainMs) return false;
    this.#signed.set(siteCode, { root, atMs: nowMs });
    return true;
  }

  /**
   * The certificate of a site's authority that is to be followed by another: what counts, and is newest, of what
   * the site shows and what the top has signed for that key. A site that was enrolled again has another key.
   */
  async #known(siteCode: string): Promise<KnownAuthority | undefined> {
    const { directory, authority, clock } = this.#components;
    const identity = directory.identityOf(siteCode);
    const shown = this.#counting(identity && travellingAuthority(identity.certificate), siteCode);
    const row = this.#counting((await this.#rows.get(siteCode))?.certificate, siteCode);
    const isOwn = siteCode === authority.siteCode;
    const own = this.#counting(isOwn ? authority.authorityCertificate() : undefined, siteCode);
    const isOfKey = (one: KnownAuthority) =>
      !shown || isSameKey(one.certificate, shown.certificate);
    return [shown, row, own]
      .filter((one) => one !== undefined)
      .filter(isOfKey)
      .sort(byUse(clock.nowMs()))[0];
  }

  #counting(pem: string | undefined, siteCode: string): KnownAuthority | undefined {
    const { trustedRoots, revocationOf } = this.#components;
    const known = pem ? knownAuthority(pem, siteCode, trustedRoots.held) : undefined;
    const beginsMs = Date.parse(known?.certificate.validFrom ?? '');
    return isRevoked(beginsMs, revocationOf?.(`site/${siteCode}`)) ? undefined : known;
  }

  async #takeOwn(): Promise<void> {
    const { authority, trustedRoots, clock, store, logger } = this.#components;
    const { siteCode } = authority;
    const row = await this.#rows.get(siteCode);
    if (!row) return;
    const bundle = await store.records(keySpaces.trustBundles).get(trustBundleKey);
    const isTaken = isToBeTaken({
      siteCode,
      current: authority.authorityCertificate(),
      offered: row.certificate,
      held: trustedRoots.held,
      overlapEndsMs: this.#overlapEndsMs(bundle),
      nowMs: clock.nowMs(),
    });
    if (!isTaken) return;
    await authority.replaceCertificate(row.certificate);
    logger.info('The authority of this site has a new certificate');
  }

  #overlapEndsMs(bundle: TrustBundleRow | undefined): number {
    return (bundle?.signedAtMs ?? 0) + this.#config.rootOverlapMs;
  }

  async #lookForEver(): Promise<void> {
    const { signal } = this.#stopping;
    try {
      for (;;) {
        await this.look().catch((err: unknown) => this.#onFailed(err));
        await this.#wake.wait(signal);
      }
    } catch (error) {
      if (!isAbortError(error)) throw error;
    }
  }

  async #wakeForEver(): Promise<void> {
    try {
      for (;;) {
        await this.#components.clock.sleep(await this.#pauseMs(), this.#stopping.signal);
        this.#wake.wake();
      }
    } catch (error) {
      if (!isAbortError(error)) throw error;
    }
  }

  /** Until the next look; and not past the moment from which on sites stand on a new root. */
  async #pauseMs(): Promise<number> {
    const { store, clock } = this.#components;
    const bundle = await store.records(keySpaces.trustBundles).get(trustBundleKey);
    const leftMs = this.#overlapEndsMs(bundle) - clock.nowMs();
    return leftMs > 0 ? Math.min(this.#config.lookMs, leftMs) : this.#config.lookMs;
  }

  /** The next look does what this one could not. */
  #onFailed(err: unknown): void {
    if (err instanceof AbortError) throw err;
    if (!isErrorWithCode(err, 'CERTIFICATE_INVALID', 'DISK_FULL')) throw err;
    this.#components.logger.warn({ err }, 'The authority of a site could not be signed or taken');
  }

  get #rows() {
    return this.#components.store.records(keySpaces.siteAuthorities);
  }
}
