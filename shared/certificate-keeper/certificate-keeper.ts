/**
 * Keeps a certificate of an agent (SEC-3; docs/trust.md, 4): looks at it each minute by the clock, renews
 * it in time, and says how it stands. It stays up with one that is expired, not valid yet or refused, and
 * goes on by itself when the clock, the files or the site are right again. Made by the wiring, once for
 * the agent's own certificate and at a site once more for that of its authority. Writes only through
 * `renew`; a crash forgets how many tries failed, and not when the last one was.
 */
import {
  afterFailure,
  afterSuccess,
  type CertificateState,
  certificateCounts,
  defaultRenewalPace,
  isRenewalWanted,
  type KeepingRules,
  type KeptCertificate,
  noTries,
  type RenewalPace,
  type RenewalTries,
  standingOf,
} from '../domain/certificate-keeping.ts';
import { WaybillError } from '../domain/errors.ts';
import type { ToldCertificate } from '../domain/known-certificate.ts';
import { isRefusalOfPeer } from '../rpc/status-codes.ts';
import { isAbortError } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Component } from '../runtime/component.ts';
import type { Logger } from '../runtime/logger.ts';
import { toSystemReason } from '../runtime/system-reason.ts';
import { WakeSignal } from '../runtime/wake-signal.ts';
import type { VouchedCertificate } from './kept-certificate.ts';

/** A certificate that is kept. */
export interface KeptSubject {
  /** Whose it is, in logs: `agent`, `authority`. */
  readonly name: string;
  /**
   * Reads it from where it is kept, and uses it if it is another one than before.
   *
   * @throws CERTIFICATE_INVALID when what is there cannot be used: the one before stays in use
   */
  look(): Promise<VouchedCertificate>;
  /** The one in use. */
  lastKnown(): VouchedCertificate;
  /** Called when it is taken by peers again, and is the same as before: it was the clock. */
  countsAgain?(): void;
  /** How it is followed by another one; absent: it is only watched. */
  readonly renewal?: KeptRenewal;
}

/** How a certificate is followed by another one. */
export interface KeptRenewal {
  /** See `KeepingRules`. */
  readonly isOwnIssuer: boolean;
  /**
   * Puts another one where the subject looks.
   *
   * @throws WaybillError, AbortError, failures of the system; a fault is logged as one, and is a try that failed
   */
  renew(signal: AbortSignal): Promise<void>;
  /** When it was last tried, by the clock; undefined: never, or it came to an end. */
  lastTriedAtMs?(): Promise<number | undefined>;
}

/** What the keeper needs. */
export interface CertificateKeeperComponents {
  readonly subject: KeptSubject;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
}

/** How it is tuned. */
export interface CertificateKeeperConfig extends RenewalPace {
  /** Time between two looks at clock and files. @default 60_000 */
  readonly lookMs: number;
  /** How long after its end a certificate may still be renewed by its key. @default 30 days */
  readonly graceMs: number;
}

const dayMs = 24 * 3_600_000;

export const defaultCertificateKeeperConfig: CertificateKeeperConfig = {
  ...defaultRenewalPace,
  lookMs: 60_000,
  graceMs: 30 * dayMs,
};

export class CertificateKeeper implements Component {
  readonly #components: CertificateKeeperComponents;
  readonly #config: CertificateKeeperConfig;
  readonly #stopping = new AbortController();
  readonly #woken = new WakeSignal();
  readonly #listeners = new Set<() => void>();
  #keeping: Promise<void> = Promise.resolve();
  #tries: RenewalTries = noTries;
  #toldState: CertificateState | undefined;
  #toldFileFailure = '';
  /** For which change of the root it was spread already. */
  #spread: 'old' | 'retired' | undefined;
  /** No try before this moment for that, monotonic. */
  #spreadUntilMs = Number.NEGATIVE_INFINITY;

  constructor(components: CertificateKeeperComponents, config = defaultCertificateKeeperConfig) {
    this.#components = components;
    this.#config = config;
  }

