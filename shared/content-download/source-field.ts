import { pieceBytes } from '../domain/content.ts';
import type { DownloadSources } from './download-sources.ts';
import type { SourceConnection } from './source-connection.ts';
import type { PlannedUnit } from './unit-plan.ts';

/** What the plans depend on of a source, besides its units. */
interface FieldEntry {
  readonly connection: SourceConnection;
  readonly rank: number;
  readonly isPreferred: boolean;
  readonly isComplete: boolean;
}

/** How long a source has nothing to do before it is asked for what others should ask it for. */
const helpMsMin = 500;

/** The sources that may be asked now, and how they stand to each other. */
export class SourceField {
  readonly #sources: Pick<DownloadSources, 'watched'>;
  readonly #random: () => number;
  #entries: readonly FieldEntry[] = [];
  #isStale = true;
  #arrivingCount = 0;
  #lowestArrivingRank = Number.POSITIVE_INFINITY;
  /** When each source was last done with a request. */
  readonly #lastAskedMs = new Map<SourceConnection, number>();

  constructor(sources: Pick<DownloadSources, 'watched'>, random: () => number) {
    this.#sources = sources;
    this.#random = random;
  }

  get connections(): readonly SourceConnection[] {
    return this.#entries.map(({ connection }) => connection);
  }

  /** Whether one of them is getting more itself. */
  get isArriving(): boolean {
    return this.#arrivingCount > 0;
  }

  /** Something has changed that cannot be seen from outside. */
  invalidate(): void {
    this.#isStale = true;
  }

  /** Looks again. @returns whether the plans must be told */
  refresh(): boolean {
    const entries = this.#sources.watched.map(toEntry);
    const isSame =
      !this.#isStale &&
      entries.length === this.#entries.length &&
      entries.every((entry, index) => isSameEntry(entry, this.#entries[index]));
    if (isSame) return false;
    this.#isStale = false;
    this.#entries = entries;
    const arriving = entries.filter(({ isComplete }) => !isComplete).map(({ rank }) => rank);
    this.#arrivingCount = arriving.length;
    this.#lowestArrivingRank = Math.min(...arriving, Number.POSITIVE_INFINITY);
    return true;
  }

  /** Lowest rank first; among equals those that are free. */
  inOrder(): readonly SourceConnection[] {
    const keyed = this.#entries.map(({ connection, rank }) => {
      return { connection, rank, streams: connection.state.streamCount, lot: this.#random() };
    });
    keyed.sort((a, b) => a.rank - b.rank || a.streams - b.streams || a.lot - b.lot);
    return keyed.map(({ connection }) => connection);
  }

  /**
   * What sources of a lower rank are getting themselves soon comes from them: until then little is
   * asked of the others, or those who fetch at once would all ask for the same.
   */
  mayHaveMore({ rank, state }: SourceConnection): boolean {
    return state.streamCount === 0 || rank <= this.#lowestArrivingRank;
  }

  /**
   * How many others fetch the same and ask this source for their part of it. Nobody for one that had
   * nothing to do for a while: then it is asked for what others do not seem to get.
   */
  crowdAt(source: SourceConnection, nowMs: number): number {
    const lastMs = this.#lastAskedMs.get(source) ?? nowMs;
    this.#lastAskedMs.set(source, lastMs);
    const isIdle = nowMs - lastMs > Math.max(helpMsMin, source.expectedMs(pieceBytes) ?? 0);
    return isIdle ? 0 : this.#arrivingCount;
  }

  /** A request to it is over. */
  wasAsked(source: SourceConnection, nowMs: number): void {
    this.#lastAskedMs.set(source, nowMs);
  }

  /** Whether another one, who has shown that he brings things, holds the same. */
  hasAlternative(source: SourceConnection, units: readonly PlannedUnit[]): boolean {
    return this.#others(source, units).some(({ state }) => state.isProven);
  }

  /** Whether another one holds the same, who may be asked. */
  hasOther(source: SourceConnection, units: readonly PlannedUnit[]): boolean {
    return this.#others(source, units).length > 0;
  }

  #others(source: SourceConnection, units: readonly PlannedUnit[]): SourceConnection[] {
    return this.connections.filter(
      (connection) =>
        connection !== source &&
        connection.isUsable &&
        units.every(({ file, pieceIndex }) => connection.holdings.has(file.firstUnit + pieceIndex)),
    );
  }
}

function toEntry(connection: SourceConnection): FieldEntry {
  const { rank, isPreferred, holdings } = connection;
  return { connection, rank, isPreferred, isComplete: holdings.isComplete };
}

function isSameEntry(a: FieldEntry, b: FieldEntry | undefined): boolean {
  return (
    a.connection === b?.connection &&
    a.rank === b.rank &&
    a.isPreferred === b.isPreferred &&
    a.isComplete === b.isComplete
  );
}
