import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decideSimply, type SimpleDecision } from '../testing/simple-job-queue.ts';
import { testJob } from '../testing/test-job.ts';
import { cancelsPerDpMax } from './cancel-places.ts';
import { type DistributionJob, isOpen, type JobState } from './distribution-job.ts';
import { JobQueue, type QueueDecision, type QueueSurroundings } from './job-queue.ts';
import { type Priority, toPackageId } from './package.ts';

const startMs = 1_000_000;
const dayMs = 24 * 60 * 60_000;
const stepsMs = [0, 0, 1, 1, 4_000, 4_000, 9_000, 9_000, dayMs, 1.6 * dayMs];
/** Who is asked for an opening sees no further. */
const sightMs = 1.5 * dayMs;

/** When a way is open. */
interface OpenHours {
  readonly fromMs: number;
  readonly toMs: number;
}

/** What surrounds the queue, as it is now: a test changes it. */
class Surroundings implements QueueSurroundings {
  limits = { packagesMax: 2, distributionPointsPerPackageMax: 2 };
  readonly bounds = { validationsMax: 2, withoutRoomMax: 2 };
  readonly pullDpIds = new Set(['P1', 'P2', 'X']);
  /** In order; what is not named here is always open. */
  readonly hoursOf = new Map<string, readonly OpenHours[]>();
  readonly pull = {
    isPullDp: (dpId: string) => this.pullDpIds.has(dpId),
    notificationsMax: 3,
    jobsMax: 2,
  };
  readonly opensAtMs = ({ dpId, priority }: DistributionJob, nowMs: number) => {
    const hours = this.hoursOf.get(`${dpId}/${priority}`);
    if (!hours) return nowMs;
    const next = hours.find(({ toMs }) => toMs > nowMs);
    return next && next.fromMs <= nowMs + sightMs ? next.fromMs : undefined;
  };
}

const jobFacts = fc.record({
  packageId: fc.constantFrom('PS100001', 'PS100002', 'PS100003', 'PS100004'),
  dpId: fc.constantFrom('A', 'B', 'C', 'P1', 'P2', 'X'),
  action: fc.constantFrom(
    ...(['add', 'add', 'add', 'redistribute', 'remove', 'validate', 'cancel'] as const),
  ),
  state: fc.constantFrom(
    ...(['pending', 'pending', 'pending-restart', 'suspended', 'started', 'complete'] as const),
  ),
  priority: fc.constantFrom(1 as const, 2 as const, 3 as const),
  dpPriority: fc.integer({ min: 1, max: 3 }),
  order: fc.integer({ min: -1, max: 1 }),
  restartAtMs: fc.constantFrom(0, 0, startMs, startMs + 1, startMs + 5_000),
  tryCount: fc.integer({ min: 0, max: 4 }),
  isWithDp: fc.constantFrom(false, false, false, true),
  ignoresWindow: fc.constantFrom(false, false, true),
  waitingReason: fc.constantFrom(undefined, 'capacity' as const, 'window-closed' as const),
});

const jobChange = fc.record({ jobSerial: fc.integer({ min: 1, max: 40 }), facts: jobFacts });

type Facts = Parameters<Parameters<typeof jobFacts.map>[0]>[0];

/** A job that a DP has is in progress; one that waits for its time does not wait for an hour besides. */
function toJob(jobSerial: number, facts: Facts): DistributionJob {
  const { isWithDp, ignoresWindow, waitingReason: reason, ...rest } = facts;
  const withDp = { state: 'in-progress', sendAction: 'PullQueryResultAction' } as const;
  const waitingReason = reason === 'window-closed' && rest.restartAtMs > 0 ? undefined : reason;
  return testJob({
    ...{ jobSerial, ...rest },
    ...(waitingReason && { waitingReason }),
    ...(isWithDp && rest.action === 'add' && withDp),
    ...(ignoresWindow && { ignoresWindow }),
  });
}

