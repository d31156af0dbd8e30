import type { DistributionJob } from './distribution-job.ts';
import { JobList } from './job-list.ts';
import type { JobPlace } from './job-order.ts';

/**
 * Jobs in groups, such as those of one DP: each group in the order of the queue, and the groups in the
 * order of their first jobs. So the next job of any group, or of one, is found without a look at others.
 */
export class JobGroups {
  readonly #groupOf: (job: DistributionJob) => string;
  readonly #groups = new Map<string, JobList>();
  /** The first job of each group that is not held. */
  readonly #firsts = new JobList();
  /** Groups that take no part in the order of groups. */
  readonly #held = new Set<string>();

  constructor(groupOf: (job: DistributionJob) => string) {
    this.#groupOf = groupOf;
  }

  /** The groups that have jobs. */
  get names(): Iterable<string> {
    return this.#groups.keys();
  }

  add(job: DistributionJob): void {
    const name = this.#groupOf(job);
    const group = this.#groups.get(name) ?? new JobList();
    this.#groups.set(name, group);
    this.#changed(name, group, () => group.put(job));
  }

  delete(job: DistributionJob): void {
    const name = this.#groupOf(job);
    const group = this.#groups.get(name);
    if (!group) return;
    this.#changed(name, group, () => group.delete(job));
    if (group.size === 0) this.#groups.delete(name);
  }

  /** Whether a group is held: then its jobs come in no order of groups. It may be one that has none yet. */
  hold(name: string, isHeld: boolean): void {
    if (this.#held.has(name) === isHeld) return;
    const first = this.firstOf(name);
    if (isHeld) this.#held.add(name);
    else this.#held.delete(name);
    if (first && isHeld) this.#firsts.delete(first);
    else if (first) this.#firsts.put(first);
  }

  /** The first job of a group. */
  firstOf(name: string): DistributionJob | undefined {
    return this.#groups.get(name)?.first;
  }

  /** The first job of a group behind another job, of whatever group that is. */
  nextOf(name: string, job: JobPlace): DistributionJob | undefined {
    return this.#groups.get(name)?.firstAfter(job);
  }

  /** Up to so many jobs of a group, the first ones; or those behind another job. */
  someOf(name: string, countMax: number, behind?: JobPlace): DistributionJob[] {
    return this.#groups.get(name)?.after(behind, countMax) ?? [];
  }

  /** The first job of the group that comes first behind a job, or first of all; held ones are left out. */
  firstOfNext(job: JobPlace | undefined): DistributionJob | undefined {
    return this.#firsts.firstAfter(job);
  }

  #changed(name: string, group: JobList, change: () => void): void {
    const before = group.first;
    change();
    const after = group.first;
    if (before === after || this.#held.has(name)) return;
    if (before) this.#firsts.delete(before);
    if (after) this.#firsts.put(after);
  }
}
