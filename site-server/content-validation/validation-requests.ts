/**
 * Makes jobs of what is to be validated ("validation requests", PKG-8): each wish once, when nothing else
 * is on its way to the package on that DP. Woken by changes of the requests, whoever made them, and by
 * jobs that end. Stores "acted validations"; a crash leaves a request and its job, or the request alone.
 */
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { ValidationRequest } from '../../shared/domain/validation-request.ts';
import { ignoreAbort, isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { ChangeNotifier, Notification } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { SerialCounter } from '../../shared/state-store/serial-counter.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { JobTable } from '../package-transfer-manager/job-table.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';

export interface ValidationRequestsNeeds {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'subscribe' | 'pending' | 'handled' | 'notification'>;
  readonly packages: PackageStore;
  readonly hierarchy: Pick<HierarchyManager, 'get'>;
  readonly jobs: Pick<JobTable, 'sameTargetAs' | 'onChanged'>;
  readonly jobSerials: Pick<SerialCounter, 'next'>;
  readonly status: StatusReporter;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What is to be done about a request: `drop` when the package is not meant to be on that DP. */
interface Step {
  readonly request: ValidationRequest;
  /** Where it stands that it was acted on. */
  readonly actedKey: string;
  readonly kind: 'nothing' | 'wait' | 'drop' | 'job';
}

/** Who wants something validated: administrators, wherever; and this site itself. */
const sources = [
  { name: 'asked', space: keySpaces.validationRequests },
  { name: 'own', space: keySpaces.ownValidationRequests },
] as const;

const diskFullMs = 10_000;

export class ValidationRequests implements Component {
  readonly #needs: ValidationRequestsNeeds;
  readonly #stopping = new AbortController();
  readonly #wake = new WakeSignal();
  /** Packages of which a request waits until something else has ended. */
  readonly #waiting = new Set<string>();
  #unsubscribe: readonly (() => void)[] = [];
  #loop: Promise<void> = Promise.resolve();

  constructor(needs: ValidationRequestsNeeds) {
    this.#needs = needs;
  }

  async start(): Promise<void> {
    const { notifier, jobs, store } = this.#needs;
    // What waited before a restart: which, nobody remembers.
    for (const { space } of sources) {
      for await (const [, { packageId }] of store.records(space).list()) {
        this.#waiting.add(packageId);
      }
    }
    this.#unsubscribe = [
      notifier.subscribe('validation-request', () => this.#wake.wake()),
      jobs.onChanged((job) => {
        if (job.endedAtMs > 0 && this.#waiting.has(job.packageId)) this.#wake.wake();
      }),
    ];
    this.#wake.wake();
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const { clock, logger } = this.#needs;
    try {
      for (;;) {
        await this.#wake.wait(signal);
        try {
          await this.#takeAll();
        } catch (err) {
          if (!isErrorWithCode(err, 'DISK_FULL')) throw err;
          logger.warn({ err }, 'Disk of the site server is full');
          await clock.sleep(diskFullMs, signal).catch(ignoreAbort);
          this.#wake.wake();
        }
      }
    } catch (error) {
      if (!(isAbortError(error) && signal.aborted)) throw error;
    }
  }

  async #takeAll(): Promise<void> {
    const { notifier } = this.#needs;
    const pending = new Map<string, Notification[]>();
    for (const packageId of this.#waiting) pending.set(packageId, []);
    for await (const notification of notifier.pending('validation-request')) {
      const known = pending.get(notification.subject) ?? [];
      pending.set(notification.subject, [...known, notification]);
    }
    for (const [packageId, notifications] of pending) {
      if (this.#stopping.signal.aborted) return;
      await this.#take(packageId, notifications);
    }
  }

  #take(packageId: string, notifications: readonly Notification[]): Promise<void> {
    const { packages, store, notifier } = this.#needs;
    return packages.turn(packageId, async () => {
      const sitePackage = await packages.packages.get(packageId);
      const steps: Step[] = [];
      for (const { request, actedKey } of await this.#requestsOf(packageId)) {
        // One job at a time for a package on a DP: a second wish waits for the first.
        const isTaken = steps.some(
          (step) => step.kind === 'job' && isSameTarget(step.request, request),
        );
        const kind = await this.#stepOf(request, actedKey, sitePackage);
        steps.push({ request, actedKey, kind: isTaken && kind === 'job' ? 'wait' : kind });
      }
      if (steps.some(({ kind }) => kind === 'wait')) this.#waiting.add(packageId);
      else this.#waiting.delete(packageId);
      // From here on without a pause: serials rise in the order of the writes.
      const changes: Change[] = [
        ...notifications.map((one) => notifier.handled(one)),
        ...steps.flatMap((step) => this.#changesOf(step, sitePackage)),
      ];
      // Synced: the DP will remember the serial, so it must never be given out again.
      if (changes.length > 0) await store.write(changes, { sync: true });
    });
  }

  async #requestsOf(packageId: string): Promise<Pick<Step, 'request' | 'actedKey'>[]> {
    const requests: Pick<Step, 'request' | 'actedKey'>[] = [];
    for (const { space, name } of sources) {
      const rows = this.#needs.store.records(space);
      for await (const [, request] of rows.list({ prefix: `${packageId}/` })) {
        requests.push({ request, actedKey: joinKey(packageId, request.dpId, name) });
      }
    }
    return requests;
  }

  async #stepOf(
    request: ValidationRequest,
    actedKey: string,
    sitePackage: SitePackage | undefined,
  ): Promise<Step['kind']> {
    const { packages, hierarchy } = this.#needs;
    const { packageId, dpId, wishId } = request;
    // Whose the DP is, its own site knows best.
    if (!(await hierarchy.get(dpId))) return 'nothing';
    if ((await this.#acted.get(actedKey))?.wishId === wishId) return 'nothing';
    const server = await packages.getServer(packageId, dpId);
    if (server?.intent !== 'installed' || !sitePackage) return 'drop';
    const isBusy = server.action !== 'none' || sitePackage.sourceVersion === 0;
    return isBusy || (await this.#hasJob(request)) ? 'wait' : 'job';
  }

  /** A job that was just made may not be among the open ones yet: its row is there. */
  async #hasJob({ packageId, dpId }: ValidationRequest): Promise<boolean> {
    const { jobs, packages, store } = this.#needs;
    if (jobs.sameTargetAs({ packageId, dpId }).length > 0) return true;
    const status = await packages.getStatus(packageId, dpId);
    const rows = store.records(keySpaces.distributionJobs);
    return status !== undefined && (await rows.get(joinKey(status.jobSerial))) !== undefined;
  }

  #changesOf({ request, actedKey, kind }: Step, sitePackage: SitePackage | undefined): Change[] {
    if (kind === 'nothing' || kind === 'wait') return [];
    const acted = this.#acted.put(actedKey, { wishId: request.wishId });
    if (kind === 'drop' || !sitePackage) return [acted];
    return [acted, ...this.#jobChanges(request, sitePackage)];
  }

  get #acted() {
    return this.#needs.store.records(keySpaces.actedValidations);
  }

  #jobChanges(request: ValidationRequest, sitePackage: SitePackage): Change[] {
    const { store, notifier, jobSerials, status, clock, logger } = this.#needs;
    const serial = jobSerials.next();
    const job = toValidationJob(request, sitePackage, {
      jobSerial: serial.value,
      nowMs: clock.nowMs(),
    });
    const { packageId, sourceVersion, dpId, jobSerial } = job;
    const insertionStrings = [packageId, `${sourceVersion}`, dpId];
    const key = joinKey(jobSerial);
    logger.info({ packageId, dpId, jobSerial }, 'Created validation job');
    return [
      serial.change,
      store.records(keySpaces.distributionJobs).put(key, job),
      notifier.notification('distribution-job', key),
      ...status.message({ messageId: 2381, packageId, sourceVersion, dpId, insertionStrings }),
    ];
  }
}

function isSameTarget(a: ValidationRequest, b: ValidationRequest): boolean {
  return a.packageId === b.packageId && a.dpId === b.dpId;
}

/** The job as Package Transfer Manager takes it over: of low priority, whatever its package is. */
export function toValidationJob(
  request: ValidationRequest,
  { packageId, sourceVersion, sources }: SitePackage,
  facts: { readonly jobSerial: number; readonly nowMs: number },
): DistributionJob {
  const totalBytes = sources.reduce((sum, { content }) => sum + (content?.sizeBytes ?? 0), 0);
  const { dpId, wishId, repair, bytesPerSecond, round } = request;
  return {
    jobSerial: facts.jobSerial,
    ...{ packageId, sourceVersion, dpId },
    action: 'validate',
    state: 'pending',
    reason: '',
    priority: 3,
    dpPriority: 200,
    order: 0,
    createdAtMs: facts.nowMs,
    startedAtMs: 0,
    updatedAtMs: facts.nowMs,
    restartAtMs: 0,
    tryCount: 0,
    totalBytes,
    remainingBytes: totalBytes,
    bytesSent: 0,
    endedAtMs: 0,
    validation: { wishId, repair, bytesPerSecond, ...(round !== undefined && { round }) },
  };
}
