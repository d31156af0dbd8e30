import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { ReceivedInstruction } from '../../shared/domain/site-instruction.ts';
import { ignoreAbort, isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import { type DespoolEntry, nextToDespool } from './despool-queue.ts';
import type { DespoolResult, DespoolTask } from './despool-task.ts';

/** What the Despooler needs. */
export interface DespoolerComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'pending' | 'handled' | 'subscribe' | 'onNotified'>;
  readonly task: Pick<DespoolTask, 'run'>;
  readonly status: StatusReporter;
  readonly clock: Pick<Clock, 'sleep' | 'nowMs'>;
  /** A number from 0 up to 1. */
  readonly random: () => number;
  /** Told after each change of what limits it. @default never */
  readonly settings?: { onChanged(listener: () => void): () => void };
  readonly logger: Logger;
}

/** How the Despooler is tuned. */
export interface DespoolerConfig {
  /** Instructions carried out at once. @default 3 @see behaviour row REP-6 */
  readonly packagesMax: number;
  /** How long content waits for its metadata before it looks by itself. @default 300_000 */
  readonly metadataDelayMs: number;
  /** First wait for room on the disk; doubles up to the cap. @default 5_000 */
  readonly retryDelayMs: number;
  /** Longest such wait. @default 300_000 */
  readonly retryDelayMsMax: number;
}

/** As documented at each. */
export const defaultDespoolerConfig: DespoolerConfig = {
  packagesMax: 3,
  metadataDelayMs: 300_000,
  retryDelayMs: 5_000,
  retryDelayMsMax: 300_000,
};

/** An instruction and how far it is, to be shown. */
export interface DespoolView {
  readonly jobId: string;
  readonly packageId: string;
  readonly sourceVersion: number;
  readonly baseVersion: number;
  readonly sendingSiteCode: string;
  readonly finalSiteCode: string;
  readonly state: DespoolEntry['state'];
  /** What it waits for; empty otherwise. */
  readonly reason: string;
  readonly fileBytes: number;
  /** Bytes of its contents that are unpacked; compressed, they may be fewer. */
  readonly doneBytes: number;
  readonly receivedAtMs: number;
}

/**
 * Carries out the instructions of other sites, three at once, and of one package one after another
 * (REP-6). Content that is quicker than its metadata waits for that, and looks by itself after five
 * minutes; a full disk is tried again. Which instructions there are, stands in the table "received
 * instructions"; how far they are, in memory: a restart is a reason to look at all of them.
 */
export class Despooler implements Component {
  readonly #components: DespoolerComponents;
  readonly #config: DespoolerConfig;
  readonly #stopping = new AbortController();
  readonly #wake = new WakeSignal();
  readonly #entries = new Map<string, DespoolEntry>();
  readonly #running = new Set<Promise<void>>();
  #unsubscribe: (() => void)[] = [];
  #loop: Promise<void> = Promise.resolve();

  constructor(components: DespoolerComponents, config = defaultDespoolerConfig) {
    this.#components = components;
    this.#config = config;
  }

  async start(): Promise<void> {
    const { notifier, store } = this.#components;
    for await (const [, row] of store.records(keySpaces.receivedInstructions).list()) {
      this.#add(row);
    }
    this.#unsubscribe = [
      notifier.subscribe('received-instruction', () => this.#wake.wake()),
      // Others handle what comes of it; here it only ends a wait.
      notifier.onNotified('hierarchy-package', (packageId) => this.#onMetadata(packageId)),
      this.#components.settings?.onChanged(() => this.#wake.wake()) ?? (() => {}),
    ];
    this.#loop = this.#work();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    await this.#loop;
    await Promise.all(this.#running);
  }

  /** What is here, the oldest first. */
  list(): DespoolView[] {
    return [...this.#entries.values()]
      .map(({ row, state, reason, doneBytes }) => {
        const { jobId, packageId, sourceVersion, baseVersion, receivedAtMs } = row;
        const { sendingSiteCode, finalSiteCode, file } = row;
        return {
          ...{ jobId, packageId, sourceVersion, baseVersion, sendingSiteCode, finalSiteCode },
          ...{ state, reason, fileBytes: file.fileBytes, doneBytes, receivedAtMs },
        };
      })
      .sort((a, b) => a.receivedAtMs - b.receivedAtMs);
  }

  async #work(): Promise<void> {
    const { signal } = this.#stopping;
    let failureCount = 0;
    try {
      while (!signal.aborted) {
        await this.#wake.wait(signal);
        const isDone = await this.#hadRoom(() => this.#takeNotifications());
        this.#startTasks();
        failureCount = isDone ? 0 : failureCount + 1;
        if (!isDone) this.#wakeIn(this.#retryDelayMs(failureCount));
      }
    } catch (error) {
      if (!(isAbortError(error) && signal.aborted)) throw error;
    }
  }

  /** Whether there was room on the disk of this site for it. */
  async #hadRoom(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
      this.#components.logger.warn({ err: error }, 'Disk of the site server is full');
      return false;
    }
  }

