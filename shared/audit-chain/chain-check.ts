import { type AuditPlace, type AuditRecord, noRecordHash } from '../domain/audit-record.ts';
import { hashOfRecord } from './audit-chain.ts';

/** What a site was told of the trail at some time. */
export interface ToldHead extends AuditPlace {
  readonly toldAtMs: number;
  /** The site that keeps it; the trail's own site, too, keeps what it told. */
  readonly toldTo: string;
}

/** What is wrong with an audit trail; serials are those of its records. */
export type ChainFinding =
  /** The record is not what was written. */
  | { readonly kind: 'altered'; readonly serial: number }
  /** Records of which some were there are gone; from the first it may have been to the last. */
  | {
      readonly kind: 'removed';
      readonly serial: number;
      readonly lastSerial: number;
      /** The trail says that they went in time; they were told of too lately for that. */
      readonly isSaidOld?: true;
    }
  /** The record was put between others later. */
  | { readonly kind: 'inserted'; readonly serial: number }
  /** What was told of the record at the time is not what it is now: it, or one before it, was written anew. */
  | { readonly kind: 'rewritten'; readonly serial: number; readonly head: ToldHead };

/** What came of looking through an audit trail. */
export interface ChainReport {
  readonly findings: readonly ChainFinding[];
  /** Of more findings than are kept. */
  readonly findingCount: number;
  readonly recordCount: number;
  /** Records of older programs, without hashes, before the chain begins: nothing vouches for them. */
  readonly uncoveredCount: number;
  readonly oldestSerial: number | undefined;
  readonly newestSerial: number | undefined;
  /** Of what was told, how much could be compared: what went in time cannot. */
  readonly comparedCount: number;
}

/** Findings that are kept; the others are only counted. */
const findingsMax = 1_000;

/**
 * Looks through an audit trail, record by record, oldest first: whether each is what was written, and whether
 * it goes on from the one before it. Then compares it with what others were told of it meanwhile. In memory
 * are the heads alone.
 */
export class ChainCheck {
  #anchor: AuditPlace | undefined;
  readonly #heads: readonly ToldHead[];
  readonly #mayBeGoneMs: number;
  /** Serials of the heads, from the lowest; before the index all are behind the record read last. */
  readonly #wanted: readonly number[];
  #wantedIndex = 0;
  readonly #hashes = new Map<number, string>();
  /** Of a head whose record is not there, the serials between those that are. */
  readonly #gaps = new Map<number, { readonly serial: number; readonly lastSerial: number }>();
  readonly #findings: ChainFinding[] = [];
  #findingCount = 0;
  #recordCount = 0;
  #uncoveredCount = 0;
  #oldestSerial: number | undefined;
  #newestSerial: number | undefined;
  /** The last place of the chain, and the one before. */
  #last: AuditPlace | undefined;
  #beforeLast: AuditPlace | undefined;
  #lastIsSound = true;

  /**
   * @param heads what was told, in any order
   * @param mayBeGoneMs what was told later than this cannot have gone in time, whatever the trail says of its
   *   beginning. @default nothing is known of that
   */
  constructor(heads: readonly ToldHead[], mayBeGoneMs = Number.POSITIVE_INFINITY) {
    this.#mayBeGoneMs = mayBeGoneMs;
    this.#heads = [...heads].sort((a, b) => a.serial - b.serial || a.toldAtMs - b.toldAtMs);
    this.#wanted = [...new Set(this.#heads.map(({ serial }) => serial))];
  }

  /** What was before the next record went in time; said first of all, and where records go while they are read. */
  goOnFrom(anchor: AuditPlace): void {
    this.#anchor = anchor;
    this.#last = anchor;
    this.#beforeLast = undefined;
    this.#lastIsSound = true;
    this.#note(anchor);
  }

