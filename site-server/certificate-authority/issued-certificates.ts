import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { IssuedCertificateRecord } from '../../shared/domain/issued-certificate.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** What the table needs. */
export interface IssuedCertificatesComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  readonly logger: Logger;
}

/** How long what was issued is remembered. */
export interface IssuedCertificatesConfig {
  /** Certificates kept of one holder; the oldest go first. @default 4 */
  readonly perHolderMax: number;
  /** Certificates kept in all; those that end first go first. @default 50_000 */
  readonly countMax: number;
  /** How long one that has expired is kept. @default 90 days */
  readonly keptMs: number;
  /** @default 1 day */
  readonly sweepIntervalMs: number;
}

const dayMs = 24 * 3_600_000;

export const defaultIssuedCertificatesConfig: IssuedCertificatesConfig = {
  perHolderMax: 4,
  countMax: 50_000,
  keptMs: 90 * dayMs,
  sweepIntervalMs: dayMs,
};

/** Rows deleted in one batch. */
const sweepBatchCount = 1_000;

/**
 * What this site's authority has issued, for `waybill certs`. Owns the table "issued certificates". A revocation
 * that comes late goes by it, so each row is on disk before the certificate is given to anybody.
 */
export class IssuedCertificates implements Component {
  readonly #components: IssuedCertificatesComponents;
  readonly #config: IssuedCertificatesConfig;
  readonly #stopping = new AbortController();
  #sweeping: Promise<void> = Promise.resolve();

  constructor(components: IssuedCertificatesComponents, config = defaultIssuedCertificatesConfig) {
    this.#components = components;
    this.#config = config;
  }

  async start(): Promise<void> {
    this.#sweeping = this.#sweepForEver();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#sweeping;
  }

  /** Writes down what was issued, and forgets the oldest of that holder. @throws DISK_FULL */
  async record(issued: IssuedCertificateRecord): Promise<void> {
    const { store } = this.#components;
    const prefix = prefixOf(issued);
    const known: string[] = [];
    for await (const [key] of this.#rows.list({ prefix })) known.push(key);
    const tooMany = Math.max(0, known.length + 1 - this.#config.perHolderMax);
    const forgotten = known.slice(0, tooMany).map((key) => this.#rows.delete(key));
    const key = prefix + joinKey(issued.issuedAtMs, issued.serialNumber);
    await store.write([...forgotten, this.#rows.put(key, issued)], { sync: true });
  }

  /** All that is remembered, by kind and holder, the oldest of each first. */
  async *list(): AsyncIterable<IssuedCertificateRecord> {
    for await (const [, issued] of this.#rows.list()) yield issued;
  }

  /** Whether a certificate or an authority of a holder is remembered, such as `dp/PS1DP1`. */
  async hasOf(holder: string): Promise<boolean> {
    for (const kind of ['leaf', 'authority'] as const) {
      const prefix = prefixOf({ kind, holder });
      for await (const _ of this.#rows.list({ prefix, limit: 1 })) return true;
    }
    return false;
  }

  /** Forgets what has expired long ago, and what is too much. @throws DISK_FULL */
  async sweep(): Promise<void> {
    const { clock, store } = this.#components;
    const endMs = clock.nowMs() - this.#config.keptMs;
    const kept: { key: string; notAfterMs: number }[] = [];
    const gone: Change[] = [];
    for await (const [key, { notAfterMs }] of this.#rows.list()) {
      if (notAfterMs < endMs) gone.push(this.#rows.delete(key));
      else kept.push({ key, notAfterMs });
    }
    const tooMany = Math.max(0, kept.length - this.#config.countMax);
    kept.sort((a, b) => a.notAfterMs - b.notAfterMs);
    gone.push(...kept.slice(0, tooMany).map(({ key }) => this.#rows.delete(key)));
    for (let from = 0; from < gone.length; from += sweepBatchCount) {
      await store.write(gone.slice(from, from + sweepBatchCount), { sync: false });
    }
  }

  async #sweepForEver(): Promise<void> {
    const { clock, logger } = this.#components;
    try {
      for (;;) {
        await this.sweep().catch((err: unknown) => {
          if (!isErrorWithCode(err, 'DISK_FULL')) throw err;
          logger.warn({ err }, 'Certificates that are over could not be forgotten');
        });
        await clock.sleep(this.#config.sweepIntervalMs, this.#stopping.signal);
      }
    } catch (error) {
      if (!isAbortError(error)) throw error;
    }
  }

  get #rows() {
    return this.#components.store.records(keySpaces.issuedCertificates);
  }
}

/** A holder is two parts of a key: its kind and its name. */
function prefixOf({ kind, holder }: Pick<IssuedCertificateRecord, 'kind' | 'holder'>): string {
  return `${joinKey(kind, ...holder.split('/'))}/`;
}
