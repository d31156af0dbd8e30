import type { DistributionJob } from './distribution-job.ts';
import { SortedList } from './sorted-list.ts';

/**
 * When the way to the job's DP is open to it (PTM-5): now or earlier, later, or, undefined, not as far as
 * can be seen, a day at least. The same for all jobs of a DP and a priority.
 */
export type OpensAtMs = (job: DistributionJob, nowMs: number) => number | undefined;

/** After so long a way is asked for again of which it was said that it never opens. */
const askAgainMs = 24 * 60 * 60_000;

/** The way to a DP for jobs of one priority, while it is closed, and who waits for it. */
interface ClosedWay {
  readonly key: string;
  /** When it opens, or is to be asked for again. */
  lookAtMs: number;
  readonly jobs: Map<number, DistributionJob>;
}

/**
 * The ways to DPs (PTM-5). Asked about one when a job could begin on it, not before; jobs of one that is
 * closed stay here until it opens, so that nobody looks at them meanwhile. In memory only.
 */
export class JobWays {
  readonly #opensAtMs: OpensAtMs;
  readonly #closed = new Map<string, ClosedWay>();
  readonly #opening = new SortedList<ClosedWay>(
    (a, b) => a.lookAtMs - b.lookAtMs || (a.key < b.key ? -1 : Number(a.key > b.key)),
  );
  /** What was answered for one moment: each way is asked for once. */
  readonly #answers = new Map<string, number>();
  #answeredAtMs = 0;
  #areOthers = false;

  constructor(opensAtMs: OpensAtMs) {
    this.#opensAtMs = opensAtMs;
  }

  /** When the first of the closed ways opens, or is to be asked for again; undefined when none is closed. */
  get nextLookMs(): number | undefined {
    return this.#opening.first?.lookAtMs;
  }

  /** When the way of a job opens, as of now; Infinity: never. */
  openingFor(job: DistributionJob, nowMs: number): number {
    if (nowMs !== this.#answeredAtMs) this.#answers.clear();
    this.#answeredAtMs = nowMs;
    const key = keyOf(job);
    const known = this.#answers.get(key);
    if (known !== undefined) return known;
    const opensAtMs = this.#opensAtMs(job, nowMs) ?? Number.POSITIVE_INFINITY;
    this.#answers.set(key, opensAtMs);
    return opensAtMs;
  }

  /** Whether the way of a job is open; one whose way is not stays here. */
  isOpen(job: DistributionJob, nowMs: number): boolean {
    const opensAtMs = this.openingFor(job, nowMs);
    if (opensAtMs <= nowMs) return true;
    this.#keep(job, lookAtOf(opensAtMs, nowMs));
    return false;
  }

  /** Keeps a job whose way is known to be closed. @returns false when it is not known to be */
  keptBack(job: DistributionJob): boolean {
    const way = this.#closed.get(keyOf(job));
    way?.jobs.set(job.jobSerial, job);
    return way !== undefined;
  }

  /** The job is another one now, or is gone. */
  delete(job: DistributionJob): void {
    const way = this.#closed.get(keyOf(job));
    way?.jobs.delete(job.jobSerial);
    if (way?.jobs.size === 0) this.#forget(way);
  }

  /** What is allowed on the ways may be another: closed ones are asked for again with the next look. */
  changed(): void {
    this.#areOthers = true;
    this.#answers.clear();
  }

  /** Jobs whose way has opened, or may have; they are here no more. @param isBack the clock shows an earlier time than before */
  opened(nowMs: number, isBack: boolean): DistributionJob[] {
    this.#answers.clear();
    if (isBack || this.#areOthers) this.#askAgain(nowMs);
    this.#areOthers = false;
    const jobs: DistributionJob[] = [];
    for (let way = this.#opening.first; way; way = this.#opening.first) {
      if (way.lookAtMs > nowMs) break;
      jobs.push(...way.jobs.values());
      this.#forget(way);
    }
    return jobs;
  }

  #askAgain(nowMs: number): void {
    for (const way of [...this.#closed.values()]) {
      const [job] = way.jobs.values();
      if (!job) continue;
      this.#opening.delete(way);
      way.lookAtMs = lookAtOf(this.openingFor(job, nowMs), nowMs);
      this.#opening.put(way);
    }
  }

  #keep(job: DistributionJob, lookAtMs: number): void {
    if (this.keptBack(job)) return;
    const way = { key: keyOf(job), lookAtMs, jobs: new Map([[job.jobSerial, job]]) };
    this.#closed.set(way.key, way);
    this.#opening.put(way);
  }

  #forget(way: ClosedWay): void {
    this.#closed.delete(way.key);
    this.#opening.delete(way);
  }
}

/** A "never" is not kept for good: it is only as true as whoever said it could see. */
function lookAtOf(opensAtMs: number, nowMs: number): number {
  return opensAtMs === Number.POSITIVE_INFINITY ? nowMs + askAgainMs : opensAtMs;
}

function keyOf({ dpId, priority }: DistributionJob): string {
  return `${dpId}/${priority}`;
}