  /** Looks once, and says what it found, before anything else of the program begins. */
  async start(): Promise<void> {
    await this.#rememberLastTry();
    await this.#look();
    this.#keeping = this.#keepForEver();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#keeping;
  }

  /** Looks now: other roots are trusted, or somebody has put another certificate there. */
  wake(): void {
    this.#woken.wake();
  }

  /** How it stands by the clock of this moment. */
  report(): ToldCertificate {
    const certificate = this.#components.subject.lastKnown();
    const { notBeforeMs, notAfterMs, issuerSiteCode, rootKeyId } = certificate;
    const { state, reason } = this.#standing(certificate);
    return { state, reason, notBeforeMs, notAfterMs, issuerSiteCode, rootKeyId };
  }

  /** Calls the listener after each look. @returns what ends that */
  onLook(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  async #keepForEver(): Promise<void> {
    const { clock } = this.#components;
    const { signal } = this.#stopping;
    try {
      for (;;) {
        await this.#renewIfDue(signal);
        const woken = new AbortController();
        const over = AbortSignal.any([signal, woken.signal]);
        await Promise.race([
          clock.sleep(this.#config.lookMs, over),
          this.#woken.wait(over),
        ]).finally(() => woken.abort());
        await this.#look();
      }
    } catch (error) {
      if (!isAbortError(error)) throw error;
    }
  }

  async #look(): Promise<VouchedCertificate> {
    const { subject } = this.#components;
    const certificate = await subject.look().then(
      (found) => {
        this.#toldFileFailure = '';
        return found;
      },
      (error: unknown) => this.#withoutFiles(error),
    );
    this.#spreadRootChange(certificate);
    this.#tell(certificate);
    for (const listener of [...this.#listeners]) listener();
    return certificate;
  }

  /** Files that somebody is just replacing, or has spoilt: what is in use goes on being used. */
  #withoutFiles(error: unknown): VouchedCertificate {
    if (!(error instanceof WaybillError)) throw error;
    if (error.message !== this.#toldFileFailure) {
      this.#components.logger.warn({ err: error }, 'The certificate files cannot be used');
    }
    this.#toldFileFailure = error.message;
    return this.#components.subject.lastKnown();
  }

  async #renewIfDue(signal: AbortSignal): Promise<void> {
    const { subject, logger } = this.#components;
    const before = subject.lastKnown();
    if (!subject.renewal || !this.#standing(before).isDue) return;
    try {
      await subject.renewal.renew(signal);
    } catch (error) {
      // Stopping.
      if (isAbortError(error)) throw error;
      this.#failed(this.#failureOf(error), error);
      return;
    }
    this.#spread = undefined;
    const after = await this.#look();
    if (isRenewalWanted(after, this.#components.clock.nowMs(), this.#rules())) {
      // As when the site that gives it stands on the old root still, for a day or so.
      this.#failed({ failure: tooOld, isRefused: false, isLasting: true });
      return;
    }
    this.#tries = afterSuccess(this.#components.clock.monotonicMs(), this.#config);
    const { notAfterMs } = after;
    logger.info({ certificate: subject.name, notAfterMs }, 'Renewed the certificate');
    this.#tell(after);
  }

  /** A fault of ours, too, is a try that failed: who answered it shall not end the agent, over and over. */
  #failureOf(error: unknown): { failure: string; isRefused: boolean } {
    if (error instanceof WaybillError) {
      return { failure: error.message, isRefused: isRefusalOfPeer(error) };
    }
    if (error instanceof Error && 'syscall' in error) {
      return { failure: toSystemReason(error), isRefused: false };
    }
    const { logger, subject } = this.#components;
    logger.error(
      { certificate: subject.name, err: error },
      'Renewing a certificate failed on a fault',
    );
    return { failure: onFault, isRefused: false };
  }

  #failed(failed: Parameters<typeof afterFailure>[1], err?: unknown): void {
    const { clock, random, logger, subject } = this.#components;
    const time = { monotonicMs: clock.monotonicMs(), random };
    this.#tries = afterFailure(this.#tries, failed, time, this.#config);
    const delayMs = Math.round(this.#tries.notBeforeMs - time.monotonicMs);
    const reason = failed.failure;
    const facts = { certificate: subject.name, delayMs, reason, ...(err !== undefined && { err }) };
    const { notAfterMs } = subject.lastKnown();
    const isUrgent = failed.isRefused || notAfterMs - clock.nowMs() < urgentMs;
    if (isUrgent) logger.warn(facts, 'The certificate could not be renewed');
    else logger.info(facts, 'The certificate could not be renewed yet');
    this.#tell(subject.lastKnown());
  }

  /**
   * So that a change of the root does not bring all machines to one site at one moment. Who counts for nobody any
   * more waits a minute at most.
   */
  #spreadRootChange({ isOnOldRoot, isOfRetiredRoot, jitter }: KeptCertificate): void {
    const { tryMsMin, tryMsMax } = this.#config;
    const spread = isOfRetiredRoot ? 'retired' : isOnOldRoot ? 'old' : undefined;
    if (spread === undefined || this.#spread === spread || this.#spread === 'retired') return;
    this.#spread = spread;
    const spreadMs = jitter * (isOfRetiredRoot ? tryMsMin : tryMsMax);
    // In place of what was left of the hour that there was while the old root counted.
    this.#spreadUntilMs = this.#components.clock.monotonicMs() + spreadMs;
    // What failed while there was time is tried again now.
    if (isOfRetiredRoot && this.#tries.failedCount > 0) this.#tries = noTries;
  }

  /** A program that is started again and again must not ask as often. */
  async #rememberLastTry(): Promise<void> {
    const triedAtMs = await this.#components.subject.renewal?.lastTriedAtMs?.();
    if (triedAtMs === undefined) return;
    const { clock } = this.#components;
    const agoMs = Math.abs(clock.nowMs() - triedAtMs);
    const leftMs = Math.max(0, this.#config.tryMsMin - agoMs);
    this.#tries = { ...noTries, notBeforeMs: clock.monotonicMs() + leftMs };
  }

  #standing(certificate: KeptCertificate) {
    const { clock } = this.#components;
    const time = { nowMs: clock.nowMs(), monotonicMs: clock.monotonicMs() };
    const notBeforeMs = Math.max(this.#tries.notBeforeMs, this.#spreadUntilMs);
    return standingOf(certificate, { ...this.#tries, notBeforeMs }, time, this.#rules());
  }

  #rules(): KeepingRules {
    const { renewal } = this.#components.subject;
    return {
      canRenew: renewal !== undefined,
      isOwnIssuer: renewal?.isOwnIssuer ?? false,
      graceMs: this.#config.graceMs,
    };
  }

  /** Says each change once; what it is like in between, `report` says. */
  #tell(certificate: KeptCertificate): void {
    const { logger, subject } = this.#components;
    const { state, reason } = this.#standing(certificate);
    const before = this.#toldState;
    this.#toldState = state;
    if (state === before) return;
    const { notBeforeMs, notAfterMs } = certificate;
    const facts = { certificate: subject.name, from: before, to: state, reason };
    if (state === 'refused' || !certificateCounts(state)) {
      logger.warn({ ...facts, notBeforeMs, notAfterMs }, wordsOf[state] ?? '');
    } else if (before === undefined || certificateCounts(before)) {
      // A sound one at start is nothing to speak of.
      logger.debug({ ...facts, notAfterMs }, 'The certificate counts');
    } else {
      logger.info({ ...facts, notAfterMs }, 'The certificate counts again');
      subject.countsAgain?.();
    }
  }
}

const onFault = 'the program failed on a fault; its log says more';

const tooOld = 'the new certificate is to be followed at once';

const wordsOf: Partial<Record<CertificateState, string>> = {
  expired: 'The certificate has expired: peers do not take it',
  'not-yet-valid': 'The certificate is not valid yet: peers do not take it',
  'root-retired': 'The root behind the certificate counts no more: peers do not take it',
  refused: 'The site refuses to renew the certificate',
};

/** From then on failed tries are for somebody to look into. */
const urgentMs = 14 * dayMs;
