import type { ContentDescriptor } from '../domain/content.ts';
import type { WaybillError } from '../domain/errors.ts';
import type { Priority } from '../domain/package.ts';
import { toIdentityUri } from '../domain/peer-identity.ts';
import type { PullSource } from '../domain/pull-source.ts';
import { workIsOver } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { type ContentChannel, SourceConnection } from './source-connection.ts';
import type { UnitRange } from './source-holdings.ts';
import type { SourceSet } from './source-set.ts';
import { medianOf, type SourceRules } from './source-state.ts';

export interface DownloadSourcesNeeds {
  readonly connect: (source: PullSource) => ContentChannel;
  readonly clock: Clock;
  readonly random: () => number;
  /** Of the package that is fetched. */
  readonly priority: () => Priority;
  readonly logger: Logger;
  readonly onLied: (source: PullSource, error: WaybillError) => void;
}

/** Who wants to know of changes. */
export interface SourcesListener {
  /** Others may be asked, or for other things. */
  readonly onChanged: () => void;
  /** One holds more. */
  readonly onGrown?: (connection: SourceConnection, range: UnitRange) => void;
  /** What failed is to be tried again. */
  readonly onForgiven?: () => void;
}

/** A content whose holders are known. */
interface Watch {
  readonly content: ContentDescriptor;
  readonly unitCount: number;
  readonly signal: AbortSignal;
  readonly running: Promise<void>[];
}

/** The connections to the sources of a download, as its source set has them now. */
export class DownloadSources {
  readonly #set: SourceSet;
  readonly #needs: DownloadSourcesNeeds;
  readonly #rules: SourceRules;
  /** By identity and address. */
  #connections = new Map<string, SourceConnection>();
  /** Those that lied, in words by identity: they stay set aside whatever the set says. */
  readonly #liars = new Map<string, string>();
  readonly #listeners = new Set<SourcesListener>();
  readonly #closing: Promise<void>[] = [];
  readonly #endListening: () => void;
  #watch: Watch | undefined;

  constructor(set: SourceSet, needs: DownloadSourcesNeeds, rules: SourceRules) {
    this.#set = set;
    this.#needs = needs;
    this.#rules = rules;
    this.#endListening = set.onChanged(() => this.#onSet());
    this.#takeOver();
  }

  /** Those that are not set aside, usable or not. */
  get connections(): readonly SourceConnection[] {
    return [...this.#connections.values()];
  }

  /** Those that may be asked, and say what they hold of the content that is watched. */
  get watched(): readonly SourceConnection[] {
    return this.connections.filter(({ isUsable, isWatched }) => isUsable && isWatched);
  }

  /** What it takes the other sources to bring so many bytes; undefined when none was measured. */
  othersMs(connection: SourceConnection, bytes: number): number | undefined {
    const others = this.connections.filter((one) => one !== connection);
    return medianOf(others.flatMap((one) => one.expectedMs(bytes) ?? []));
  }

  /** Why nobody gives anything, in words. */
  get refusal(): string {
    const refusals = this.connections.map(
      ({ words, refusal }) => `${words} ${refusal ?? 'holds nothing that is missing'}`,
    );
    const liars = [...this.#liars.values()].map((words) => `${words} gave wrong bytes`);
    const all = [...liars, ...refusals];
    const shown = all.slice(0, refusalsShownMax).join(', ') || 'there are none';
    return all.length > refusalsShownMax ? `${shown}, and others` : shown;
  }

  /** The next time one of them may be asked again; Infinity when none waits for a time. */
  get nextUsableMs(): number {
    const nowMs = this.#needs.clock.monotonicMs();
    const times = this.connections.map(({ state }) => state.passedOverUntilMs);
    return Math.min(...times.filter((time) => time > nowMs), Number.POSITIVE_INFINITY);
  }

  listen(listener: SourcesListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Knows what the sources hold of a content until it is disposed of; one content at a time. */
  watch(content: ContentDescriptor, unitCount: number): AsyncDisposable {
    const over = new AbortController();
    const watch: Watch = { content, unitCount, signal: over.signal, running: [] };
    this.#watch = watch;
    for (const connection of this.connections) this.#begin(watch, connection);
    return {
      [Symbol.asyncDispose]: async () => {
        if (this.#watch === watch) this.#watch = undefined;
        over.abort(workIsOver);
        await Promise.all(watch.running);
      },
    };
  }

  /** Takes it that each of them holds all of something; see `assumeAll`. */
  assumeAll(unitCount: number): Disposable {
    const ends = this.connections.map((one) => one.assumeAll(unitCount));
    return {
      [Symbol.dispose]: () => {
        for (const end of ends) end();
      },
    };
  }

  /** Failures count no more. */
  forgive(): void {
    for (const { onForgiven } of this.#listeners) onForgiven?.();
    for (const connection of this.connections) connection.forgive();
  }

  async close(): Promise<void> {
    this.#endListening();
    await Promise.all([...this.connections.map((one) => one.close()), ...this.#closing]);
  }

  #onSet(): void {
    this.#takeOver();
    this.forgive();
    this.#changed();
  }

  #takeOver(): void {
    const before = this.#connections;
    this.#connections = new Map();
    for (const source of this.#set.sources) {
      const key = keyOf(source);
      if (this.#connections.has(key) || this.#liars.has(toIdentityUri(source.identity))) continue;
      const known = before.get(key);
      if (known) known.state.source = source;
      this.#connections.set(key, known ?? this.#open(source));
    }
    for (const [key, gone] of before) {
      if (!this.#connections.has(key)) this.#closing.push(gone.close());
    }
  }

  #open(source: PullSource): SourceConnection {
    const { connect, clock, random, priority } = this.#needs;
    const connection = new SourceConnection(
      source,
      {
        connect,
        clock,
        random,
        priority,
        onChanged: () => this.#changed(),
        onGrown: (one, range) => {
          for (const { onGrown } of this.#listeners) onGrown?.(one, range);
        },
        onLied: (one, error) => this.#onLied(one, error),
      },
      this.#rules,
    );
    if (this.#watch) this.#begin(this.#watch, connection);
    return connection;
  }

  #begin({ content, unitCount, signal, running }: Watch, connection: SourceConnection): void {
    running.push(connection.watch(content, unitCount, signal));
  }

  #onLied({ name, words, state }: SourceConnection, error: WaybillError): void {
    this.#needs.logger.warn({ peerId: name, err: error }, 'Source gave wrong bytes');
    this.#liars.set(name, words);
    const key = keyOf(state.source);
    const connection = this.#connections.get(key);
    this.#connections.delete(key);
    if (connection) this.#closing.push(connection.close());
    this.#needs.onLied(state.source, error);
  }

  #changed(): void {
    for (const { onChanged } of this.#listeners) onChanged();
  }
}

/** As many as fit the fact of an error. */
const refusalsShownMax = 6;

function keyOf({ identity, address }: PullSource): string {
  return `${toIdentityUri(identity)} ${address}`;
}
