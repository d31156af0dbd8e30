/**
 * Whose certificates are nobody's any more (SEC-3), in memory: the table "revocations", kept up with every
 * write, wherever it was made; and who counts by it and by the hierarchy as this site knows it (`trust`).
 * Called by administrators, by whoever issues certificates, and by replication, for which it checks rows.
 * Writes this site's rows of "revocations". A crash leaves a row or none.
 */

import type { Voucher } from '../../shared/domain/certificate-authority.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import {
  holderKindOf,
  isRevocationHeard,
  latest,
  type Revocation,
  RevocationIndex,
  revocationReasonCharsMax,
} from '../../shared/domain/revocation.ts';
import { KnownTrust } from '../../shared/rpc/known-trust.ts';
import { ignoreAbort, workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import { RevocationRoom, type RevocationRoomConfig } from './revocation-room.ts';
import { type RevocationReason, revocationsOf } from './revocation-rows.ts';

export interface RevocationsNeeds {
  readonly store: Pick<StateStore, 'records' | 'write' | 'onWritten'>;
  readonly clock: Clock;
  readonly siteCode: string;
  readonly sites: Pick<SiteDirectory, 'tree'>;
  readonly logger: Logger;
}

export interface RevocationsConfig extends RevocationRoomConfig {
  /** Revocations said at this site. @default 20_000 */
  readonly countMax: number;
  /** How long a revocation is kept: as long as any certificate lives, and a month. @default 3_680 days */
  readonly keepMs: number;
  /** How often those that are older are deleted. @default 1 day */
  readonly sweepIntervalMs: number;
  /** A revocation of another site further in the future than this is refused until it is not. @default 600_000 */
  readonly aheadMsMax: number;
}

const dayMs = 86_400_000;

export const defaultRevocationsConfig: RevocationsConfig = {
  countMax: 20_000,
  otherCountMax: 40_000,
  branchCountMax: 60_000,
  branchesCountMax: 200_000,
  keepMs: 3_680 * dayMs,
  sweepIntervalMs: dayMs,
  aheadMsMax: 600_000,
};

export class Revocations implements Component {
  readonly trust: KnownTrust;
  readonly #needs: RevocationsNeeds;
  readonly #config: RevocationsConfig;
  readonly #index = new RevocationIndex<Revocation>();
  readonly #stopping = new AbortController();
  readonly #listeners = new Set<() => void>();
  #unsubscribe = () => {};
  #sweeping: Promise<void> | undefined;

  constructor(needs: RevocationsNeeds, config = defaultRevocationsConfig) {
    this.#needs = needs;
    this.#config = config;
    const { clock, siteCode, sites } = needs;
    const places = () => sites.tree;
    this.trust = new KnownTrust({ clock, siteCode, places, revocations: this.#index });
  }

  /** Knows from then on what stood in the table; before anybody issues certificates. */
  async load(): Promise<void> {
    const rows = this.#needs.store.records(keySpaces.revocations);
    for await (const [, row] of rows.list()) this.#index.put(row);
  }

  /** After the site directory, before anybody connects. */
  async start(): Promise<void> {
    const { store } = this.#needs;
    this.#unsubscribe = store.onWritten((changes) => this.#onWritten(changes));
    await this.load();
    await this.trust.start();
    this.#sweeping = this.#sweep(this.#stopping.signal).catch(ignoreAbort);
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    this.#stopping.abort(workIsOver);
    await this.trust.stop();
    await this.#sweeping;
  }

  /** All that is known, by holder and site. */
  list(): readonly Revocation[] {
    return this.#index.list();
  }

  /** The latest that a site which has its say about them here has said of a holder's certificates. */
  heardOf(holder: string, voucher: Voucher): Revocation | undefined {
    const { siteCode: at, sites } = this.#needs;
    const all = this.#index.of(holder);
    return latest(
      all.filter((one) => isRevocationHeard(one.siteCode, { voucher, at }, sites.tree)),
    );
  }

  /** The same about what this site issues to a holder: that must begin after it. */
  heardByIssuer(holder: string): Revocation | undefined {
    // The root signs the authority of a site at the word of the site itself.
    const isSite = holderKindOf(holder) === 'site';
    const siteCode = isSite ? holder.slice('site/'.length) : this.#needs.siteCode;
    return this.heardOf(holder, { siteCode });
  }

  /**
   * Makes every certificate of a holder nobody's that begins until now. It acts here when this resolves.
   *
   * @throws REQUEST_INVALID for a reason that is too long, or too many revocations; DISK_FULL
   */
  async revoke(holder: string, why: RevocationReason): Promise<Revocation> {
    const { store, siteCode, logger } = this.#needs;
    this.#requireReason(why.reason);
    this.#requireRoom({ siteCode, holder });
    const { rows, changes } = await revocationsOf(this.#needs, [holder], why);
    await store.write(changes, { sync: true });
    const [row] = rows;
    if (!row) throw new Error('A revocation was written without a row');
    logger.info({ holder, revokedBy: why.revokedBy }, 'Revoked');
    return row;
  }

  /** Calls the listener whenever revocations, or the places of sites, are others. @returns ends it */
  onChanged(listener: () => void): () => void {
    const entry = () => listener();
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }

  /** For replication: why a row is not taken, as the end of a sentence; undefined when it may be. */
  refusalOfRow(key: string, row: unknown): string | undefined {
    const { siteCode, holder, revokedAtMs } = row as Revocation;
    if (`${siteCode}/${holder}` !== key) return 'it says it is another row than its key';
    const { aheadMsMax } = this.#config;
    const isAhead = revokedAtMs > this.#needs.clock.nowMs() + aheadMsMax;
    return isAhead ? `it is more than ${aheadMsMax} ms in the future` : undefined;
  }

  /** For replication: the room there is for rows of one message, which `refusalOfRow` has let pass. */
  roomOfMessage(): (key: string, row: unknown) => string | undefined {
    const room = new RevocationRoom({ ...this.#needs, index: this.#index }, this.#config);
    return (_key, row) => room.take(row as Revocation);
  }

  /** For replication: whether a row, undefined when it is deleted, would take a revocation back. */
  isRollback(key: string, row: unknown): boolean {
    const [siteCode = '', ...holder] = key.split('/');
    const held = this.#index.get({ siteCode, holder: holder.join('/') });
    if (!held) return false;
    if (row !== undefined) return (row as Revocation).revokedAtMs < held.revokedAtMs;
    // A site with a clock that is a little ahead has forgotten it earlier.
    return held.revokedAtMs > this.#forgetBeforeMs() + this.#config.sweepIntervalMs;
  }

  #requireReason(reason: string): void {
    if (reason.length <= revocationReasonCharsMax) return;
    const expected = `at most ${revocationReasonCharsMax} characters`;
    throw requestInvalid('reason', { expected, actual: `${reason.length}` });
  }

  #requireRoom(own: { readonly siteCode: string; readonly holder: string }): void {
    if (this.#index.get(own)) return;
    const count = this.#index.countOf(own.siteCode);
    const { countMax } = this.#config;
    if (count < countMax) return;
    const expected = `at most ${countMax} revocations at a site`;
    throw requestInvalid('holder', { expected, actual: `${count + 1}` });
  }

  #onWritten(changes: readonly Change[]): void {
    let isNews = false;
    for (const change of changes) {
      if (change.space === keySpaces.revocations.name) this.#take(change);
      else if (change.space !== keySpaces.sites.name) continue;
      isNews = true;
    }
    if (!isNews) return;
    this.trust.changed();
    for (const tell of [...this.#listeners]) tell();
  }

  #take(change: Change): void {
    const [siteCode = '', ...holder] = change.key.split('/');
    if (change.type === 'put') this.#index.put(change.value as Revocation);
    else this.#index.delete({ siteCode, holder: holder.join('/') });
  }

  async #sweep(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#deleteOld();
      await this.#needs.clock.sleep(this.#config.sweepIntervalMs, signal);
    }
  }

  /** Of this site: each site deletes its own. */
  async #deleteOld(): Promise<void> {
    const { store, siteCode, logger } = this.#needs;
    const forgetBeforeMs = this.#forgetBeforeMs();
    const old = this.list().filter(
      (row) => row.siteCode === siteCode && row.revokedAtMs < forgetBeforeMs,
    );
    if (old.length === 0) return;
    const records = store.records(keySpaces.revocations);
    const changes = old.map(({ holder }) => records.delete(`${siteCode}/${holder}`));
    try {
      await store.write(changes, { sync: false });
    } catch (err) {
      if (!isErrorWithCode(err, 'DISK_FULL')) throw err;
      logger.warn({ err }, 'Old revocations could not be deleted');
    }
  }

  #forgetBeforeMs(): number {
    return this.#needs.clock.nowMs() - this.#config.keepMs;
  }
}
