/**
 * Tells the DPs of this site about one subject: whenever what is to be said changes, and whenever a DP comes back,
 * for it may have lost what it was told. Woken by every write of a DP's row, and by `news`. Writes a table of
 * the subject's: the hash of what each DP has last said it keeps, so that nothing is told again without
 * need. A crash leaves at most a DP that is told the same twice.
 */
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { Component } from '../../shared/runtime/component.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import {
  DistributionPointTelling,
  defaultTellingConfig,
  type TellingConfig,
  type TellingNeeds,
  type ToldSubject,
} from './distribution-point-telling.ts';

export interface TellerNeeds extends TellingNeeds {
  readonly store: Pick<StateStore, 'records' | 'write' | 'onWritten'>;
}

interface Entry {
  readonly telling: DistributionPointTelling;
  readonly ended: Promise<void>;
}

export class DistributionPointTeller implements Component {
  readonly #subject: ToldSubject;
  readonly #needs: TellerNeeds;
  readonly #config: TellingConfig;
  readonly #entries = new Map<string, Entry>();
  /** Ends that nobody awaits. */
  readonly #ending = new Set<Promise<void>>();
  #unsubscribe = () => {};

  constructor(subject: ToldSubject, needs: TellerNeeds, config = defaultTellingConfig) {
    this.#subject = subject;
    this.#needs = needs;
    this.#config = config;
  }

  async start(): Promise<void> {
    const { store } = this.#needs;
    this.#unsubscribe = store.onWritten((changes) => this.#onWritten(changes));
    for await (const [dpId, point] of store.records(keySpaces.distributionPoints).list()) {
      // One that was written meanwhile is known better.
      if (!this.#entries.has(dpId)) this.#begin(point, false);
    }
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    for (const { telling } of entries) telling.stop();
    await Promise.all([...entries.map(({ ended }) => ended), ...this.#ending]);
  }

  /** What is to be said is another thing now. */
  news(): void {
    for (const { telling } of this.#entries.values()) telling.changed();
  }

  #onWritten(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.space !== keySpaces.distributionPoints.name) continue;
      if (change.type === 'put') this.#look(change.value as DistributionPoint);
      else this.#forget(change.key);
    }
  }

  #look(point: DistributionPoint): void {
    const entry = this.#entries.get(point.dpId);
    if (entry) entry.telling.changed(point);
    else this.#begin(point, true);
  }

  /** @param isNew it was added just now, or changed: then it is told at once */
  #begin(point: DistributionPoint, isNew: boolean): void {
    const telling = new DistributionPointTelling(this.#subject, point, this.#needs, this.#config);
    // A bug rejects, is nobody's to handle, and ends the process.
    this.#entries.set(point.dpId, { telling, ended: telling.run(isNew) });
  }

  /** The DP is none of this site any more; should it become one again, it is told anew. */
  #forget(dpId: string): void {
    const entry = this.#entries.get(dpId);
    if (!entry) return;
    this.#entries.delete(dpId);
    entry.telling.stop();
    const ending = this.#ended(dpId, entry).finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  async #ended(dpId: string, { ended }: Entry): Promise<void> {
    const { store, logger } = this.#needs;
    await ended;
    try {
      const told = store.records(this.#subject.toldHashes);
      if (!this.#entries.has(dpId)) await store.write([told.delete(dpId)], { sync: false });
    } catch (err) {
      if (!isErrorWithCode(err, 'DISK_FULL')) throw err;
      logger.warn(
        { dpId, err },
        'What a deleted distribution point was told could not be forgotten',
      );
    }
  }
}
