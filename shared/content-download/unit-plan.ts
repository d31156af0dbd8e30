import { hasPieces, pieceBytes, pieceLengthOf } from '../domain/content.ts';
import type { UnitRange } from './source-holdings.ts';

/** Small files in one request at most, as the wire has it. */
export const batchFilesMax = 512;

/** A file of which units are wanted. */
export interface PlannedFile {
  readonly hash: string;
  readonly sizeBytes: number;
  /** Number of its first unit in the content. */
  readonly firstUnit: number;
}

/** A unit that is wanted: a piece of a file, or a small file whole. */
export interface PlannedUnit {
  readonly file: PlannedFile;
  /** 0 for a small file. */
  readonly pieceIndex: number;
}

/** Wanted units, ascending by their number in the content: eight bytes each. */
export interface UnitStretch {
  readonly files: readonly PlannedFile[];
  /** For each unit, its number in the content. */
  readonly numbers: Uint32Array;
  /** For each unit, which of the files it is of. */
  readonly fileIndices: Uint32Array;
}

/** What the plan asks of a source. */
export interface UnitSource {
  readonly rank: number;
  /** Of the content's units. */
  readonly holdings: { readonly isComplete: boolean; has(unit: number): boolean };
  /** Whether sources of higher ranks leave alone what it holds. */
  readonly isPreferred: boolean;
  /** How long it takes to bring so many bytes; undefined when it was never measured. */
  expectedMs(bytes: number): number | undefined;
}

/** What one request is for: one piece, or small files that stand one behind another. */
export interface UnitPick<S extends UnitSource = UnitSource> {
  readonly source: S;
  /** Positions in the plan, ascending. */
  readonly places: readonly number[];
  readonly units: readonly PlannedUnit[];
  /** Of content. */
  readonly bytes: number;
  /** Moved on by the time in which this side itself kept it waiting. */
  startedAtMs: number;
  /** This side keeps it waiting now: nobody is to be asked in the source's place. */
  isHeldUp: boolean;
}

/** When it is the turn of a unit that another one should ask for. */
const foreignTurn = 1;
/** Each of a crowd has about so many units on their way that are not seen at it yet. */
const crowdFactor = 1;

const missing = 0;
const inFlight = 1;
const done = 2;

/** A rank behind all others. */
const noRank = 0xffff_ffff;
/** A request that is not that old is not doubled. */
const overdueMsMin = 500;
/** The same where nobody was measured yet. */
const overdueMsUnknown = 1_000;
const overdueFactor = 3;

/**
 * The wanted units of one stretch of a content: which are missing, asked for, or done, and which of
 * them a source should be asked for next. Knows no clock and no network; a few bytes a unit, and one
 * for each source that does not hold all.
 */
export class UnitPlan<S extends UnitSource = UnitSource> {
  readonly #stretch: UnitStretch;
  readonly #numbers: Uint32Array;
  /** Small files of one request have one number. */
  readonly #groups: Uint32Array;
  readonly #states: Uint8Array;
  /** Requests that are for the unit now: one that is overdue somewhere is asked for twice. */
  readonly #flightCounts: Uint8Array;
  readonly #random: () => number;
  readonly #flights = new Set<UnitPick<S>>();
  /** Of sources that do not hold all: a byte for each place. */
  #held = new Map<S, Uint8Array>();
  /** 1 for each unit that is this side's to ask for first; all, as long as nobody else is known. */
  readonly #owned: Uint8Array;
  /** How many of those hold each unit. */
  readonly #holderCounts: Uint16Array;
  /** The lowest rank of a preferred source that holds it. */
  readonly #ranks: Uint32Array;
  #firstMissing = 0;
  #missingCount: number;
  #doneCount = 0;

  constructor(stretch: UnitStretch, random: () => number) {
    const { length } = stretch.numbers;
    this.#stretch = stretch;
    this.#random = random;
    this.#numbers = stretch.numbers;
    this.#groups = groupsOf(stretch);
    this.#states = new Uint8Array(length);
    this.#flightCounts = new Uint8Array(length);
    this.#holderCounts = new Uint16Array(length);
    this.#ranks = new Uint32Array(length).fill(noRank);
    this.#missingCount = length;
    this.#owned = new Uint8Array(length).fill(1);
  }

  /** Units nobody is asked for now. */
  get missingCount(): number {
    return this.#missingCount;
  }

  get isDone(): boolean {
    return this.#doneCount === this.#numbers.length;
  }

