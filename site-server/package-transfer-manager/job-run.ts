import type { PieceSource } from '../../shared/content-source/piece-source.ts';
import type { ValidationReport } from '../../shared/domain/content-validation.ts';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { TransferPermit } from '../../shared/transfer-arbiter/transfer-permit.ts';
import type { DistributionPointConnections } from '../distribution-point-connections/distribution-point-connections.ts';
import { FileClaims } from './file-claims.ts';
import type { HeldPackage } from './job-cancellation.ts';
import type { OwnCopyCheck } from './own-copy-check.ts';
import type { PullHandover, PullNotification } from './pull-notification.ts';
import { PushTransfer, type PushTransferConfig, type PushTransferNeeds } from './push-transfer.ts';
import type { TransferPermits } from './transfer-permits.ts';
import type { TransferProgress } from './transfer-progress.ts';
import { validateAtDp } from './validation-run.ts';

export interface JobRunnerNeeds {
  readonly library: PushTransferNeeds['library'];
  readonly pieceSource: Pick<PieceSource, 'join' | 'message'>;
  readonly connections: Pick<DistributionPointConnections, 'check' | 'channelTo'>;
  readonly ownCopies: Pick<OwnCopyCheck, 'failureOf'>;
  readonly pull: Pick<PullNotification, 'notify'>;
  readonly permits: Pick<TransferPermits, 'open' | 'close'>;
  readonly clock: Pick<Clock, 'sleep'>;
}

/** What a run has led to: it is done, or a pull DP has taken it and will say how it ended. */
export type RunResult =
  | {
      readonly kind: 'done';
      readonly verifiedHash: string | undefined;
      /** Of a validation. */
      readonly validationReport?: ValidationReport;
    }
  /** The DP does nothing any more of the jobs that were cancelled before. */
  | { readonly kind: 'cancel-heard'; readonly held: HeldPackage }
  | ({ readonly kind: 'handed-over' } & PullHandover);

/** One run of a job, from its start to its end. */
export interface JobRun {
  readonly job: DistributionJob;
  readonly dp: DistributionPoint;
  readonly progress: TransferProgress;
  readonly signal: AbortSignal;
  /** Called when the DP has taken a job that brings content. */
  readonly onBegun: () => Promise<void>;
  /** Called when it has to stop since the way to its DP is closed to it. */
  readonly onWindowClosed: () => void;
  /** The try before met a full disk at the DP. */
  readonly wasDiskFull: boolean;
}

/**
 * Free room at a DP under which a job that met a full disk is not begun again. Only this little: how
 * much is missing, the DP alone knows, and says when it is asked to take the content.
 */
const freeBytesMin = 2 ** 20;

/** Does what jobs say, against DPs. In memory only: claims of shared files. */
export class JobRunner {
  readonly #needs: JobRunnerNeeds;
  readonly #config: PushTransferConfig;
  readonly #claimsOf = new Map<string, FileClaims>();

  constructor(needs: JobRunnerNeeds, config: PushTransferConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  /**
   * Runs a job to its end, or until a pull DP has taken it.
   *
   * @returns for content that was brought, the hash the DP verified
   * @throws DISK_FULL when the DP has no room at all still; whatever PushTransfer and PullNotification
   *   throw; FILE_NOT_HELD when the DP refused bytes that are damaged at this site
   */
  async run(run: JobRun): Promise<RunResult> {
    if (run.job.action === 'validate') {
      const validationReport = await validateAtDp(this.#needs, run);
      return { kind: 'done', verifiedHash: undefined, validationReport };
    }
    if (run.job.action === 'cancel') {
      return { kind: 'cancel-heard', held: await this.#cancel(run) };
    }
    await this.#requireRoom(run);
    if (run.job.action === 'remove') {
      return { kind: 'done', verifiedHash: await this.#remove(run) };
    }
    if (run.dp.kind === 'pull') {
      return { kind: 'handed-over', ...(await this.#needs.pull.notify(run)) };
    }
    return { kind: 'done', verifiedHash: await this.#push(run) };
  }

  async #requireRoom({ dp, wasDiskFull, signal }: JobRun): Promise<void> {
    if (!wasDiskFull) return;
    const { freeBytes } = await this.#needs.connections.check(dp, signal);
    if (freeBytes >= freeBytesMin) return;
    throw new WaybillError({
      code: 'DISK_FULL',
      path: `the content library of ${dp.dpId}`,
      freeBytes,
      neededBytes: freeBytesMin,
    });
  }

  async #remove({ job, dp, signal }: JobRun): Promise<undefined> {
    const { packageId, jobSerial } = job;
    await this.#needs.connections
      .channelTo(dp)
      .unary(
        'removePackage',
        { action: { packageId, jobSerial } },
        { deadlineMs: this.#config.contentDeadlineMs, signal },
      );
  }

  async #cancel({ job, dp, signal }: JobRun): Promise<HeldPackage> {
    const { packageId, jobSerial } = job;
    const { installedVersion: sourceVersion, packageHash: bytes } = await this.#needs.connections
      .channelTo(dp)
      .unary(
        'cancelAction',
        { action: { packageId, jobSerial } },
        { deadlineMs: this.#config.callDeadlineMs, signal },
      );
    const packageHash = Buffer.from(bytes).toString('hex');
    const own = await this.#needs.library.getPackage(packageId);
    // What is not this site's version of that number is not that version.
    const isOther = own?.sourceVersion === sourceVersion && own.packageHash !== packageHash;
    return isOther ? { sourceVersion: 0, packageHash: '' } : { sourceVersion, packageHash };
  }

  async #push(run: JobRun): Promise<string> {
    const { permits } = this.#needs;
    const permit = permits.open(run.job, run.onWindowClosed);
    try {
      return await this.#pushWith(permit, run);
    } finally {
      permits.close(run.job.jobSerial);
    }
  }

  async #pushWith(permit: TransferPermit, { dp, ...run }: JobRun): Promise<string> {
    const { library, pieceSource, connections, clock, ownCopies } = this.#needs;
    const claims = this.#claimsOf.get(dp.dpId) ?? new FileClaims();
    this.#claimsOf.set(dp.dpId, claims);
    const channel = connections.channelTo(dp);
    const sleep = (ms: number, until: AbortSignal) => clock.sleep(ms, until);
    const needs = { library, pieceSource, channel, claims, permit, sleep };
    const transfer = new PushTransfer(needs, this.#config, run);
    try {
      return await transfer.run();
    } catch (error) {
      const { refused: files } = transfer;
      if (files.length === 0) throw error;
      throw await ownCopies.failureOf({ job: run.job, files, signal: run.signal }, error);
    }
  }
}