/** What else may happen from one decision to the next. */
const eventArbitrary = fc.record({
  changes: fc.array(jobChange, { maxLength: 12 }),
  stepMs: fc.constantFrom(...stepsMs, -3_000),
  way: fc.option(
    fc.record({
      key: fc.constantFrom('A/1', 'A/2', 'B/2', 'B/3', 'C/2'),
      hours: fc.constantFrom(
        [],
        [{ fromMs: 0, toMs: Number.POSITIVE_INFINITY }],
        [{ fromMs: startMs + 3_000, toMs: startMs + 7_000 }],
        [{ fromMs: startMs + 8_000, toMs: Number.POSITIVE_INFINITY }],
        // Too far away to be seen at first.
        [{ fromMs: startMs + 2 * dayMs, toMs: startMs + 3 * dayMs }],
        [
          { fromMs: 0, toMs: startMs + 4_000 },
          { fromMs: startMs + 4 * dayMs, toMs: startMs + 4 * dayMs + 4_000 },
          { fromMs: startMs + 5 * dayMs, toMs: Number.POSITIVE_INFINITY },
        ],
      ),
    }),
  ),
  packagesMax: fc.option(fc.integer({ min: 1, max: 3 })),
  distributionPointsPerPackageMax: fc.option(fc.integer({ min: 1, max: 3 })),
  jobsMax: fc.option(fc.integer({ min: 1, max: 3 })),
  notificationsMax: fc.option(fc.integer({ min: 1, max: 3 })),
  /** The DP X is of the other kind from now on; the queue is told, or finds out. */
  turnsKind: fc.constantFrom('no', 'no', 'told', 'silently'),
  /** The rows of jobs without room say so from now on. */
  tellsOfRoom: fc.boolean(),
});

const serials = (jobs: readonly DistributionJob[]) => jobs.map(({ jobSerial }) => jobSerial);

describe('job queue, compared with the simplest one', () => {
  it('decides the same after any changes, jobs, ways and limits (PTM-2, PTM-3, PTM-5, PULL-2)', () => {
    fc.assert(
      fc.property(fc.array(eventArbitrary, { maxLength: 12 }), (events) => {
        const life = new QueueLife();
        for (const event of events) life.take(event);
      }),
      { numRuns: 400 },
    );
  });
});

/** A queue that lives on, and the jobs and surroundings that are told to it. */
class QueueLife {
  readonly around = new Surroundings();
  readonly jobs = new Map<number, DistributionJob>();
  readonly queue = new JobQueue(this.around);
  nowMs = startMs;
  /** What the queue takes X for. */
  isXPull = true;

  take(event: Parameters<Parameters<typeof eventArbitrary.map>[0]>[0]): void {
    const { changes, stepMs, way, turnsKind, tellsOfRoom } = event;
    for (const { jobSerial, facts } of changes) this.put(toJob(jobSerial, facts));
    this.nowMs += stepMs;
    if (way) {
      this.around.hoursOf.set(way.key, way.hours);
      this.queue.waysChanged();
    }
    this.limit(event);
    if (turnsKind !== 'no') this.turnKind(turnsKind === 'told');
    this.check(tellsOfRoom);
  }

  limit(event: Parameters<Parameters<typeof eventArbitrary.map>[0]>[0]): void {
    const { limits, pull } = this.around;
    limits.packagesMax = event.packagesMax ?? limits.packagesMax;
    limits.distributionPointsPerPackageMax =
      event.distributionPointsPerPackageMax ?? limits.distributionPointsPerPackageMax;
    pull.jobsMax = event.jobsMax ?? pull.jobsMax;
    pull.notificationsMax = event.notificationsMax ?? pull.notificationsMax;
  }

  put(job: DistributionJob): void {
    if (isOpen(job)) this.jobs.set(job.jobSerial, job);
    else this.jobs.delete(job.jobSerial);
    this.queue.set(job);
    // It looks at the DP of each job that comes.
    if (isOpen(job) && job.dpId === 'X') this.isXPull = this.around.pullDpIds.has('X');
  }

  turnKind(isTold: boolean): void {
    const { pullDpIds } = this.around;
    if (!pullDpIds.delete('X')) pullDpIds.add('X');
    if (!isTold) return;
    this.queue.lookAtDp('X');
    this.isXPull = pullDpIds.has('X');
  }

  /** By what the queue takes X for, as long as nothing for X begins by that. */
  simply(nowMs = this.nowMs): SimpleDecision {
    const believed = this.simplyWith(this.isXPull, nowMs);
    if (!believed.start.some(({ dpId }) => dpId === 'X')) return believed;
    return this.simplyWith(this.around.pullDpIds.has('X'), nowMs);
  }

  simplyWith(isXPull: boolean, nowMs: number): SimpleDecision {
    const { limits, pull, opensAtMs, bounds } = this.around;
    const isPullDp = (dpId: string) => (dpId === 'X' ? isXPull : pull.isPullDp(dpId));
    const pullNow = { ...pull, isPullDp };
    return decideSimply(this.jobs.values(), limits, nowMs, { pull: pullNow, opensAtMs, bounds });
  }