  /** The sources that may be asked now, when others may be than before, or their ranks changed. */
  setSources(sources: readonly S[]): void {
    this.#held = new Map();
    this.#holderCounts.fill(0);
    this.#ranks.fill(noRank);
    for (const source of sources) {
      if (source.holdings.isComplete) this.#prefer(source, { firstUnit: 0, endUnit: noRank });
      else this.#held.set(source, new Uint8Array(this.#numbers.length));
    }
    for (const source of this.#held.keys()) this.holdingsGrew(source, allUnits);
  }

  /**
   * Shares the units out anew, when others fetch the same than before.
   *
   * @param isOwn whether a unit that only complete sources hold is for this side to ask for first
   */
  share(isOwn: (unit: number) => boolean): void {
    for (const [place, unit] of this.#numbers.entries()) this.#owned[place] = isOwn(unit) ? 1 : 0;
  }

  /** A source holds more of these units. When it holds fewer, or all: `setSources`. */
  holdingsGrew(source: S, range: UnitRange): void {
    const held = this.#held.get(source);
    if (!held) return;
    const end = this.#placeOf(range.endUnit);
    for (let place = this.#placeOf(range.firstUnit); place < end; place++) {
      const isHeld = source.holdings.has(this.#numbers[place] ?? 0);
      if (isHeld === (held[place] === 1)) continue;
      held[place] = isHeld ? 1 : 0;
      this.#holderCounts[place] = (this.#holderCounts[place] ?? 0) + (isHeld ? 1 : -1);
      if (isHeld && source.isPreferred) this.#lowerRank(place, source.rank);
    }
  }

  /**
   * What this source should be asked for, if anything: only what it holds, and what no preferred
   * source of a lower rank holds. When all sources hold all, in order; else what the fewest hold
   * first, at random among equals.
   *
   * @param crowd how many others fetch the same now: when no more than about as many units are left
   *   that nobody has yet, those of others are left to them
   */
  next(source: S, nowMs: number, crowd = 0): UnitPick<S> | undefined {
    if (this.#missingCount === 0) return undefined;
    const isOrdered = this.#held.size === 0;
    const place = isOrdered ? this.#firstFor(source) : this.#rarestFor(source, crowd);
    return place === undefined
      ? undefined
      : this.#start(source, this.#groupAt(place, source), nowMs);
  }

  /**
   * What is asked of another source and takes so long there that this one may try: what comes first
   * counts. For sources that have nothing else to bring.
   *
   * @param isFor whether what this other source was asked for may be asked for here, too
   */
  overdue(source: S, nowMs: number, isFor: (other: S) => boolean): UnitPick<S> | undefined {
    for (const flight of this.#flights) {
      if (flight.source === source || !isFor(flight.source)) continue;
      if (!this.#isOverdue(flight, source, nowMs)) continue;
      const places = flight.places.filter(
        (place) => this.#states[place] === inFlight && this.#holds(source, place),
      );
      const isDoubled = places.some((place) => (this.#flightCounts[place] ?? 0) > 1);
      if (places.length > 0 && !isDoubled) return this.#start(source, places, nowMs);
    }
    return undefined;
  }

  /** These have come and are verified. */
  finish(places: readonly number[]): void {
    for (const place of places) {
      if (this.#states[place] === done) continue;
      if (this.#states[place] === missing) this.#missingCount -= 1;
      this.#states[place] = done;
      this.#doneCount += 1;
    }
  }

  isFinished(place: number): boolean {
    return this.#states[place] === done;
  }

  /** A request is over; what of it is not done, and not asked for elsewhere, is missing again. */
  release(pick: UnitPick<S>): void {
    if (!this.#flights.delete(pick)) return;
    for (const place of pick.places) {
      const flightCount = (this.#flightCounts[place] ?? 1) - 1;
      this.#flightCounts[place] = flightCount;
      if (this.#states[place] !== inFlight || flightCount > 0) continue;
      this.#states[place] = missing;
      this.#missingCount += 1;
      this.#firstMissing = Math.min(this.#firstMissing, place);
    }
  }

  #isOverdue(flight: UnitPick<S>, source: S, nowMs: number): boolean {
    if (flight.isHeldUp) return false;
    const own = source.expectedMs(flight.bytes);
    const other = flight.source.expectedMs(flight.bytes);
    if (own !== undefined && other !== undefined && own >= other) return false;
    const quicker = Math.min(own ?? Number.POSITIVE_INFINITY, other ?? Number.POSITIVE_INFINITY);
    const limitMs = Number.isFinite(quicker)
      ? Math.max(overdueMsMin, overdueFactor * quicker)
      : overdueMsUnknown;
    return nowMs - flight.startedAtMs > limitMs;
  }

  #start(source: S, places: readonly number[], startedAtMs: number): UnitPick<S> {
    let bytes = 0;
    const units: PlannedUnit[] = [];
    for (const place of places) {
      const unit = this.#unitAt(place);
      units.push(unit);
      bytes += unitBytesOf(unit);
      if (this.#states[place] === missing) this.#missingCount -= 1;
      this.#states[place] = inFlight;
      this.#flightCounts[place] = (this.#flightCounts[place] ?? 0) + 1;
    }
    const pick = { source, places, units, bytes, startedAtMs, isHeldUp: false };
    this.#flights.add(pick);
    return pick;
  }

  #firstFor(source: S): number | undefined {
    let place = this.#firstMissing;
    while (place < this.#states.length && this.#states[place] !== missing) place++;
    this.#firstMissing = place;
    for (; place < this.#states.length; place++) if (this.#isFor(source, place)) return place;
    return undefined;
  }

  #rarestFor(source: S, crowd: number): number | undefined {
    let first = Number.POSITIVE_INFINITY;
    let equalCount = 0;
    for (let place = 0; place < this.#states.length; place++) {
      const turn = this.#turnOf(place);
      if (turn > first || !this.#isFor(source, place)) continue;
      equalCount = turn < first ? 1 : equalCount + 1;
      first = turn;
    }
    if (first === foreignTurn && equalCount <= crowd * crowdFactor) return undefined;
    let skipCount = Math.floor(this.#random() * equalCount);
    for (let place = 0; equalCount > 0 && place < this.#states.length; place++) {
      if (this.#turnOf(place) !== first || !this.#isFor(source, place)) continue;
      if (skipCount-- === 0) return place;
    }
    return undefined;
  }

  /** What comes first: units nobody has who is still getting them, own ones before others'. */
  #turnOf(place: number): number {
    const holderCount = this.#holderCounts[place] ?? 0;
    if (holderCount > 0) return foreignTurn + holderCount;
    return this.#owned[place] === 1 ? 0 : foreignTurn;
  }

  /** The unit at this place, and those that travel with it. */
  #groupAt(place: number, source: S): number[] {
    const group = this.#groups[place];
    let start = place;
    while (start > 0 && this.#groups[start - 1] === group) start--;
    const places: number[] = [];
    for (let at = start; this.#groups[at] === group && at < this.#numbers.length; at++) {
      if (this.#isFor(source, at)) places.push(at);
    }
    return places;
  }

  #isFor(source: S, place: number): boolean {
    if (this.#states[place] !== missing || !this.#holds(source, place)) return false;
    return (this.#ranks[place] ?? noRank) >= source.rank;
  }

  #holds(source: S, place: number): boolean {
    const held = this.#held.get(source);
    return held ? held[place] === 1 : source.holdings.has(this.#numbers[place] ?? 0);
  }

  #prefer(source: S, { firstUnit, endUnit }: UnitRange): void {
    if (!source.isPreferred) return;
    const end = this.#placeOf(endUnit);
    for (let place = this.#placeOf(firstUnit); place < end; place++) {
      this.#lowerRank(place, source.rank);
    }
  }

  #lowerRank(place: number, rank: number): void {
    this.#ranks[place] = Math.min(this.#ranks[place] ?? noRank, rank);
  }

  /** The first place whose unit has this number or a higher one. */
  #placeOf(unit: number): number {
    let low = 0;
    let high = this.#numbers.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#numbers[middle] ?? 0) < unit) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #unitAt(place: number): PlannedUnit {
    const file = fileAt(this.#stretch, place);
    return { file, pieceIndex: (this.#numbers[place] ?? 0) - file.firstUnit };
  }
}

const allUnits: UnitRange = { firstUnit: 0, endUnit: noRank };

/** Bytes of content in a unit. */
export function unitBytesOf({ file: { sizeBytes }, pieceIndex }: PlannedUnit): number {
  return hasPieces(sizeBytes) ? pieceLengthOf(sizeBytes, pieceIndex) : sizeBytes;
}

function fileAt({ files, fileIndices }: UnitStretch, place: number): PlannedFile {
  const file = files[fileIndices[place] ?? -1];
  if (!file) throw new RangeError('The plan has no such unit');
  return file;
}

function groupsOf(stretch: UnitStretch): Uint32Array {
  const groups = new Uint32Array(stretch.numbers.length);
  let group = 0;
  let fileCount = 0;
  let bytes = 0;
  for (let place = 0; place < groups.length; place++) {
    const { sizeBytes } = fileAt(stretch, place);
    fileCount += 1;
    bytes += sizeBytes;
    if (fileCount > batchFilesMax || bytes > pieceBytes) {
      group += 1;
      fileCount = 1;
      // What stands behind a piece begins anew: this is more than there is room for.
      bytes = sizeBytes;
    }
    groups[place] = group;
  }
  return groups;
}
