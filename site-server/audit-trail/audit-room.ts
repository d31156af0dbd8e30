import { fromIdentityUri } from '../../shared/domain/peer-identity.ts';
import { Allowance } from '../../shared/rpc/allowance.ts';
import { type AuditEvent, unauthenticated } from '../../shared/rpc/audit-event.ts';
import { addressGroupOf } from '../../shared/rpc/enrollment-connections.ts';

/** So many records, after a rest, and from then on so many a day. */
export interface AuditShare {
  readonly burst: number;
  readonly perDay: number;
}

/** What the audit trail has room for, besides what administrators did. */
export interface AuditRoomConfig {
  /**
   * What was refused: to those without a certificate, to peers, to administrators, and by others to this
   * site, of each of the four.
   */
  readonly refused: AuditShare;
  /**
   * The same of one caller; of those without a certificate, of one address; of what others refused of
   * this site, of one of them.
   */
  readonly refusedOfOne: AuditShare;
  /** What machines did: renewed, instructed, enrolled again. */
  readonly done: AuditShare;
  readonly doneOfOne: AuditShare;
}

/** With 1,000,000 records kept for 400 days; a flood that lasts costs some 4 MB a day. */
export const defaultAuditRoomConfig: AuditRoomConfig = {
  refused: { burst: 5_000, perDay: 600 },
  refusedOfOne: { burst: 1_000, perDay: 100 },
  done: { burst: 20_000, perDay: 5_000 },
  doneOfOne: { burst: 5_000, perDay: 2_500 },
};

/** Whose records share an allowance. */
type Kind =
  | 'strangers refused'
  | 'peers refused'
  | 'administrators refused'
  | 'sends refused'
  | 'machines done';

/** What is to be written of an event. */
export type AuditWord =
  | { readonly isTaken: true; readonly event: AuditEvent }
  /** It is only counted; `isNews`: nobody was told that for a day. */
  | { readonly isTaken: false; readonly isNews: boolean };

const dayMs = 24 * 3_600_000;
/** How often callers of whom nothing is remembered any more are forgotten. */
const forgetMs = 3_600_000;

/**
 * Decides which events get a record, so that nobody can fill the audit trail with what costs him nothing:
 * refused calls, handshakes that fail. What administrators did always gets one, what used up something that one of
 * them gave, as a token, and what the trail says itself.
 * What is left out is counted, and told with the next record of its kind. In memory alone: after a start
 * everybody has rested.
 */
export class AuditRoom {
  readonly #config: AuditRoomConfig;
  readonly #kinds = new Map<Kind, KindOfRecords>();

  constructor(config = defaultAuditRoomConfig) {
    this.#config = config;
  }

  /** @param nowMs by a clock that is never set */
  wordOn({ isOnce, refusedBy, ...event }: AuditEvent, nowMs: number): AuditWord {
    const kind = isOnce ? undefined : kindOf(event, refusedBy);
    if (!kind) return { isTaken: true, event };
    return this.#recordsOf(kind, nowMs).wordOn(event, refusedBy ?? answerableFor(event), nowMs);
  }

  #recordsOf(kind: Kind, nowMs: number): KindOfRecords {
    const known = this.#kinds.get(kind);
    if (known) return known;
    const { refused, refusedOfOne, done, doneOfOne } = this.#config;
    const isDone = kind === 'machines done';
    const shares = isDone ? { all: done, one: doneOfOne } : { all: refused, one: refusedOfOne };
    const made = new KindOfRecords(shares, nowMs);
    this.#kinds.set(kind, made);
    return made;
  }
}

class KindOfRecords {
  readonly #oneShare: AuditShare;
  readonly #all: Allowance;
  /** Never more than all have been given lately: who gets no record is not remembered. */
  readonly #ones = new Map<string, Allowance>();
  #leftOutCount = 0;
  #toldAtMs = Number.NEGATIVE_INFINITY;
  #forgotAtMs: number;

  constructor({ all, one }: { all: AuditShare; one: AuditShare }, nowMs: number) {
    this.#oneShare = one;
    this.#all = allowanceOf(all, nowMs);
    this.#forgotAtMs = nowMs;
  }

  /** @param of whose allowance it takes from */
  wordOn(event: AuditEvent, of: string, nowMs: number): AuditWord {
    this.#forget(nowMs);
    const one = this.#ones.get(of) ?? allowanceOf(this.#oneShare, nowMs);
    if (this.#all.isUsedUp(nowMs) || one.isUsedUp(nowMs)) return this.#leaveOut(nowMs);
    this.#all.take(1, nowMs);
    one.take(1, nowMs);
    this.#ones.set(of, one);
    const leftOut = this.#leftOutCount > 0 ? `; ${this.#leftOutCount} more were not recorded` : '';
    this.#leftOutCount = 0;
    return { isTaken: true, event: { ...event, detail: event.detail + leftOut } };
  }

  #leaveOut(nowMs: number): AuditWord {
    this.#leftOutCount++;
    const isNews = nowMs - this.#toldAtMs >= dayMs;
    if (isNews) this.#toldAtMs = nowMs;
    return { isTaken: false, isNews };
  }

  #forget(nowMs: number): void {
    if (nowMs - this.#forgotAtMs < forgetMs) return;
    this.#forgotAtMs = nowMs;
    for (const [of, one] of this.#ones) if (one.isFull(nowMs)) this.#ones.delete(of);
  }
}

function allowanceOf({ burst, perDay }: AuditShare, nowMs: number): Allowance {
  return new Allowance({ burst, perSecond: (perDay * 1_000) / dayMs }, nowMs);
}

function answerableFor({ caller, address }: AuditEvent): string {
  return caller === unauthenticated ? addressGroupOf(address) : caller;
}

/** Undefined: it always has a record. */
function kindOf({ caller, result }: AuditEvent, refusedBy: string | undefined): Kind | undefined {
  // Nobody: the trail itself.
  if (caller === '') return undefined;
  const isAdministrator = fromIdentityUri(caller)?.kind === 'admin';
  if (result === 'ok') return isAdministrator ? undefined : 'machines done';
  if (refusedBy !== undefined) return 'sends refused';
  if (caller === unauthenticated) return 'strangers refused';
  return isAdministrator ? 'administrators refused' : 'peers refused';
}
