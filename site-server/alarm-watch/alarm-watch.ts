/**
 * Tells administrators of what stands still and will not go on by itself: jobs and send requests without
 * progress, DPs that are away while jobs wait for them, neighbour sites that are away (docs/controls.md,
 * 7), certificates that end soon. Called by nobody; looks by itself. Writes, by its table, "alarms" and status messages. A crash costs
 * a part of the time that something has stood still.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { standstillOfJob, standstillOfSend, type WindowState } from '../../shared/domain/alarm.ts';
import {
  type DistributionJob,
  isRunning,
  isWithPullDp,
} from '../../shared/domain/distribution-job.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { KnownCertificate } from '../../shared/domain/known-certificate.ts';
import { toMomentText } from '../../shared/domain/moment-text.ts';
import type { Priority } from '../../shared/domain/package.ts';
import type { SendRequest } from '../../shared/domain/send-request.ts';
import type { SiteIdentity } from '../../shared/domain/site.ts';
import { ignoreAbort } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import { toDurationText } from '../../shared/runtime/duration-text.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { TransferArbiter } from '../../shared/transfer-arbiter/transfer-arbiter.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { TransferControlRows } from '../hierarchy-manager/transfer-control-rows.ts';
import type { JobTable } from '../package-transfer-manager/job-table.ts';
import type { PackageTransferManager } from '../package-transfer-manager/package-transfer-manager.ts';
import type { NeighbourConnection } from '../replication-manager/neighbour-states.ts';
import type { SendRequestTable } from '../scheduler/send-request-table.ts';
import type { StatusFacts } from '../status-manager/status-manager.ts';
import { AlarmTable, type AlarmTableNeeds, type Observation } from './alarm-table.ts';
import {
  isCertificateKey,
  observationsOfCertificates,
  renewedFactsOf,
} from './certificate-alarms.ts';

/** What watching needs. */
export interface AlarmWatchNeeds extends AlarmTableNeeds {
  readonly jobs: Pick<JobTable, 'open'>;
  readonly transfers: Pick<PackageTransferManager, 'waitOf' | 'holdReason'>;
  readonly sends: Pick<SendRequestTable, 'open'>;
  /** How it stands with the neighbours; costs next to nothing. */
  readonly neighbours: () => readonly NeighbourConnection[];
  /** Those that end soon, though they should have been renewed. */
  readonly certificates: () => readonly KnownCertificate[];
  /** What the other sites of the hierarchy say of themselves; each signs anew every day. */
  readonly identities: () => readonly Pick<SiteIdentity, 'siteCode' | 'signedAtMs'>[];
  /** Revocations that are kept and not heard for lack of room, by the site that said them. */
  readonly passedOverRevocations: () => ReadonlyMap<string, number>;
  readonly arbiter: Pick<TransferArbiter, 'opensAtMs'>;
  readonly transferControls: Pick<TransferControlRows, 'passagesToDp' | 'passagesToSite'>;
  readonly hierarchy: Pick<HierarchyManager, 'kindOf'>;
  /** As they are now: administrators may change them. */
  readonly settings: () => AlarmSettings;
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  readonly logger: Logger;
}

/** When administrators are told. */
export interface AlarmSettings {
  /** A job or a send request has made no progress for so long. @default 1_800_000 */
  readonly noProgressMs: number;
  /** A DP could not be reached for so long, and jobs wait for it. @default 1_800_000 */
  readonly distributionPointAwayMs: number;
  /** A neighbour site was not connected for so long. @default 1_800_000 */
  readonly siteAwayMs: number;
}

/** What alarms are about; the beginning of their keys. */
export type AlarmKind = 'job' | 'send' | 'dp' | 'site' | 'certificate' | 'unheard' | 'passed-over';

/** How long nothing newly signed may come of a site, however far it is: three of its days. */
export const unheardMsMax = 3 * 24 * 3_600_000;

/** Longest and shortest time between two looks. */
const lookMsMax = 60_000;
const lookMsMin = 100;
/** Jobs looked at before others have their turn. */
const pageCount = 1_000;
/** A tenth of the shortest patience: so nothing is told much later than it should be. */
const looksPerPatience = 10;

export class AlarmWatch implements Component {
  readonly #needs: AlarmWatchNeeds;
  readonly #table: AlarmTable;
  readonly #stopped = new AbortController();
  #looking: Promise<void> = Promise.resolve();
  readonly #windows = new Map<string, WindowState>();