  /** What begins for X by what the queue takes it for makes it look. */
  findOutKind(): void {
    const { start } = this.simplyWith(this.isXPull, this.nowMs);
    if (start.some(({ dpId }) => dpId === 'X')) this.isXPull = this.around.pullDpIds.has('X');
  }

  /** The same starts and gives way; once that is done, all others wait for the same, in the same order. */
  check(tellsOfRoom: boolean): void {
    const simple = this.simply();
    const decision = this.queue.decide(this.nowMs);
    this.findOutKind();
    assert.deepEqual(serials(decision.start), serials(simple.start));
    assert.deepEqual(serials(decision.giveWay), serials(simple.giveWay));
    this.checkWithoutRoom(decision, simple);
    this.checkNextDue(decision, simple);
    for (const job of decision.start) this.put({ ...job, state: 'started' });
    if (tellsOfRoom) {
      for (const job of decision.withoutRoom) this.put({ ...job, waitingReason: 'capacity' });
    }
    const { waiting } = this.simply();
    const waits = this.queue.waitingAfter(undefined, 1_000).map(({ jobSerial }) => jobSerial);
    const starting = new Set(serials(this.simply().start));
    assert.deepEqual(
      waits.filter((serial) => !starting.has(serial)),
      [...waiting.keys()],
    );
    if (starting.size > 0) return;
    for (const [serial, place] of waiting) {
      assert.deepEqual(this.queue.placeOf(serial, this.nowMs), place);
    }
  }

  /** As many as one decision may say, of those whose rows do not say it; in order. */
  checkWithoutRoom({ withoutRoom }: QueueDecision, simple: SimpleDecision): void {
    const untold = simple.withoutRoom.filter((job) => job.waitingReason !== 'capacity');
    const count = Math.min(untold.length, this.around.bounds.withoutRoomMax);
    assert.equal(withoutRoom.length, count);
    const said = new Set(serials(withoutRoom));
    const inOrder = untold.filter(({ jobSerial }) => said.has(jobSerial));
    assert.deepEqual(serials(withoutRoom), serials(inOrder));
  }

  /** It looks again, within a day, at a way of which was said that it never opens. */
  checkAskedAgain(nextDueMs: number): void {
    assert.ok(nextDueMs > this.nowMs && nextDueMs <= this.nowMs + dayMs);
    const closed = [...this.around.hoursOf.values()].filter(
      (hours) => !hours.some(({ toMs, fromMs }) => toMs > this.nowMs && fromMs <= this.nowMs),
    );
    assert.ok(closed.length > 0);
  }

  /** Up to the time it names nothing begins by itself; and it names none at which nothing is due. */
  checkNextDue({ nextDueMs }: QueueDecision, simple: SimpleDecision): void {
    const times = [...this.jobs.values()].map(({ restartAtMs }) => restartAtMs);
    const openings = [...this.around.hoursOf.values()].flat().map(({ fromMs }) => fromMs);
    const later = [...times, ...openings].filter((ms) => ms > this.nowMs);
    if (nextDueMs !== undefined && !later.includes(nextDueMs)) this.checkAskedAgain(nextDueMs);
    if (simple.start.length > 0 || simple.giveWay.length > 0) return;
    for (const ms of later.filter((one) => one < (nextDueMs ?? Number.POSITIVE_INFINITY))) {
      const { start, giveWay } = this.simply(ms);
      assert.deepEqual([serials(start), serials(giveWay)], [[], []]);
    }
  }
}

