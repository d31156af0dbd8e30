/**
 * Knows every certificate of the hierarchy that this site can see, and which of them end soon though they
 * should have been renewed (SEC-3). Asked by administrators (`waybill certs`) and by the alarm watch; looks
 * by itself once an hour, and asks DPs that nobody has asked for long, and at once those that were just revoked: then
 * their health says so. Stores nothing itself.
 */
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import {
  type CertificateDue,
  dueOf,
  type KnownCertificate,
  type ToldCertificate,
} from '../../shared/domain/known-certificate.ts';
import { authoritiesOf, chainOf } from '../../shared/rpc/certificate-trust.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { DistributionPointChecker } from '../hierarchy-manager/distribution-point-checker.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { Revocations } from '../revocations/revocations.ts';
import {
  type IssuedFacts,
  knownOfIssued,
  knownOfPoint,
  knownOfSite,
  knownRoots,
  withRevocations,
} from './known-certificates.ts';

/** What the watch needs. */
export interface CertificateWatchNeeds {
  readonly siteCode: string;
  readonly credentials: Pick<PeerCredentials, 'ca' | 'certificate'>;
  /** How it stands with the server's own certificate. */
  readonly own: () => ToldCertificate;
  readonly sites: Pick<SiteDirectory, 'tree' | 'identityOf'>;
  readonly hierarchy: Pick<HierarchyManager, 'list' | 'healthOf'>;
  readonly checker: Pick<DistributionPointChecker, 'check'>;
  /** What the authority of this site has issued, oldest first for each holder; nothing where it has none. */
  readonly issued: () => AsyncIterable<IssuedFacts>;
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  /** What was revoked, as far as it counts here. */
  readonly revocations: Pick<Revocations, 'heardOf' | 'heardByIssuer' | 'onChanged'>;
}

/** How it is tuned. */
export interface CertificateWatchConfig {
  /** Time between two looks. @default 3_600_000 */
  readonly lookMs: number;
  /** A DP that nobody has asked for so long is asked. @default 12 hours */
  readonly pointAskedMs: number;
  /** DPs that are asked at once. @default 4 */
  readonly pointsMax: number;
}

const hourMs = 3_600_000;

/** Shortest time between two looks at who was revoked: a site in the wrong hands may have news without end. */
const newsPauseMs = 1_000;

export const defaultCertificateWatchConfig: CertificateWatchConfig = {
  lookMs: hourMs,
  pointAskedMs: 12 * hourMs,
  pointsMax: 4,
};

export class CertificateWatch implements Component {
  readonly #needs: CertificateWatchNeeds;
  readonly #config: CertificateWatchConfig;
  readonly #stopping = new AbortController();
  readonly #news = new WakeSignal();
  #unsubscribe = () => {};
  #watching: readonly Promise<void>[] = [];
  #concerns: readonly KnownCertificate[] = [];