  constructor(needs: AlarmWatchNeeds) {
    this.#needs = needs;
    this.#table = new AlarmTable(needs);
  }

  async start(): Promise<void> {
    await this.#table.load();
    this.#looking = this.#lookNowAndThen();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#looking;
  }

  /** Of how many administrators were told that are not over. */
  standingCountOf(kind: AlarmKind): number {
    return this.#table.toldCountOf(kind);
  }

  async #lookNowAndThen(): Promise<void> {
    const { clock } = this.#needs;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await this.#look();
      const patienceMs = Math.min(...Object.values(this.#needs.settings()));
      const lookMs = Math.max(lookMsMin, Math.min(lookMsMax, patienceMs / looksPerPatience));
      await clock.sleep(lookMs, signal).catch(ignoreAbort);
    }
  }

  async #look(): Promise<void> {
    const { clock, logger } = this.#needs;
    this.#windows.clear();
    const observations = [
      ...(await this.#ofJobs()),
      ...this.#ofSends(),
      ...this.#ofPoints(),
      ...this.#ofNeighbours(),
      ...observationsOfCertificates(this.#needs.certificates(), clock.nowMs()),
      ...this.#ofSignedStates(),
      ...this.#ofPassedOver(),
    ];
    try {
      await this.#table.look(observations, clock.nowMs(), (key, sinceMs) =>
        this.#toBackFacts(key, sinceMs),
      );
    } catch (error) {
      if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
      logger.warn({ err: error }, 'Alarms could not be written down');
    }
  }

  /** However many there are, others have their turns: each job is taken as it is when it is looked at. */
  async #ofJobs(): Promise<Observation[]> {
    const { noProgressMs } = this.#needs.settings();
    const observations: Observation[] = [];
    for (const job of this.#needs.jobs.open()) {
      observations.push(this.#ofJob(job, noProgressMs));
      if (observations.length % pageCount === 0) await nextTurn();
    }
    return observations;
  }