describe('job queue, with very many jobs', () => {
  const jobCount = 100_000;
  /** Serials of jobs that were looked at, while that is counted. */
  const looked = new Set<number>();
  let isCounting = false;

  /** A job that notes each look at it: whoever compares or judges jobs reads one of these two. */
  class WatchedJob {
    readonly #job: DistributionJob;

    constructor(job: DistributionJob) {
      const { priority: _, state: __, ...rest } = job;
      this.#job = job;
      Object.assign(this, rest);
    }

    get priority(): Priority {
      if (isCounting) looked.add(this.#job.jobSerial);
      return this.#job.priority;
    }

    get state(): JobState {
      if (isCounting) looked.add(this.#job.jobSerial);
      return this.#job.state;
    }
  }

  /** How many jobs are looked at while something is done. */
  function countLooks(work: () => void): number {
    looked.clear();
    isCounting = true;
    work();
    isCounting = false;
    return looked.size;
  }

  function queueOf(surroundings: Partial<QueueSurroundings>, facts: (n: number) => object) {
    const limits = { packagesMax: 3, distributionPointsPerPackageMax: 5 };
    const queue = new JobQueue({ limits, ...surroundings });
    const jobs = new Map<number, DistributionJob>();
    const put = (job: DistributionJob) => {
      jobs.set(job.jobSerial, job);
      queue.set(new WatchedJob(job) as unknown as DistributionJob);
    };
    for (let n = 1; n <= jobCount; n++) put(testJob({ jobSerial: n, ...facts(n) }));
    const start = (decision: QueueDecision) => {
      for (const { jobSerial } of decision.start) {
        put({ ...(jobs.get(jobSerial) ?? assert.fail()), state: 'started', tryCount: 1 });
      }
      return decision;
    };
    return { queue, put, start };
  }

  const packageOf = (n: number) => ({ packageId: toPackageId('PS1', n % 1_000) });
  const few = 250;

  it('looks at a few of them for a decision, a change and a place (PTM-2)', () => {
    const { queue, put, start } = queueOf({}, (n) => ({
      ...{ ...packageOf(n), dpId: `DP${n % 997}`, priority: (1 + (n % 3)) as Priority },
    }));
    assert.equal(start(queue.decide(startMs)).start.length, 15);
    let lookCount = countLooks(() => {
      assert.equal(queue.decide(startMs).start.length, 0);
    });
    assert.ok(lookCount < few, `${lookCount} when all places are taken`);
    lookCount = countLooks(() => {
      queue.delete(3);
      assert.equal(start(queue.decide(startMs)).start.length, 1);
    });
    assert.ok(lookCount < few, `${lookCount} when one has ended`);
    lookCount = countLooks(() => {
      put(testJob({ jobSerial: jobCount + 1, packageId: 'PS1FFFFF', dpId: 'NEW', priority: 1 }));
      queue.decide(startMs);
    });
    assert.ok(lookCount < few, `${lookCount} when one has come`);
    lookCount = countLooks(() => {
      assert.ok((queue.placeOf(77_777, startMs)?.place ?? 0) > 1_000);
    });
    assert.ok(lookCount < few, `${lookCount} for a place`);
  });

  it('looks at none that waits for its time, or for a way that is closed (PTM-5)', () => {
    const dueMs = startMs + 60_000;
    const opensAtMs = ({ dpId }: DistributionJob) => (dpId === 'OPEN' ? 0 : dueMs + 1);
    const { queue, put } = queueOf({ opensAtMs }, (n) => ({
      ...{ ...packageOf(n), dpId: `DP${n % 100}` },
      ...(n % 2 === 0 && { state: 'pending-restart', restartAtMs: dueMs }),
    }));
    // Once each way is asked for, and what waits for it is put aside.
    queue.decide(startMs);
    let lookCount = countLooks(() => {
      put(testJob({ jobSerial: jobCount + 1, dpId: 'OPEN' }));
      assert.deepEqual(serials(queue.decide(startMs + 1).start), [jobCount + 1]);
    });
    assert.ok(lookCount < few, `${lookCount}`);
    lookCount = countLooks(() => {
      assert.equal(queue.decide(startMs + 2).nextDueMs, dueMs);
    });
    assert.ok(lookCount < few, `${lookCount}`);
  });

  it('looks at none of pull DPs that are full, nor at all words to DPs that are away (PULL-2, PKG-9)', () => {
    const isPullDp = (dpId: string) => dpId.startsWith('P');
    const pull = { isPullDp, notificationsMax: 20, jobsMax: 50 };
    const withDp = { state: 'in-progress', sendAction: 'PullQueryResultAction' };
    const { queue, put, start } = queueOf({ pull }, (n) => {
      const packageId = toPackageId('PS1', n);
      if (n % 2 === 0) return { packageId, dpId: `D${n % 999}`, action: 'cancel' };
      // Fifty each of a thousand DPs.
      return { packageId, dpId: `P${n % 2_000}`, ...(n <= jobCount && withDp) };
    });
    const { length } = start(queue.decide(startMs)).start;
    assert.equal(length, 999 * cancelsPerDpMax);
    for (let n = 1; n <= 2_000; n += 2) {
      const job = { packageId: 'PS1FFFFF', dpId: `P${n}`, waitingReason: 'capacity' } as const;
      put(testJob({ jobSerial: jobCount + n, ...job }));
    }
    queue.decide(startMs);
    const lookCount = countLooks(() => {
      queue.delete(2_001);
      assert.deepEqual(serials(queue.decide(startMs).start), [jobCount + 1]);
    });
    assert.ok(lookCount < few, `${lookCount}`);
  });
}).timeout(30_000);
