/**
 * Asks for the validations that are due by the schedules of this site's DPs (PKG-8). Looks every ten
 * minutes; when a package is due follows from rows and its name, so nothing is lost by a restart, and what
 * was missed meanwhile is asked for once. Stores "validation schedules" and
 * "own validation requests".
 */
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { ValidationRequest } from '../../shared/domain/validation-request.ts';
import { dueSlotMs, type KnownSchedule } from '../../shared/domain/validation-schedule.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';

export interface ValidationTimerNeeds {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly packages: Pick<PackageStore, 'servers'>;
  readonly hierarchy: Pick<HierarchyManager, 'list'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Time between two looks: as exact as a period of hours needs it. */
const lookMs = 600_000;
/** Requests of one batch. */
const batchCountMax = 500;

/** A DP with a schedule, and since when. */
interface Scheduled {
  readonly point: DistributionPoint;
  readonly known: KnownSchedule;
}

export class ValidationTimer implements Component {
  readonly #needs: ValidationTimerNeeds;
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  /** Up to then all that was due has been asked for; 0 at a start, when what was missed is looked for. */
  #askedUntilMs = 0;

  constructor(needs: ValidationTimerNeeds) {
    this.#needs = needs;
  }

  async start(): Promise<void> {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const { clock, logger } = this.#needs;
    try {
      for (;;) {
        try {
          await this.#look();
        } catch (err) {
          if (!isErrorWithCode(err, 'DISK_FULL')) throw err;
          logger.warn({ err }, 'Validations that are due could not be asked for');
        }
        await clock.sleep(lookMs, signal);
      }
    } catch (error) {
      if (!(isAbortError(error) && signal.aborted)) throw error;
    }
  }

  async #look(): Promise<void> {
    const { store, clock } = this.#needs;
    const nowMs = clock.nowMs();
    if (nowMs < this.#askedUntilMs) this.#askedUntilMs = 0;
    const scheduled = await this.#scheduled();
    if (scheduled.size === 0) return;
    let batch: Change[] = [];
    for await (const change of this.#due(scheduled)) {
      if (batch.push(change) < batchCountMax) continue;
      await store.write(batch, { sync: false });
      batch = [];
    }
    if (batch.length > 0) await store.write(batch, { sync: false });
    if (!this.#stopping.signal.aborted) this.#askedUntilMs = nowMs;
  }

  /** The DPs with a schedule; one that is new, or another than before, begins now. */
  async #scheduled(): Promise<Map<string, Scheduled>> {
    const { store, hierarchy, clock } = this.#needs;
    const rows = store.records(keySpaces.validationSchedules);
    const before = new Map<string, KnownSchedule>();
    for await (const [dpId, known] of rows.list()) before.set(dpId, known);
    const scheduled = new Map<string, Scheduled>();
    const changes: Change[] = [];
    for await (const point of hierarchy.list()) {
      const { dpId, validation } = point;
      if (!validation) continue;
      const { everyHours } = validation;
      const old = before.get(dpId);
      const isSame = old?.everyHours === everyHours;
      const known = isSame ? old : { everyHours, sinceMs: clock.nowMs() };
      if (!isSame) changes.push(rows.put(dpId, known));
      scheduled.set(dpId, { point, known });
    }
    for (const dpId of before.keys()) if (!scheduled.has(dpId)) changes.push(rows.delete(dpId));
    if (changes.length > 0) await store.write(changes, { sync: false });
    return scheduled;
  }

  async *#due(scheduled: ReadonlyMap<string, Scheduled>): AsyncGenerator<Change> {
    const { packages, store, clock, logger, notifier } = this.#needs;
    const requests = store.records(keySpaces.ownValidationRequests);
    const asked = store.records(keySpaces.validationRequests);
    for await (const [, { packageId, dpId, intent }] of packages.servers.list()) {
      if (this.#stopping.signal.aborted) return;
      const one = scheduled.get(dpId);
      if (!one || intent !== 'installed') continue;
      const key = joinKey(packageId, dpId);
      if (!this.#isNews(key, one.known)) continue;
      const wishes = [await requests.get(key), await asked.get(key)];
      const wishedAtMs = Math.max(...wishes.map((wish) => wish?.wishedAtMs ?? 0));
      const nowMs = clock.nowMs();
      const slotMs = dueSlotMs(key, one.known, { wishedAtMs, nowMs });
      if (slotMs === undefined) continue;
      const request: ValidationRequest = {
        ...{ packageId, dpId, wishedAtMs: nowMs, repair: true },
        // The same for the same slot: asked for twice it is one validation.
        wishId: `schedule-${slotMs}`,
        bytesPerSecond: one.point.validation?.bytesPerSecond ?? 0,
      };
      logger.info({ packageId, dpId }, 'Validation is due');
      yield requests.put(key, request);
      yield notifier.notification('validation-request', packageId);
    }
  }

  /** Whether it has become due since the last look: only then its rows are read, of maybe millions. */
  #isNews(key: string, known: KnownSchedule): boolean {
    const slotMs = dueSlotMs(key, known, { wishedAtMs: 0, nowMs: this.#needs.clock.nowMs() });
    return slotMs !== undefined && slotMs > this.#askedUntilMs;
  }
}
