import type { DistributionJob } from './distribution-job.ts';

/** Where jobs are put in the queue, among those of the same priorities. */
export type QueueTarget =
  | { readonly kind: 'first' }
  | { readonly kind: 'last' }
  | { readonly kind: 'before'; readonly jobSerial: number };

/** What of a job decides its place: lower order first, then the older one. */
export type QueuedJob = Pick<DistributionJob, 'jobSerial' | 'order' | 'priority' | 'dpPriority'>;

/** Whether an administrator's order can tell which of two jobs goes first (PTM-3). */
export function isSameRank(a: QueuedJob, b: QueuedJob): boolean {
  return a.priority === b.priority && a.dpPriority === b.dpPriority;
}

/**
 * The orders that bring jobs to another place; of all others the place among each other stays. New
 * jobs have order 0: they come behind those that were put first, and before those that were put last.
 *
 * @param queue open jobs of one rank, in any order
 * @param moved serials of some of them, which keep their order among each other
 * @returns by serial, the orders that change
 */
export function movedOrders(
  queue: readonly QueuedJob[],
  moved: ReadonlySet<number>,
  target: QueueTarget,
): Map<number, number> {
  const jobs = [...queue].sort(compareOrders);
  const moving = jobs.filter(({ jobSerial }) => moved.has(jobSerial));
  const staying = jobs.filter(({ jobSerial }) => !moved.has(jobSerial));
  if (target.kind === 'last') return ordersBehind(staying, moving);
  const index =
    target.kind === 'first'
      ? 0
      : staying.findIndex(({ jobSerial }) => jobSerial === target.jobSerial);
  // Before itself, or before one that moves with it: it stays where it is.
  if (index < 0) return new Map();
  return ordersBefore([...staying.slice(0, index), ...moving], staying[index]);
}

function ordersBehind(staying: readonly QueuedJob[], moving: readonly QueuedJob[]) {
  const orders = new Map<number, number>();
  // Above 0 in any case: what is new from now on is before it.
  let before = { jobSerial: 0, order: Math.max(staying.at(-1)?.order ?? 0, 0) + 1 };
  for (const { jobSerial, order } of moving) {
    const next = jobSerial > before.jobSerial ? before.order : before.order + 1;
    if (order !== next) orders.set(jobSerial, next);
    before = { jobSerial, order: next };
  }
  return orders;
}

/** Numbers downwards from the one behind, as far as that is needed. */
function ordersBefore(sequence: readonly QueuedJob[], behind: QueuedJob | undefined) {
  const orders = new Map<number, number>();
  // First of all, also of what is new from now on.
  let next = behind ?? { jobSerial: 0, order: 0 };
  for (const job of sequence.toReversed()) {
    if (compareOrders(job, next) >= 0) {
      const order = job.jobSerial < next.jobSerial ? next.order : next.order - 1;
      orders.set(job.jobSerial, order);
      next = { jobSerial: job.jobSerial, order };
    } else next = job;
  }
  return orders;
}

function compareOrders(
  a: Pick<QueuedJob, 'order' | 'jobSerial'>,
  b: Pick<QueuedJob, 'order' | 'jobSerial'>,
): number {
  return a.order - b.order || a.jobSerial - b.jobSerial;
}