  #ofJob(job: DistributionJob, patienceMs: number): Observation {
    const why = this.#standstillOf(job);
    return {
      key: `job/${job.jobSerial}`,
      mark: job.totalBytes - job.remainingBytes,
      isExcused: why === undefined,
      patienceMs,
      toFacts: (sinceMs: number) => this.#toJobFacts(job, why ?? '', sinceMs),
    };
  }

  #standstillOf(job: DistributionJob): string | undefined {
    const { transfers } = this.#needs;
    const { waitingReason } = transfers.waitOf(job.jobSerial) ?? job;
    const window = this.#windowOfJob(job);
    const { holdReason } = transfers;
    return standstillOfJob(job, { waitingReason, isRunning: isRunning(job), holdReason, window });
  }

  #toJobFacts(job: DistributionJob, why: string, sinceMs: number): StatusFacts {
    const { packageId, sourceVersion, dpId } = job;
    const strings = [packageId, `${sourceVersion}`, dpId, this.#textOf(sinceMs), why];
    return { messageId: 9030, insertionStrings: strings, packageId, sourceVersion, dpId };
  }

  #ofSends(): Observation[] {
    const { noProgressMs: patienceMs } = this.#needs.settings();
    const { sends, transferControls } = this.#needs;
    return [...sends.open()].map((request) => {
      const passages = transferControls.passagesToSite(request.destinationSiteCode);
      const why = standstillOfSend(request, this.#windowOf(passages, request.priority));
      return {
        key: `send/${request.requestId}`,
        mark: markOf(request),
        isExcused: why === undefined,
        patienceMs,
        toFacts: (sinceMs: number) => this.#toSendFacts(request, why ?? '', sinceMs),
      };
    });
  }

  #toSendFacts(request: SendRequest, why: string, sinceMs: number): StatusFacts {
    const { packageId, sourceVersion, finalSiteCode } = request;
    const strings = [packageId, `${sourceVersion}`, finalSiteCode, this.#textOf(sinceMs), why];
    return { messageId: 9035, insertionStrings: strings, packageId, sourceVersion };
  }

  /** Those for which jobs wait; one that nobody waits for is none of anybody's business. */
  #ofPoints(): Observation[] {
    const { distributionPointAwayMs: patienceMs } = this.#needs.settings();
    const waiting = new Map<string, DistributionJob[]>();
    for (const job of this.#needs.jobs.open()) {
      if (job.waitingReason !== 'dp-unreachable' || job.state === 'suspended') continue;
      const ofDp = waiting.get(job.dpId) ?? [];
      waiting.set(job.dpId, ofDp);
      ofDp.push(job);
    }
    return [...waiting].map(([dpId, jobs]) => ({
      ...{ key: `dp/${dpId}`, mark: 0, isExcused: false, patienceMs },
      toFacts: (sinceMs) => ({
        messageId: 9031,
        insertionStrings: [
          ...[dpId, this.#textOf(sinceMs), `${jobs.length}`],
          jobs[0]?.reason ?? '',
        ],
        dpId,
      }),
    }));
  }

  #ofNeighbours(): Observation[] {
    const { siteAwayMs: patienceMs } = this.#needs.settings();
    const away = this.#needs.neighbours().filter(({ connected }) => !connected);
    return away.map(({ siteCode, reason }) => ({
      ...{ key: `site/${siteCode}`, mark: 0, isExcused: false, patienceMs },
      toFacts: (sinceMs) => ({
        messageId: 9033,
        insertionStrings: [siteCode, this.#textOf(sinceMs), reason],
      }),
    }));
  }

  /** By the clock of this site alone: how long a site has signed nothing new, whatever times it names. */
  #ofSignedStates(): Observation[] {
    return this.#needs.identities().map(({ siteCode, signedAtMs }) => ({
      ...{ key: `unheard/${siteCode}`, mark: signedAtMs, isExcused: false },
      patienceMs: unheardMsMax,
      toFacts: (sinceMs) => ({
        messageId: 9036,
        insertionStrings: [siteCode, this.#textOf(sinceMs), toMomentText(signedAtMs)],
      }),
    }));
  }

  #ofPassedOver(): Observation[] {
    return [...this.#needs.passedOverRevocations()].map(([siteCode, count]) => ({
      ...{ key: `passed-over/${siteCode}`, mark: 0, isExcused: false, patienceMs: 0 },
      toFacts: () => ({ messageId: 9008, insertionStrings: [siteCode, `${count}`] }),
    }));
  }

  /** Of jobs that go on, their own messages tell. */
  #toBackFacts(key: string, sinceMs: number): StatusFacts | undefined {
    if (isCertificateKey(key)) return renewedFactsOf(key);
    const [kind, name = ''] = key.split('/');
    const insertionStrings = [name, this.#textOf(sinceMs)];
    if (kind === 'dp') return { messageId: 9032, insertionStrings, dpId: name };
    if (kind === 'passed-over') return { messageId: 9009, insertionStrings };
    if (kind !== 'site') return undefined;
    // One that was taken out of the hierarchy is not back.
    const isBack = this.#needs.neighbours().some((one) => one.siteCode === name && one.connected);
    return isBack ? { messageId: 9034, insertionStrings } : undefined;
  }

  #windowOfJob(job: DistributionJob): WindowState {
    const { hierarchy, transferControls } = this.#needs;
    // A pull DP takes jobs at any time, and keeps its hours with what it has taken.
    if (hierarchy.kindOf(job.dpId) === 'pull' && !isWithPullDp(job)) return 'open';
    return this.#windowOf(transferControls.passagesToDp(job.dpId), job.priority);
  }

  /** Looked up once a look for all that go the same way. */
  #windowOf(passages: readonly string[], priority: Priority): WindowState {
    const { arbiter, clock } = this.#needs;
    const key = [priority, ...passages].join(' ');
    const known = this.#windows.get(key);
    if (known) return known;
    const opensAtMs = arbiter.opensAtMs(passages, priority) ?? Number.POSITIVE_INFINITY;
    const isOpening = opensAtMs > clock.nowMs() ? 'closed' : 'open';
    const window = opensAtMs === Number.POSITIVE_INFINITY ? 'never-open' : isOpening;
    this.#windows.set(key, window);
    return window;
  }

  #textOf(sinceMs: number): string {
    return toDurationText(this.#needs.clock.nowMs() - sinceMs);
  }
}

/** That its package file is made is progress, too. */
function markOf({ file, remainingBytes }: SendRequest): number {
  return file.fileHash === '' ? 0 : 1 + file.fileBytes - remainingBytes;
}
