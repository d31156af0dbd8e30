import type { PeerIdentity } from '../domain/peer-identity.ts';
import { Allowance } from './allowance.ts';
import type { PeerLimits } from './peer-limits.ts';

/** A stream that waits until its call may begin. */
export interface WaitingCall {
  isOver(): boolean;
  begin(): void;
}

/** What one certified identity takes of a server, on all its connections together. */
export class PeerRecord {
  readonly identity: PeerIdentity | undefined;
  readonly messages: Allowance;
  readonly overheadBytes: Allowance;
  readonly takenBackCalls: Allowance;
  readonly faults: Allowance;
  readonly refusedConnections: Allowance;
  connectionCount = 0;
  callCount = 0;
  readonly #limits: PeerLimits;
  readonly #calls: Allowance;
  readonly #waiting: WaitingCall[] = [];

  constructor(identity: PeerIdentity | undefined, limits: PeerLimits, nowMs: number) {
    this.identity = identity;
    this.#limits = limits;
    this.#calls = new Allowance(limits.calls, nowMs);
    this.messages = new Allowance(limits.messages, nowMs);
    this.takenBackCalls = new Allowance(limits.takenBackCalls, nowMs);
    this.overheadBytes = new Allowance(limits.overheadBytes, nowMs);
    this.faults = new Allowance(limits.faults, nowMs);
    this.refusedConnections = new Allowance(limits.refusedConnections, nowMs);
  }

  /**
   * The limit, in words, for which its connections are closed. It gets no new ones before there is
   * something left: who is cut off and comes back at once would cost as much as before.
   */
  overLimit(nowMs: number): string | undefined {
    const { overheadBytes, takenBackCalls, faults } = this.#limits;
    if (this.takenBackCalls.isUsedUp(nowMs)) {
      return `${takenBackCalls.perSecond} calls taken back a second`;
    }
    if (this.faults.isUsedUp(nowMs)) return `${faults.burst} breaches of what is agreed`;
    if (!this.overheadBytes.isUsedUp(nowMs)) return undefined;
    return `${overheadBytes.perSecond} bytes a second that are no messages`;
  }

  /**
   * Whether the address of a connection that is refused has to pay for it. Behind one address there may be all
   * agents of a site: that somebody tries more connections than there may be for a moment is no reason.
   */
  costsItsAddress(nowMs: number): boolean {
    return this.overLimit(nowMs) !== undefined || this.refusedConnections.isUsedUp(nowMs);
  }

  /** Whether nothing of it needs to be remembered. */
  isIdle(nowMs: number): boolean {
    const { messages, overheadBytes, takenBackCalls, faults, refusedConnections } = this;
    const ofConnections = [overheadBytes, takenBackCalls, faults, refusedConnections];
    const allowances = [this.#calls, messages, ...ofConnections];
    return this.connectionCount === 0 && allowances.every((one) => one.isFull(nowMs));
  }

  /** Begins a call now, or in its turn when the peer begins too many. */
  admit(call: WaitingCall, nowMs: number): void {
    this.#waiting.push(call);
    this.beginDue(nowMs);
  }

  /** A call was refused, which costs it as much as one that begins. @returns whether it might have begun now */
  refused(nowMs: number): boolean {
    return this.#calls.take(1, nowMs);
  }

  /** Begins the calls whose turn it is. @returns how long the next one must wait, if one does */
  beginDue(nowMs: number): number | undefined {
    for (;;) {
      const next = this.#waiting[0];
      if (!next) return undefined;
      // A call that ended before its turn costs as much as one that did not: its peer began it.
      const waitMs = this.#calls.waitMs(nowMs);
      if (waitMs > 0 && !next.isOver()) return waitMs;
      this.#waiting.shift();
      this.#calls.take(1, nowMs);
      if (!next.isOver()) next.begin();
    }
  }
}
