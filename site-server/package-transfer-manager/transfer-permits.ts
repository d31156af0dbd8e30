import { bringsContent, type DistributionJob } from '../../shared/domain/distribution-job.ts';
import type { RemainingTransfer } from '../../shared/domain/transfer-pace.ts';
import type { TransferArbiter } from '../../shared/transfer-arbiter/transfer-arbiter.ts';
import type { TransferPermit } from '../../shared/transfer-arbiter/transfer-permit.ts';
import type { TransferControlRows } from '../hierarchy-manager/transfer-control-rows.ts';

/** What transfer permits need. */
export interface TransferPermitsNeeds {
  readonly arbiter: Pick<TransferArbiter, 'open' | 'reroute' | 'opensAtMs' | 'etaMs'>;
  readonly transferControls: Pick<TransferControlRows, 'passagesToDp' | 'onChanged'>;
}

type JobOnTheWay = Pick<DistributionJob, 'jobSerial' | 'dpId' | 'priority' | 'ignoresWindow'>;

/** A permit, and whose it is. */
interface HeldPermit {
  readonly permit: TransferPermit;
  readonly dpId: string;
}

/**
 * The permits of the jobs that send content now, and what is allowed on the ways to the site's DPs.
 * Called by the job runner for each push, and by Package Transfer Manager. In memory only.
 */
export class TransferPermits {
  readonly #needs: TransferPermitsNeeds;
  readonly #held = new Map<number, HeldPermit>();
  #sentBytes = 0;

  constructor(needs: TransferPermitsNeeds) {
    this.#needs = needs;
  }

  /** What has left for DPs since this program began. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /**
   * A push begins. What it is given is to be closed with `close`, however the push ends.
   *
   * @param onWindowClosed called when it has to stop since the way to its DP is closed to it
   */
  open(job: JobOnTheWay, onWindowClosed: () => void): TransferPermit {
    const { jobSerial, dpId, priority } = job;
    const passages = this.#needs.transferControls.passagesToDp(dpId);
    const ignoresSchedules = job.ignoresWindow === true;
    const onLeft = (bytes: number) => {
      this.#sentBytes += bytes;
    };
    const options = { onWindowClosed, onLeft, ignoresSchedules };
    const permit = this.#needs.arbiter.open(passages, priority, options);
    this.#held.set(jobSerial, { permit, dpId });
    return permit;
  }

  close(jobSerial: number): void {
    this.#held.get(jobSerial)?.permit.close();
    this.#held.delete(jobSerial);
  }

  /** The job may have another priority than when its push began, or be let run whatever the hour is. */
  heed({ jobSerial, priority, ignoresWindow }: JobOnTheWay): void {
    const permit = this.#held.get(jobSerial)?.permit;
    if (!permit) return;
    if (permit.priority !== priority) permit.priority = priority;
    if (ignoresWindow && !permit.ignoresSchedules) permit.ignoresSchedules = true;
  }

  /** Why the push of a job sends less than it could; undefined when nothing holds it back. */
  hindranceOf(jobSerial: number): string | undefined {
    const hindrance = this.#held.get(jobSerial)?.permit.hindrance;
    // One whose window has closed is just giving up its place.
    if (!hindrance || hindrance.reason === 'window-closed') return undefined;
    if (hindrance.reason === 'priority') return 'A package of higher priority uses the way';
    return `The limit of ${inWords(hindrance.passage?.name ?? '')} holds it back`;
  }

  /**
   * Milliseconds until what remains of a job is at its DP, by what is set for the way and what was measured
   * of it; 0 when nobody can say.
   */
  etaMs(job: DistributionJob, remaining: RemainingTransfer): number {
    const { arbiter, transferControls } = this.#needs;
    // What a validation reads goes no way.
    const passageNames = bringsContent(job) ? transferControls.passagesToDp(job.dpId) : [];
    const ignoresSchedules = job.ignoresWindow === true;
    return arbiter.etaMs({ passageNames, priority: job.priority, ignoresSchedules }, remaining);
  }

  /** When the way to the job's DP is open to it: `nowMs` when it is; undefined when it never is. */
  opensAtMs({ dpId, priority }: JobOnTheWay, nowMs: number): number | undefined {
    const { arbiter, transferControls } = this.#needs;
    return arbiter.opensAtMs(transferControls.passagesToDp(dpId), priority, nowMs);
  }

  /**
   * Calls the listener when what is allowed may have changed; running pushes follow by themselves, from
   * their next part on.
   *
   * @returns ends it
   */
  onChanged(listener: () => void): () => void {
    const { arbiter, transferControls } = this.#needs;
    return transferControls.onChanged(() => {
      for (const { permit, dpId } of this.#held.values()) {
        arbiter.reroute(permit, transferControls.passagesToDp(dpId));
      }
      listener();
    });
  }
}

/** `dp/PS1DP1` as "PS1DP1", `link/london` as "the link london". */
function inWords(passageName: string): string {
  const slash = passageName.indexOf('/');
  const name = passageName.slice(slash + 1);
  return passageName.startsWith('link/') ? `the link ${name}` : name;
}
