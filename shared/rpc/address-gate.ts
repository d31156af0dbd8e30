import { Allowance } from './allowance.ts';
import { addressGroupOf } from './enrollment-connections.ts';
import type { PeerLimits } from './peer-limits.ts';

/** A connection that may be closed to make room. */
export interface Evictable {
  /** The limit it gives way to, in words. */
  giveWay(limit: string): void;
}

interface AddressRecord {
  readonly unproven: Set<Evictable>;
  readonly begun: Allowance;
  readonly failed: Allowance;
  count: number;
}

type Limits = Pick<
  PeerLimits,
  'unprovenPerAddressMax' | 'unprovenMax' | 'connections' | 'failedConnections'
>;

/**
 * Who may connect, before anything is known of the caller but its address. A connection is unproven
 * until its TLS handshake has shown a certificate of ours; from then on it is counted by its identity, for
 * behind one address there may be all DPs of a site. One that is refused by its identity, more often than that may
 * be, counts as one that has shown none: its handshake has cost as much. When there are too many of these, the
 * oldest gives way: an honest handshake is over in a few round trips, one that only holds a place
 * grows old.
 */
export class AddressGate {
  readonly #limits: Limits;
  readonly #addresses = new Map<string, AddressRecord>();
  readonly #unproven = new Set<Evictable>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** Addresses it remembers. */
  get size(): number {
    return this.#addresses.size;
  }

  /** Lets a new connection in, or says which limit it is over. */
  enter(address: string, connection: Evictable, nowMs: number): string | undefined {
    const { connections, failedConnections } = this.#limits;
    const record = this.#recordOf(address, nowMs);
    if (record.failed.isUsedUp(nowMs)) {
      return `${failedConnections.perSecond} failed connections of one address a second`;
    }
    if (record.begun.waitMs(nowMs) > 0) {
      return `${connections.perSecond} new connections of one address a second`;
    }
    record.begun.take(1, nowMs);
    record.count += 1;
    record.unproven.add(connection);
    this.#unproven.add(connection);
    this.#makeRoom(record);
    return undefined;
  }

  /** The caller has shown a certificate of ours. */
  proven(address: string, connection: Evictable): void {
    this.#addresses.get(addressGroupOf(address))?.unproven.delete(connection);
    this.#unproven.delete(connection);
  }

  /** Who he is was shown, and he was refused for it too often: that costs as much as a handshake that fails. */
  refused(address: string, nowMs: number): void {
    this.#addresses.get(addressGroupOf(address))?.failed.take(1, nowMs);
  }

  /** A connection that was let in has closed. */
  left(address: string, connection: Evictable, nowMs: number): void {
    const record = this.#addresses.get(addressGroupOf(address));
    if (!record) return;
    record.count -= 1;
    if (record.unproven.delete(connection)) record.failed.take(1, nowMs);
    this.#unproven.delete(connection);
  }

  /** Forgets addresses that have no connection and nothing to wait for. */
  forget(nowMs: number): void {
    for (const [key, { count, begun, failed }] of this.#addresses) {
      if (count === 0 && failed.isFull(nowMs) && begun.isFull(nowMs)) this.#addresses.delete(key);
    }
  }

  #makeRoom(record: AddressRecord): void {
    const { unprovenPerAddressMax, unprovenMax } = this.#limits;
    if (record.unproven.size > unprovenPerAddressMax) {
      evictOldest(record.unproven, `${unprovenPerAddressMax} handshakes of one address at once`);
    }
    if (this.#unproven.size > unprovenMax) {
      evictOldest(this.#unproven, `${unprovenMax} handshakes at once`);
    }
  }

  #recordOf(address: string, nowMs: number): AddressRecord {
    const key = addressGroupOf(address);
    const known = this.#addresses.get(key);
    if (known) return known;
    const failed = new Allowance(this.#limits.failedConnections, nowMs);
    const begun = new Allowance(this.#limits.connections, nowMs);
    const record = { unproven: new Set<Evictable>(), begun, failed, count: 0 };
    this.#addresses.set(key, record);
    return record;
  }
}

function evictOldest(connections: ReadonlySet<Evictable>, limit: string): void {
  for (const oldest of connections) {
    oldest.giveWay(limit);
    return;
  }
}
