import assert from 'node:assert/strict';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { JobHistory } from './job-history.ts';
import { JobTable } from './job-table.ts';
import { type JobGround, openJobGround } from './testing/job-ground.ts';

const config = { jobHistoryCountMax: 10 };

describe('job history', () => {
  let ground: JobGround;
  beforeEach(async () => {
    ground = await openJobGround();
  });
  afterEach(() => ground[Symbol.asyncDispose]());

  async function serials(): Promise<number[]> {
    const found: number[] = [];
    const rows = ground.store.records(keySpaces.jobHistory);
    for await (const [, { jobSerial }] of rows.list()) found.push(jobSerial);
    return found;
  }

  async function fill(history: JobHistory, count: number): Promise<void> {
    const all = Array.from({ length: count }, (_, index) => testJob({ jobSerial: index + 1 }));
    const changes = all.map((job) => history.add(job));
    await ground.store.write(changes, { sync: false });
  }

  it('keeps the newest rows only', async () => {
    const history = new JobHistory(ground, config);
    await fill(history, 1_500);
    await history.trim();
    assert.equal((await serials()).length, 500, 'a batch at a time');
    await history.trim();
    const kept = Array.from({ length: 10 }, (_, index) => 1_491 + index);
    assert.deepEqual(await serials(), kept);
    await history.trim();
    assert.deepEqual(await serials(), kept);
  });

  it('keeps a row until its result was taken', async () => {
    const history = new JobHistory(ground, config);
    await fill(history, 100);
    const pending = ground.notifier.notification('transfer-result', joinKey(7));
    await ground.store.write([pending], { sync: false });
    await history.trim();
    assert.deepEqual((await serials()).slice(0, 2), [7, 91]);
  });

  it('keeps all of a short one, also when it is empty', async () => {
    const history = new JobHistory(ground, config);
    await history.trim();
    await fill(history, 10);
    await new JobHistory(ground, config).trim();
    assert.equal((await serials()).length, 10);
  });

  it('is what the table of jobs cuts off', async () => {
    await fill(new JobHistory(ground, config), 100);
    await new JobTable(ground, config).trimHistory();
    assert.equal((await serials()).length, 10);
  });
});
