import type { TrustedRoots } from '../../shared/certificates/trusted-roots.ts';
import type { SiteAuthorityRow } from '../../shared/domain/trust-bundle.ts';
import { refusalOfTime } from '../../shared/rpc/certificate-trust.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import { authorityNamed, knownAuthority } from './site-authority-certificate.ts';

/** What looking at rows needs. */
export interface SiteAuthorityRowsNeeds {
  readonly store: Pick<StateStore, 'records' | 'onWritten'>;
  readonly trustedRoots: Pick<TrustedRoots, 'held'>;
  readonly clock: Pick<Clock, 'nowMs'>;
}

/**
 * Which rows of "site authorities" are taken from other sites. One of a root that is not trusted here is: the
 * bundle with that root may come in the same message; nothing is done with it before. Writes nothing.
 */
export class SiteAuthorityRows implements Component {
  readonly #needs: SiteAuthorityRowsNeeds;
  /** siteCode → PEM, as the table has it: at most as many as there may be sites. */
  readonly #held = new Map<string, string>();
  #unsubscribe = () => {};

  constructor(needs: SiteAuthorityRowsNeeds) {
    this.#needs = needs;
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
    const { certificate } = row as SiteAuthorityRow;
    if (authorityNamed(certificate, siteCode)) return undefined;
    return `it is no certificate of the authority of site ${siteCode}`;
  }

  /** Whether a row takes something back: nobody deletes it, and one that began earlier is somebody's memory. */
  isRollback(siteCode: string, row: unknown): boolean {
    if (row === undefined) return true;
    const before = this.#counting(siteCode);
    const { certificate } = row as SiteAuthorityRow;
    const offered = authorityNamed(certificate, siteCode);
    if (!before || !offered) return false;
    return Date.parse(offered.validFrom) < Date.parse(before.validFrom);
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
