/**
 * Whose certificate counts, by what an agent knows of revocations and of where it stands in the hierarchy. Used by
 * the wiring of site server and DP agent; asked by their servers and connections. Sees to it that
 * connections are looked at again now and then, so that none outlives its certificate by much. Writes nothing.
 */
import { type CertifiedPeer, isHeardAt, type Voucher } from '../domain/certificate-authority.ts';
import { toMomentText } from '../domain/moment-text.ts';
import { holderOf } from '../domain/peer-identity.ts';
import {
  isRevocationHeard,
  isRevoked,
  latest,
  type RevocationIndex,
  type RevokedAt,
  type SitePlaces,
} from '../domain/revocation.ts';
import { ignoreAbort, workIsOver } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Component } from '../runtime/component.ts';
import type { CallerGroup } from './call-policy.ts';
import type { PeerTrust } from './peer-trust.ts';

/** What it goes by; asked anew each time. */
export interface KnownTrustNeeds {
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  /** The site this agent is, or belongs to. */
  readonly siteCode: string;
  readonly places: () => SitePlaces;
  readonly revocations: Pick<RevocationIndex<RevokedAt>, 'of'>;
}

export interface KnownTrustConfig {
  /** How long a connection may outlive its certificate. @default 30_000 */
  readonly sweepMs: number;
}

export const defaultKnownTrustConfig: KnownTrustConfig = { sweepMs: 30_000 };

export class KnownTrust implements PeerTrust, Component {
  readonly #needs: KnownTrustNeeds;
  readonly #config: KnownTrustConfig;
  readonly #listeners = new Set<() => void>();
  readonly #stopping = new AbortController();
  #sweeping: Promise<void> | undefined;

  constructor(needs: KnownTrustNeeds, config = defaultKnownTrustConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  async start(): Promise<void> {
    this.#sweeping = this.#sweep(this.#stopping.signal).catch(ignoreAbort);
  }

  async stop(): Promise<void> {
    this.#stopping.abort(workIsOver);
    await this.#sweeping;
  }

  refusalOf(peer: CertifiedPeer): string | undefined {
    const revoked = this.revocationOf(peer);
    if (revoked !== undefined) return revoked;
    const { notAfterMs } = peer;
    const isOver = this.#needs.clock.nowMs() > notAfterMs;
    return isOver ? `it expired at ${toMomentText(notAfterMs)}` : undefined;
  }

  /** Why a certificate is nobody's, whether its time is over or not: with it nothing is renewed. */
  revocationOf(peer: CertifiedPeer): string | undefined {
    const { identity, voucher, notBeforeMs, vouchedFromMs = 0 } = peer;
    const ownAtMs = this.#revokedAtMs(holderOf(identity), voucher, notBeforeMs);
    if (ownAtMs !== undefined) return `it was revoked at ${toMomentText(ownAtMs)}`;
    if (voucher === 'root') return undefined;
    // Whoever has the key of a site's authority makes certificates that begin whenever he likes.
    const { siteCode } = voucher;
    const itsAtMs = this.#revokedAtMs(`site/${siteCode}`, voucher, vouchedFromMs);
    return itsAtMs === undefined
      ? undefined
      : `site ${siteCode}, whose authority issued it, was revoked at ${toMomentText(itsAtMs)}`;
  }

  isVouchedHere(peer: CertifiedPeer, group: CallerGroup): boolean {
    if (group === 'every peer of the hierarchy') return true;
    const { siteCode, places } = this.#needs;
    const [, ...above] = places().wayUp(siteCode);
    return isHeardAt(peer, { siteCode, sitesAbove: new Set(above) });
  }

  onChange(listener: () => void): () => void {
    // A function of its own each time: one listener may be added twice.
    const entry = () => listener();
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }

  /** Revocations, or the place in the hierarchy, are others now: everybody looks again. */
  changed(): void {
    for (const tell of [...this.#listeners]) tell();
  }

  /** When a certificate that begins then was revoked, if it was. */
  #revokedAtMs(holder: string, voucher: Voucher, notBeforeMs: number): number | undefined {
    const { revocations, siteCode: at, places } = this.#needs;
    const all = revocations.of(holder);
    if (all.length === 0) return undefined;
    const heard = all.filter((one) => isRevocationHeard(one.siteCode, { voucher, at }, places()));
    const last = latest(heard);
    return isRevoked(notBeforeMs, last) ? last?.revokedAtMs : undefined;
  }

  async #sweep(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#needs.clock.sleep(this.#config.sweepMs, signal);
      this.changed();
    }
  }
}