  /** The next record. */
  add(record: AuditRecord): void {
    const { serial, hash, previousHash } = record;
    this.#recordCount += 1;
    this.#oldestSerial ??= serial;
    this.#noteGap((this.#newestSerial ?? this.#anchor?.serial ?? 0) + 1, serial);
    this.#newestSerial = serial;
    if (hash === undefined || previousHash === undefined) {
      // Once a chain has begun, every record is in it.
      if (this.#last) this.#tell({ kind: 'altered', serial });
      else this.#uncoveredCount += 1;
      this.#lastIsSound = false;
      return;
    }
    const isSound = hashOfRecord(record, previousHash) === hash;
    // A record that is not what was written says nothing of the one before it.
    if (!isSound) this.#tell({ kind: 'altered', serial });
    else this.#checkLink(serial, previousHash);
    this.#beforeLast = this.#last;
    this.#last = { serial, hash };
    this.#lastIsSound = isSound;
    this.#note(this.#last);
  }

  /** What came of it, after the last record. */
  end(): ChainReport {
    const comparedCount = this.#compareHeads();
    return {
      findings: this.#findings,
      findingCount: this.#findingCount,
      recordCount: this.#recordCount,
      uncoveredCount: this.#uncoveredCount,
      oldestSerial: this.#oldestSerial,
      newestSerial: this.#newestSerial,
      comparedCount,
    };
  }

  #checkLink(serial: number, previousHash: string): void {
    const [last, beforeLast] = [this.#last, this.#beforeLast];
    if (previousHash === (last?.hash ?? noRecordHash)) return;
    // Told already; what its hash was, nobody knows.
    if (last && !this.#lastIsSound) return;
    if (last === undefined) this.#tell({ kind: 'removed', serial: 1, lastSerial: serial - 1 });
    else if (beforeLast && previousHash === beforeLast.hash) {
      this.#tell({ kind: 'inserted', serial: last.serial });
    } else if (serial - last.serial > 1) {
      this.#tell({ kind: 'removed', serial: last.serial + 1, lastSerial: serial - 1 });
    } else {
      // It fits itself, but not what was written after it: it was written anew, hash and all.
      this.#tell({ kind: 'altered', serial: last.serial });
    }
  }

  #compareHeads(): number {
    const newest = this.#newestSerial ?? this.#anchor?.serial ?? 0;
    const oldest = this.#anchor?.serial ?? this.#oldestSerial ?? 1;
    // What went in time cannot be compared any more.
    const heads = this.#heads.filter(
      ({ serial, toldAtMs }) => !this.#anchor || serial >= oldest || toldAtMs > this.#mayBeGoneMs,
    );
    this.#tellGone(
      1,
      heads.findLast(({ serial }) => serial < oldest),
      this.#anchor && { isSaidOld: true },
    );
    this.#compareWithin(heads.filter(({ serial }) => serial >= oldest && serial <= newest));
    this.#tellGone(
      newest + 1,
      heads.findLast(({ serial }) => serial > newest),
    );
    return heads.length;
  }

  #tellGone(
    serial: number,
    newestGone: ToldHead | undefined,
    why: { readonly isSaidOld?: true } = {},
  ): void {
    if (newestGone) this.#tell({ kind: 'removed', serial, lastSerial: newestGone.serial, ...why });
  }

  /** Of each site that was told, the first that is otherwise: what comes after it follows. */
  #compareWithin(heads: readonly ToldHead[]): void {
    const doubted = new Set<string>();
    for (const head of heads) {
      const { serial, toldTo } = head;
      const hash = this.#hashes.get(serial);
      if (hash === head.hash || doubted.has(toldTo)) continue;
      doubted.add(toldTo);
      if (hash !== undefined) this.#tell({ kind: 'rewritten', serial, head });
      else if (!this.#isToldGone(serial)) {
        this.#tell({
          kind: 'removed',
          ...(this.#gaps.get(serial) ?? { serial, lastSerial: serial }),
        });
      }
    }
  }

  #isToldGone(serial: number): boolean {
    return this.#findings.some((one) => {
      return one.kind === 'removed' && one.serial <= serial && serial <= one.lastSerial;
    });
  }

  #noteGap(from: number, serial: number): void {
    for (; ; this.#wantedIndex++) {
      const wanted = this.#wanted[this.#wantedIndex];
      if (wanted === undefined || wanted >= serial) return;
      this.#gaps.set(wanted, { serial: from, lastSerial: serial - 1 });
    }
  }

  #note({ serial, hash }: AuditPlace): void {
    while ((this.#wanted[this.#wantedIndex] ?? serial) < serial) this.#wantedIndex++;
    if (this.#wanted[this.#wantedIndex] !== serial) return;
    this.#hashes.set(serial, hash);
    this.#wantedIndex++;
  }

  #tell(finding: ChainFinding): void {
    this.#findingCount += 1;
    if (this.#findings.length < findingsMax) this.#findings.push(finding);
  }
}
