import { isEntryOf } from '../../shared/domain/change-log.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { ChangeLog } from './change-log.ts';
import type { ReplicationConfig } from './replication-config.ts';

/** What the sweep needs. */
export interface LogSweepComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly log: ChangeLog;
  readonly clock: Clock;
}

export type LogSweepConfig = Pick<ReplicationConfig, 'sweepIntervalMs' | 'tombstoneMs'>;

/**
 * Takes out of the change log what is void, and tombstones that are old enough to be forgotten: from
 * then on the floor of their origin tells who needs a full copy. In small batches, for ever.
 */
export class LogSweep {
  readonly #components: LogSweepComponents;
  readonly #config: LogSweepConfig;

  constructor(components: LogSweepComponents, config: LogSweepConfig) {
    this.#components = components;
    this.#config = config;
  }

  /** Sweeps now and then until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      for (;;) {
        await this.#components.clock.sleep(this.#config.sweepIntervalMs, signal);
        await this.#sweepWithRoom(signal);
      }
    } catch (error) {
      if (!isAbortError(error)) throw error;
    }
  }

  /** Sweeps the logs of all origins once. @throws DISK_FULL */
  async sweep(signal?: AbortSignal): Promise<void> {
    const { log } = this.#components;
    for (const origin of log.origins()) {
      for await (const group of log.reader.groups(origin, 0, Number.MAX_SAFE_INTEGER)) {
        if (signal?.aborted) return;
        await this.#sweepGroup(origin, group);
      }
    }
  }

  async #sweepWithRoom(signal: AbortSignal): Promise<void> {
    try {
      await this.sweep(signal);
    } catch (error) {
      // The next sweep does what this one could not.
      if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
    }
  }

  async #sweepGroup(origin: string, group: readonly [number, { row: string }][]): Promise<void> {
    const { log, store } = this.#components;
    const entries = store.records(keySpaces.changeLog);
    const versions = await log.versionsOf(group.map(([, { row }]) => row));
    const voids: Change[] = [];
    const forgotten: string[] = [];
    for (const [index, [sequence, { row }]] of group.entries()) {
      const version = versions[index];
      if (!version || !isEntryOf(version, origin, sequence)) {
        voids.push(entries.delete(joinKey(origin, sequence)));
      } else if (version.isDeleted && this.#isOld(version.changedAt.wallMs)) forgotten.push(row);
    }
    if (voids.length > 0) await store.write(voids, { sync: false });
    if (forgotten.length > 0) await log.turn(() => this.#forget(origin, forgotten));
  }

  #isOld(wallMs: number): boolean {
    return wallMs < this.#components.clock.nowMs() - this.#config.tombstoneMs;
  }

  async #forget(origin: string, rowIds: readonly string[]): Promise<void> {
    const { log } = this.#components;
    let state = log.originState(origin);
    await log.changeRows(rowIds, (versions) => {
      state = log.originState(origin);
      const changes: Change[] = [];
      for (const [rowId, version] of versions) {
        if (!version.isDeleted || version.changedAt.siteCode !== origin) continue;
        changes.push(...log.deleteVersion(rowId, version));
        state = { ...state, floor: Math.max(state.floor, version.sequence) };
      }
      return [...changes, log.putOrigin(origin, state)];
    });
    log.noteOrigin(origin, { ...log.originState(origin), floor: state.floor });
  }
}
