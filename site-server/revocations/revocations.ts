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
  revocationReasonCharsMax,
} from '../../shared/domain/revocation.ts';
import { KnownTrust } from '../../shared/rpc/known-trust.ts';
import { ignoreAbort, workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import { HeardRevocations } from './heard-revocations.ts';
import { RevocationRoom, type RevocationRoomConfig } from './revocation-room.ts';
import { type RevocationReason, revocationsOf } from './revocation-rows.ts';
import type { RevocationSharesConfig } from './revocation-shares.ts';

export interface RevocationsNeeds {
  readonly store: Pick<StateStore, 'records' | 'write' | 'onWritten'>;
  readonly clock: Clock;
  readonly siteCode: string;
  readonly sites: Pick<SiteDirectory, 'tree' | 'identityOf'>;
  readonly logger: Logger;
}

export interface RevocationsConfig extends RevocationRoomConfig, RevocationSharesConfig {
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
  branchKeptMax: 120_000,
  branchesKeptMax: 400_000,
  branchCountMax: 60_000,
  branchesCountMax: 200_000,
  keepMs: 3_680 * dayMs,
  sweepIntervalMs: dayMs,
  aheadMsMax: 600_000,
};

/** Shortest time between two looks at who has which share: each may sort all of a site that has too many. */
const fitPauseMs = 1_000;

export class Revocations implements Component {
  readonly trust: KnownTrust;
  readonly #needs: RevocationsNeeds;
  readonly #config: RevocationsConfig;
  readonly #heard: HeardRevocations;
  readonly #news = new WakeSignal();
  readonly #stopping = new AbortController();
  readonly #listeners = new Set<() => void>();
  readonly #heardAgainListeners = new Set<(holders: ReadonlySet<string>) => void>();
  #unsubscribe = () => {};
  #working: readonly Promise<void>[] = [];

  constructor(needs: RevocationsNeeds, config = defaultRevocationsConfig) {
    this.#needs = needs;
    this.#config = config;
    const { clock, siteCode, sites } = needs;
    this.#heard = new HeardRevocations(needs, config);
    const places = () => sites.tree;
    this.trust = new KnownTrust({ clock, siteCode, places, revocations: this.#heard.index });
  }

  /** Knows from then on what stood in the table; before anybody issues certificates. */
  async load(): Promise<void> {
    const rows = this.#needs.store.records(keySpaces.revocations);
    let last: string | undefined;
    for await (const [, row] of rows.list()) {
      // Now and then: shares only become smaller, and no more is ever in memory than they, one site and a branch have.
      if (last !== row.siteCode && this.#heard.isFitDue) await this.#heard.fit();
      last = row.siteCode;
      this.#heard.put(row);
    }
    await this.#heard.fit();
  }

  /** After the site directory, before anybody connects. */
  async start(): Promise<void> {
    const { store } = this.#needs;
    this.#unsubscribe = store.onWritten((changes) => this.#onWritten(changes));
    await this.load();
    await this.trust.start();
    const { signal } = this.#stopping;
    this.#working = [this.#sweep(signal), this.#fitNews(signal)].map((work) =>
      work.catch(ignoreAbort),
    );
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    this.#stopping.abort(workIsOver);
    await this.trust.stop();
    await Promise.all(this.#working);
  }

  /** All that are heard, by holder and site. */
  list(): readonly Revocation[] {
    return this.#heard.index.list();
  }

  /** How many are here and not heard for lack of room, of each site of which any are. */
  passedOverCounts(): ReadonlyMap<string, number> {
    return this.#heard.passedOverCounts;
  }

  /** The latest that a site which has its say about them here has said of a holder's certificates. */
  heardOf(holder: string, voucher: Voucher): Revocation | undefined {
    const { siteCode: at, sites } = this.#needs;
    const all = this.#heard.index.of(holder);
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

  /** Calls the listener with whom something is heard of for which there was no room before. @returns ends it */
  onHeardAgain(listener: (holders: ReadonlySet<string>) => void): () => void {
    const entry: typeof listener = (holders) => listener(holders);
    this.#heardAgainListeners.add(entry);
    return () => this.#heardAgainListeners.delete(entry);
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
    const room = new RevocationRoom({ ...this.#needs, kept: this.#heard }, this.#config);
    return (_key, row) => room.take(row as Revocation);
  }

  /** For replication: whether a row, undefined when it is deleted, would take a revocation back. */
  isRollback(key: string, row: unknown): boolean {
    const [siteCode = '', ...holder] = key.split('/');
    const heldMs = this.#heard.revokedAtMsOf({ siteCode, holder: holder.join('/') });
    if (heldMs === undefined) return false;
    if (row !== undefined) return (row as Revocation).revokedAtMs < heldMs;
    // A site with a clock that is a little ahead has forgotten it earlier.
    return heldMs > this.#forgetBeforeMs() + this.#config.sweepIntervalMs;
  }

  #requireReason(reason: string): void {
    if (reason.length <= revocationReasonCharsMax) return;
    const expected = `at most ${revocationReasonCharsMax} characters`;
    throw requestInvalid('reason', { expected, actual: `${reason.length}` });
  }

  #requireRoom(own: { readonly siteCode: string; readonly holder: string }): void {
    const { index } = this.#heard;
    if (index.get(own)) return;
    const count = index.countOf(own.siteCode);
    const { countMax } = this.#config;
    if (count < countMax) return;
    const expected = `at most ${countMax} revocations at a site`;
    throw requestInvalid('holder', { expected, actual: `${count + 1}` });
  }

  #onWritten(changes: readonly Change[]): void {
    let isNews = false;
    for (const change of changes) {
      const { space } = change;
      if (space === keySpaces.revocations.name) this.#take(change);
      // Who is proven has a share of its own.
      if (space === keySpaces.siteIdentities.name) this.#news.wake();
      if (space === keySpaces.revocations.name || space === keySpaces.sites.name) isNews = true;
    }
    if (!isNews) return;
    this.#news.wake();
    this.#tell();
  }

  #tell(): void {
    this.trust.changed();
    for (const tell of [...this.#listeners]) tell();
  }

  /** What is new is heard at once; what there is no room for is passed over soon after. */
  async #fitNews(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#news.wait(signal);
      const { isOther, heardAgain } = await this.#heard.fit();
      if (isOther) this.#tell();
      if (heardAgain.size > 0) for (const tell of [...this.#heardAgainListeners]) tell(heardAgain);
      await this.#needs.clock.sleep(fitPauseMs, signal);
    }
  }

  #take(change: Change): void {
    const [siteCode = '', ...holder] = change.key.split('/');
    if (change.type === 'put') this.#heard.put(change.value as Revocation);
    else this.#heard.delete({ siteCode, holder: holder.join('/') });
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
