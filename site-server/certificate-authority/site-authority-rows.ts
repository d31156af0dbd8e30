import type { X509Certificate } from 'node:crypto';
import type { TrustedRoots } from '../../shared/certificates/trusted-roots.ts';
import type { SiteAuthorityRow } from '../../shared/domain/trust-bundle.ts';
import type { AuditEvent } from '../../shared/rpc/audit-event.ts';
import { BoundedAudit } from '../../shared/rpc/bounded-audit.ts';
import { refusalOfTime } from '../../shared/rpc/certificate-trust.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import { knownAuthority, refusalOfAuthority } from './site-authority-certificate.ts';

const synchronisePath = '/waybill.v1.Replication/Synchronise';

/** What looking at rows needs. */
export interface SiteAuthorityRowsNeeds {
  readonly store: Pick<StateStore, 'records' | 'onWritten'>;
  readonly trustedRoots: Pick<TrustedRoots, 'held'>;
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs'>;
  /** Roots that are about to be trusted: a bundle that may stand in the same message. @default none */
  readonly offeredRoots?: () => readonly string[];
  /** Hears of rows that are passed over because no root stands behind them. @default nobody */
  readonly onAudit?: (event: AuditEvent) => void;
}

/**
 * Which rows of "site authorities" are taken from other sites. One that is no authority of that site is refused. One
 * behind which no root stands that is trusted, or is about to be, is passed over and audited: to refuse it would hold
 * up the bundle that may come after it, and the site that it is for asks for another by its key. Writes nothing.
 */
export class SiteAuthorityRows implements Component {
  readonly #needs: SiteAuthorityRowsNeeds;
  /** siteCode → PEM, as the table has it: at most as many as there may be sites. */
  readonly #held = new Map<string, string>();
  readonly #audit: BoundedAudit | undefined;
  #unsubscribe = () => {};

  constructor(needs: SiteAuthorityRowsNeeds) {
    this.#needs = needs;
    const { clock, onAudit } = needs;
    this.#audit = onAudit && new BoundedAudit({ clock, onAudit });
  }

  /** Before rows come. */
  async start(): Promise<void> {
    const { store } = this.#needs;
    this.#unsubscribe = store.onWritten((changes) => this.#onWritten(changes));
    for await (const [siteCode, { certificate }] of store
      .records(keySpaces.siteAuthorities)
      .list()) {
      this.#held.set(siteCode, certificate);
    }
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
  }

  /** Why a row is not believed, as the end of a sentence. */
  checkRow(siteCode: string, row: unknown): string | undefined {
    return refusalOfAuthority((row as SiteAuthorityRow).certificate, siteCode);
  }

  /** The authority of a site that the top has signed by itself, if a root that is trusted stands behind it. */
  authorityOf(siteCode: string): X509Certificate | undefined {
    return this.#counting(siteCode);
  }

  /**
   * Whether a row is passed over: nobody deletes it, one that began earlier is somebody's memory, and one that no root
   * has signed is nobody's word.
   */
  isRollback(siteCode: string, row: unknown): boolean {
    if (row === undefined) return true;
    const { trustedRoots, offeredRoots = () => [] } = this.#needs;
    const { certificate } = row as SiteAuthorityRow;
    const roots = [...trustedRoots.held.roots, ...offeredRoots()];
    const offered = knownAuthority(certificate, siteCode, { roots })?.certificate;
    if (!offered) this.#tellOfNoRoot(siteCode);
    const before = this.#counting(siteCode);
    if (!before || !offered) return !offered;
    return Date.parse(offered.validFrom) < Date.parse(before.validFrom);
  }

  #tellOfNoRoot(siteCode: string): void {
    const detail = `site authority of ${siteCode}: passed over; no root that is trusted here has signed it`;
    const event = { caller: 'replication', address: '', method: synchronisePath, detail };
    this.#audit?.record({ ...event, result: 'REPLICATION_ROW_REFUSED' }, siteCode);
  }

  /** What the table has, if it counts: not when it was signed while a clock was wrong. */
  #counting(siteCode: string) {
    const { trustedRoots, clock } = this.#needs;
    const known = knownAuthority(this.#held.get(siteCode) ?? '', siteCode, trustedRoots.held);
    const isSound = known && refusalOfTime(known.certificate, clock.nowMs()) === undefined;
    return isSound ? known.certificate : undefined;
  }

  #onWritten(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.space !== keySpaces.siteAuthorities.name) continue;
      if (change.type === 'delete') this.#held.delete(change.key);
      else this.#held.set(change.key, (change.value as SiteAuthorityRow).certificate);
    }
  }
}