  constructor(needs: CertificateWatchNeeds, config = defaultCertificateWatchConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  async start(): Promise<void> {
    this.#unsubscribe = this.#needs.revocations.onChanged(() => this.#news.wake());
    // What was heard right before a crash.
    this.#news.wake();
    this.#watching = [this.#watchForEver(), this.#watchRevocations()];
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    this.#stopping.abort();
    await Promise.all(this.#watching);
  }

  /**
   * Certificates of roots and agents that administrators should hear of, as the last look found them. People
   * are told by `waybill` itself, when they use theirs.
   */
  concerns(): readonly KnownCertificate[] {
    return this.#concerns;
  }

  /** All that this site knows of: roots, then authorities of sites, then the others, by holder. */
  async known(): Promise<KnownCertificate[]> {
    const told = await this.#told();
    const names = new Set(told.map(nameOf));
    const issued = (await this.#newestIssued()).filter((one) => !names.has(nameOf(one)));
    const others = [...told, ...issued].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
    const authorities = others.filter(({ kind }) => kind === 'site-authority');
    const identities = others.filter(({ kind }) => kind === 'identity');
    const revoked = withRevocations([...authorities, ...identities], this.#needs.revocations);
    return [...this.#roots(), ...revoked];
  }

  /** How it stands with the server's own. */
  own(): ToldCertificate {
    return this.#needs.own();
  }

  /**
   * Those that agents use, and the roots: without what was issued to people, or to who has not been heard. To
   * ask costs a look at each DP and site, whatever was issued.
   */
  async ofAgents(): Promise<KnownCertificate[]> {
    return [...this.#roots(), ...(await this.#told())];
  }

  /**
   * DPs to which a certificate on the newest root was given, whatever they have last said: they may not have been
   * asked since.
   */
  async pointsGivenNewest(): Promise<ReadonlySet<string>> {
    const given = (await this.#newestIssued()).filter((one) => one.isOnNewestRoot);
    return new Set(given.map(({ holder }) => holder).filter((one) => one.startsWith('dp/')));
  }

  /** What is to be done about one, by this site's clock. */
  dueOf(certificate: KnownCertificate): CertificateDue {
    return dueOf(certificate, this.#needs.clock.nowMs());
  }

  /** Sees what ends soon, by what is known now. */
  async see(): Promise<void> {
    const all = await this.known();
    // With a clock that is wrong, every certificate is: then only the own one is told of.
    const { state } = this.#needs.own();
    const isClockRight = state !== 'not-yet-valid' && state !== 'expired';
    const seen = isClockRight ? all : all.filter((one) => this.#isOwn(one));
    this.#concerns = seen.filter((one) => {
      const isOfPeople = /^(admin|client)\//.test(one.holder);
      return !isOfPeople && ['soon', 'urgent', 'expired'].includes(this.dueOf(one));
    });
  }

  async #watchForEver(): Promise<void> {
    const { signal } = this.#stopping;
    try {
      for (;;) {
        await this.see();
        await this.#needs.clock.sleep(this.#config.lookMs, signal);
        await this.#ask(await this.#silentPoints());
      }
    } catch (error) {
      if (!isAbortError(error)) throw error;
    }
  }

  async #watchRevocations(): Promise<void> {
    const { signal } = this.#stopping;
    try {
      for (;;) {
        await this.#news.wait(signal);
        await this.#ask(await this.#revokedPoints());
        await this.#needs.clock.sleep(newsPauseMs, signal);
      }
    } catch (error) {
      if (!isAbortError(error)) throw error;
    }
  }

  #isOwn({ kind, holder }: KnownCertificate): boolean {
    return kind === 'identity' && holder === `site/${this.#needs.siteCode}`;
  }

  #roots(): KnownCertificate[] {
    return knownRoots(authoritiesOf(this.#needs.credentials.ca));
  }

  /** What sites and DPs say of their own. */
  async #told(): Promise<KnownCertificate[]> {
    return [...this.#ofSites(), ...(await this.#ofPoints())];
  }

  #ofSites(): KnownCertificate[] {
    const { clock, credentials, own, siteCode, sites } = this.#needs;
    const roots = authoritiesOf(credentials.ca);
    const ofOthers = [...sites.tree.list()].flatMap((site) => {
      const row = site.siteCode === siteCode ? undefined : sites.identityOf(site.siteCode);
      if (!row) return [];
      // Looked at when it came (`checkIdentityRow`).
      const chain = chainOf(Buffer.from(row.certificate, 'latin1'));
      return knownOfSite(site.siteCode, chain, { roots, atMs: row.signedAtMs });
    });
    const { state, reason } = own();
    const told = { roots, atMs: clock.nowMs() };
    const ofThis = knownOfSite(siteCode, chainOf(credentials.certificate), told).map((one) =>
      one.kind === 'identity' ? { ...one, state, reason } : one,
    );
    return [...ofThis, ...ofOthers];
  }

  async #ofPoints(): Promise<KnownCertificate[]> {
    const { credentials, hierarchy } = this.#needs;
    const roots = authoritiesOf(credentials.ca);
    const known: KnownCertificate[] = [];
    for await (const { dpId } of hierarchy.list()) {
      const { certificate, checkedAtMs } = await hierarchy.healthOf(dpId);
      if (certificate) known.push(knownOfPoint(dpId, certificate, { roots, atMs: checkedAtMs }));
    }
    return known;
  }

  /** The newest of each holder; of DPs that are gone nothing. */
  async #newestIssued(): Promise<KnownCertificate[]> {
    const { credentials, hierarchy, issued, siteCode } = this.#needs;
    const roots = authoritiesOf(credentials.ca);
    const newest = new Map<string, KnownCertificate>();
    for await (const one of issued()) {
      const known = knownOfIssued(siteCode, one, roots);
      newest.set(nameOf(known), known);
    }
    const points = new Set<string>();
    for await (const { dpId } of hierarchy.list()) points.add(`dp/${dpId}`);
    return [...newest.values()].filter(
      ({ holder }) => !holder.startsWith('dp/') || points.has(holder),
    );
  }

  /** What a DP stands on is heard with every job; of one that has none for long it is asked. */
  async #silentPoints(): Promise<DistributionPoint[]> {
    const { clock, hierarchy } = this.#needs;
    const silentMs = clock.nowMs() - this.#config.pointAskedMs;
    const silent: DistributionPoint[] = [];
    for await (const point of hierarchy.list()) {
      const { checkedAtMs } = await hierarchy.healthOf(point.dpId);
      if (checkedAtMs < silentMs) silent.push(point);
    }
    return silent;
  }

  /**
   * DPs that were there when they were last asked, with a certificate that counts no more. They are asked, and not
   * just taken for gone: one may have a new certificate of which nothing was heard yet.
   */
  async #revokedPoints(): Promise<DistributionPoint[]> {
    const { hierarchy, revocations } = this.#needs;
    const told = withRevocations(await this.#told(), revocations);
    const revoked = new Set(told.filter((one) => one.revoked).map(({ holder }) => holder));
    const points: DistributionPoint[] = [];
    for await (const point of hierarchy.list()) {
      if (!revoked.has(`dp/${point.dpId}`)) continue;
      const { reachability } = await hierarchy.healthOf(point.dpId);
      if (reachability === 'reachable') points.push(point);
    }
    return points;
  }

  async #ask(points: DistributionPoint[]): Promise<void> {
    const { checker } = this.#needs;
    const { signal } = this.#stopping;
    const lane = async () => {
      for (let next = points.shift(); next; next = points.shift())
        await checker.check(next, signal);
    };
    try {
      await Promise.all(Array.from({ length: this.#config.pointsMax }, lane));
    } catch (error) {
      // What they said could not be written down; they are asked again.
      if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
    }
  }
}

function nameOf({ kind, holder }: KnownCertificate): string {
  return `${kind} ${holder}`;
}
