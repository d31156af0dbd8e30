import assert from 'node:assert/strict';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { JobTable } from './job-table.ts';
import { RetryPolicy } from './retry-policy.ts';
import { RunningJobs } from './running-jobs.ts';
import {
  type FakeRun,
  type JobGround,
  openJobGround,
  testJobConfig,
} from './testing/job-ground.ts';

const peerFailed = () =>
  new WaybillError({ code: 'PEER_FAILED', peer: 'distribution point PS1DP1', reason: 'test' });

describe('running jobs', () => {
  let ground: JobGround;
  let jobs: JobTable;
  let running: RunningJobs;
  let runCount: number;
  let endedCount: number;
  let play: FakeRun;
  let stopped: AbortController;

  beforeEach(async () => {
    ground = await openJobGround();
    jobs = new JobTable(ground);
    runCount = 0;
    play = async () => ({ kind: 'done', verifiedHash: 'hash' });
    stopped = new AbortController();
    const retries = new RetryPolicy(testJobConfig, () => 1);
    const runner = {
      run: (run: Parameters<FakeRun>[0]) => {
        runCount += 1;
        return play(run);
      },
    };
    endedCount = 0;
    const onEnded = () => {
      endedCount += 1;
    };
    const awaited = { onUnreachable: async () => {}, onNoSource: () => {} };
    const components = { ...ground, jobs, runner, retries, onEnded, ...awaited };
    running = new RunningJobs(components, testJobConfig, stopped.signal);
  });

  afterEach(async () => {
    stopped.abort();
    await running.whenIdle();
    await ground[Symbol.asyncDispose]();
  });

  async function added(facts: Partial<DistributionJob> = {}): Promise<DistributionJob> {
    const job = testJob(facts);
    await ground.add(job);
    await jobs.load();
    return job;
  }

  it('start no job that has ended meanwhile', async () => {
    const job = await added();
    await jobs.end(job, 'cancelled', { reason: 'test' });
    await running.start(job);
    assert.deepEqual([runCount, running.has(1), [...jobs.open()]], [0, false, []]);
  });

  it('start no job that ends while its start is written', async () => {
    const job = await added();
    await Promise.all([running.start(job), jobs.end(job, 'cancelled', { reason: 'test' })]);
    assert.deepEqual([runCount, running.has(1), [...jobs.open()]], [0, false, []]);
  });

  /** From now on an end that is to be written waits until the start is, and finds a full disk: once. */
  function failNextEnd(): void {
    const write = ground.store.write.bind(ground.store);
    let startWritten: Promise<void> | undefined;
    ground.store.write = async (changes, options) => {
      if (!options.sync) {
        startWritten = write(changes, options);
        return startWritten;
      }
      ground.store.write = write;
      await startWritten;
      await new Promise(setImmediate);
      throw new WaybillError({ code: 'DISK_FULL', path: 'state', freeBytes: 0, neededBytes: 1 });
    };
  }

  it('run a job whose end, asked for while its start was written, fails then', async () => {
    const job = await added();
    failNextEnd();
    const starting = running.start(job);
    await assert.rejects(jobs.end(job, 'cancelled', { reason: 'test' }), /full|room|free/);
    await starting;
    await running.whenIdle();
    assert.deepEqual([runCount, [...jobs.open()]], [1, []]);
  });

  it('look again at a job that was just ending, when that fails', async () => {
    const job = await added();
    failNextEnd();
    const ending = jobs.end(job, 'cancelled', { reason: 'test' });
    const starting = running.start(job);
    await assert.rejects(ending);
    await starting;
    assert.deepEqual([runCount, endedCount, jobs.get(1)?.state], [0, 1, 'pending']);
  });

  it('count a job as running until its withdrawal is written', async () => {
    const job = await added();
    play = async () => Promise.reject(peerFailed());
    const states: [string, boolean][] = [];
    jobs.onChanged(({ state }) => {
      states.push([state, running.has(1)]);
      // The newer job is heard of while the failure of this one is written.
      if (state === 'pending-restart') running.withdraw(1, 'A newer job took over');
    });
    await running.start(job);
    await running.whenIdle();
    assert.deepEqual(states.slice(1), [
      ['pending-restart', true],
      ['cancelled', true],
    ]);
    assert.equal(running.has(1), false);
  });

  describe('of a hundred tries', () => {
    const lastTry = { state: 'pending-restart', tryCount: 99 } as const;

    it('fail after the last, when all were fruitless (PTM-8)', async () => {
      let ended: DistributionJob | undefined;
      jobs.onChanged((job) => {
        ended = job;
      });
      play = async () => Promise.reject(peerFailed());
      await running.start(await added(lastTry));
      await running.whenIdle();
      assert.equal(ended?.state, 'failed');
    });

    it('begin to count again when a try moved something', async () => {
      play = async ({ progress }) => {
        progress.expect(10);
        progress.acknowledged(1);
        throw peerFailed();
      };
      await running.start(await added(lastTry));
      await running.whenIdle();
      assert.equal(jobs.get(1)?.state, 'pending-restart');
      assert.equal(jobs.get(1)?.tryCount, 0);
    });
  });

  it('go on when it cannot be written that sending began', async () => {
    play = async ({ onBegun }) => {
      jobs.begun = async () => Promise.reject(new Error('disk full'));
      await onBegun();
      return { kind: 'done', verifiedHash: 'hash' };
    };
    await running.start(await added());
    await running.whenIdle();
    assert.deepEqual([...jobs.open()], []);
  });

  it('tell once that sending began, however often a disk is full (8204)', async () => {
    const full = { code: 'DISK_FULL', path: 'dp', freeBytes: 0, neededBytes: 1 } as const;
    play = async ({ onBegun }) => {
      await onBegun();
      throw new WaybillError(full);
    };
    await added();
    for (let look = 0; look < 3; look++) {
      const job = jobs.get(1);
      assert.ok(job);
      await ground.clock.advance(2_000);
      await running.start(job);
      await running.whenIdle();
    }
    const messages = await ground.status.query({ countMax: 100 });
    assert.equal(messages.filter(({ messageId }) => messageId === 8204).length, 1);
    assert.equal(jobs.get(1)?.tryCount, 0);
  });
});