  async #takeNotifications(): Promise<void> {
    const { notifier, store } = this.#components;
    const rows = store.records(keySpaces.receivedInstructions);
    const handled = [];
    for await (const notification of notifier.pending('received-instruction')) {
      const row = await rows.get(notification.subject);
      if (row) this.#add(row);
      handled.push(notifier.handled(notification));
    }
    // The rows stay until they are carried out: nothing hangs on these any more.
    await store.write(handled, { sync: false });
  }

  #add(row: ReceivedInstruction): void {
    const known = this.#entries.get(row.jobId);
    // What runs looks for itself whether the row has changed.
    if (known?.state === 'running' || known?.row.signed === row.signed) return;
    known?.waiting.abort();
    this.#entries.set(row.jobId, toEntry(row));
  }

  #onMetadata(packageId: string): void {
    for (const entry of this.#entries.values()) {
      if (entry.row.packageId !== packageId) continue;
      entry.newsCount += 1;
      if (entry.waitsFor === 'metadata') this.#endWait(entry);
    }
  }

  #startTasks(): void {
    while (this.#running.size < this.#config.packagesMax && !this.#stopping.signal.aborted) {
      const entry = nextToDespool(this.#entries.values());
      if (!entry) return;
      entry.state = 'running';
      entry.reason = '';
      entry.doneBytes = 0;
      const running = this.#run(entry).finally(() => {
        this.#running.delete(running);
        this.#wake.wake();
      });
      this.#running.add(running);
    }
  }

  async #run(entry: DespoolEntry): Promise<void> {
    const { signal } = this.#stopping;
    const onProgress = ({ sizeBytes }: { readonly sizeBytes: number }) => {
      entry.doneBytes = sizeBytes;
    };
    const { newsCount } = entry;
    try {
      const result = await this.#resultOf(entry, { signal, onProgress });
      if (result.outcome === 'waits') await this.#wait(entry, { ...result, newsCount });
      else await this.#conclude(entry);
    } catch (error) {
      if (!(isAbortError(error) && signal.aborted)) throw error;
    }
  }

  /** A full disk may also show where the result is written. */
  async #resultOf(
    entry: DespoolEntry,
    control: Parameters<DespoolTask['run']>[1],
  ): Promise<DespoolResult> {
    try {
      return await this.#components.task.run(entry.row, control);
    } catch (error) {
      if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
      return { outcome: 'waits', for: 'room', reason: error.message };
    }
  }

  /** Done with; unless the same job has come once more meanwhile. */
  async #conclude(entry: DespoolEntry): Promise<void> {
    const { jobId } = entry.row;
    const rows = this.#components.store.records(keySpaces.receivedInstructions);
    const row = await rows.get(jobId);
    if (row) this.#entries.set(jobId, toEntry(row));
    else this.#entries.delete(jobId);
  }

  async #wait(
    entry: DespoolEntry,
    wait: Extract<DespoolResult, { outcome: 'waits' }> & { readonly newsCount: number },
  ): Promise<void> {
    const { for: waitsFor, reason } = wait;
    const { jobId, packageId, sourceVersion } = entry.row;
    entry.tryCount += 1;
    const isMetadata = waitsFor === 'metadata';
    const delayMs = isMetadata ? this.#config.metadataDelayMs : this.#retryDelayMs(entry.tryCount);
    entry.waiting = new AbortController();
    Object.assign(entry, { state: 'waiting', waitsFor, reason });
    this.#components.logger.info({ jobId, packageId, sourceVersion, reason }, 'Instruction waits');
    this.#components.clock
      .sleep(delayMs, AbortSignal.any([entry.waiting.signal, this.#stopping.signal]))
      .then(() => this.#endWait(entry), ignoreAbort);
    // What came while it looked may be what it waits for.
    if (isMetadata && wait.newsCount !== entry.newsCount) this.#endWait(entry);
    else await this.#tellOnce(entry, waitsFor);
  }

  #endWait(entry: DespoolEntry): void {
    if (entry.state !== 'waiting') return;
    entry.waiting.abort();
    Object.assign(entry, { state: 'ready', waitsFor: undefined });
    this.#wake.wake();
  }

  async #tellOnce(entry: DespoolEntry, waitsFor: 'metadata' | 'room'): Promise<void> {
    if (entry.told.has(waitsFor)) return;
    entry.told.add(waitsFor);
    const { packageId, sourceVersion, sourceSiteCode } = entry.row;
    const { status, store } = this.#components;
    const strings = [packageId, `${sourceVersion}`, sourceSiteCode, entry.reason];
    const message = status.message({
      messageId: waitsFor === 'metadata' ? 4401 : 4406,
      insertionStrings: waitsFor === 'metadata' ? strings.slice(0, 2) : strings,
      packageId,
      sourceVersion,
    });
    // On a full disk this may not be written either; the reason stands in the view all the same.
    await this.#hadRoom(() => store.write(message, { sync: false }));
  }

  #wakeIn(delayMs: number): void {
    const { clock } = this.#components;
    clock.sleep(delayMs, this.#stopping.signal).then(() => this.#wake.wake(), ignoreAbort);
  }

  #retryDelayMs(tryCount: number): number {
    const { retryDelayMs: firstMs, retryDelayMsMax: capMs } = this.#config;
    return retryDelayMs({ tryCount, firstMs, capMs, random: this.#components.random });
  }
}

function toEntry(row: ReceivedInstruction): DespoolEntry {
  return {
    row,
    state: 'ready',
    waitsFor: undefined,
    reason: '',
    doneBytes: 0,
    newsCount: 0,
    tryCount: 0,
    told: new Set(),
    waiting: new AbortController(),
  };
}
