/**
 * Says, while the root changes, who of those whom this site vouches for still stands on an older one (docs/trust.md,
 * 6); at the top also puts together what all sites have said, for the command that retires the root. Owns the
 * replicated table "root standings". A crash costs nothing: the next look says it again.
 */
import { isDeepStrictEqual } from 'node:util';
import type { TrustedRoots } from '../../shared/certificates/trusted-roots.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { KnownCertificate } from '../../shared/domain/known-certificate.ts';
import {
  type RootStanding,
  type StandingReport,
  standingNamesMax,
  toStandingReport,
} from '../../shared/domain/root-standing.ts';
import { ignoreAbort } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { CertificateWatch } from './certificate-watch.ts';

/** What saying it needs. */
export interface RootStandingsNeeds {
  readonly siteCode: string;
  readonly store: Pick<StateStore, 'records' | 'write' | 'onWritten'>;
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  readonly logger: Pick<Logger, 'warn'>;
  readonly trustedRoots: Pick<TrustedRoots, 'held' | 'onChange'>;
  readonly watch: Pick<CertificateWatch, 'known' | 'dueOf' | 'pointsGivenNewest'>;
  readonly sites: Pick<SiteDirectory, 'tree'>;
  /** Where the report goes; absent below the top. */
  readonly writeReport?: ((report: StandingReport) => Promise<void>) | undefined;
}

/** How often is looked, while there are two roots. */
const lookMs = 60_000;
/** From one such look to the next: each reads all that was issued, and a site in the wrong hands may have news without end. */
const newsPauseMs = 5_000;

export class RootStandings implements Component {
  readonly #needs: RootStandingsNeeds;
  readonly #stopping = new AbortController();
  readonly #woken = new WakeSignal();
  #unsubscribes: (() => void)[] = [];
  #looking: Promise<void> = Promise.resolve();

  constructor(needs: RootStandingsNeeds) {
    this.#needs = needs;
  }

  async start(): Promise<void> {
    const { store, trustedRoots } = this.#needs;
    this.#unsubscribes = [
      trustedRoots.onChange(() => this.#woken.wake()),
      store.onWritten((changes) => {
        if (changes.some(({ space }) => space === keySpaces.rootStandings.name)) this.#woken.wake();
      }),
    ];
    this.#looking = this.#lookForEver().catch(ignoreAbort);
  }

  async stop(): Promise<void> {
    for (const unsubscribe of this.#unsubscribes) unsubscribe();
    this.#stopping.abort();
    await this.#looking;
  }

  /** Says how it stands now; nothing while there is only one root. @throws DISK_FULL */
  async look(): Promise<void> {
    const { clock, sites, trustedRoots, writeReport } = this.#needs;
    const { generation, roots } = trustedRoots.held;
    if (roots.length < 2) return;
    await this.#say(generation);
    if (!writeReport) return;
    const rows: RootStanding[] = [];
    for await (const [, row] of this.#rows.list()) rows.push(row);
    const siteCodes = [...sites.tree.list()].map(({ siteCode }) => siteCode);
    await this.#write(toStandingReport(rows, { generation, siteCodes, seenAtMs: clock.nowMs() }));
  }

  /** Whatever keeps it from being written: no root is retired by an old one, and the next look writes another. */
  async #write(report: StandingReport): Promise<void> {
    const { writeReport, logger } = this.#needs;
    await writeReport?.(report).catch((err: unknown) => {
      logger.warn({ err }, 'Who stands on the old root could not be written beside the keys');
    });
  }

  async #say(generation: number): Promise<void> {
    const { siteCode, store, watch } = this.#needs;
    const given = await watch.pointsGivenNewest();
    const known = await watch.known();
    const behind = known.filter((one) => this.#isBehind(one) && !given.has(one.holder));
    // The authority of a site and its own certificate change together.
    const names = [...new Set(behind.map(({ holder }) => holder))].sort();
    const row: RootStanding = {
      ...{ siteCode, generation, behindCount: names.length },
      behind: names.slice(0, standingNamesMax),
    };
    if (isDeepStrictEqual(await this.#rows.get(siteCode), row)) return;
    await store.write([this.#rows.put(siteCode, row)], { sync: false });
  }

  /** Whoever has nothing to lose by it, because his certificate counts no more as it is, is not one of them. */
  #isBehind(certificate: KnownCertificate): boolean {
    const { siteCode, watch } = this.#needs;
    const { kind, holder, issuerSiteCode, isOnNewestRoot } = certificate;
    if (kind === 'root' || isOnNewestRoot) return false;
    if (issuerSiteCode !== siteCode && holder !== `site/${siteCode}`) return false;
    const due = watch.dueOf(certificate);
    return due !== 'expired' && due !== 'revoked';
  }

  async #lookForEver(): Promise<void> {
    const { clock, logger, trustedRoots } = this.#needs;
    for (;;) {
      await this.look().catch((err: unknown) => {
        if (!isErrorWithCode(err, 'DISK_FULL')) throw err;
        logger.warn({ err }, 'Who stands on the old root could not be written down');
      });
      // With one root there is nothing to look at, and the next one is to be seen at once.
      const hasLooked = trustedRoots.held.roots.length > 1;
      if (hasLooked) await clock.sleep(newsPauseMs, this.#stopping.signal);
      await this.#pause(clock);
    }
  }

  /** Until the next look; not past a change of the roots, or what another site says of them. */
  async #pause(clock: Pick<Clock, 'sleep'>): Promise<void> {
    const woken = new AbortController();
    const over = AbortSignal.any([this.#stopping.signal, woken.signal]);
    await Promise.race([clock.sleep(lookMs - newsPauseMs, over), this.#woken.wait(over)]).finally(
      () => woken.abort(),
    );
  }

  get #rows() {
    return this.#needs.store.records(keySpaces.rootStandings);
  }
}
