import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import {
  notificationOf,
  packageId,
  refusedWith,
  source,
  TestPullDp,
  testVersion,
  until,
} from './testing/test-pull-dp.ts';

const version = testVersion(1, 2);
const liar = () =>
  new WaybillError({ code: 'PULL_SOURCE_LIED', source: 'DP', fileHash: 'ab', reason: 'wrong' });

/** The site's part: it notifies until it was told that the job is taken. */
async function notifyUntilTaken(test: TestPullDp): Promise<void> {
  for (;;) {
    const taken = test.notify(version, 1).then(() => true);
    const crashed = until(() => test.life.hasCrashed).then(() => false);
    if (await Promise.race([taken, crashed])) return;
    await test.crash();
    await test.start();
  }
}

/** Lives of the agent until the job is over. */
async function liveUntilDone(test: TestPullDp): Promise<void> {
  for (;;) {
    await until(() => test.jobs.size === 0 || test.life.hasCrashed);
    if (!test.life.hasCrashed) return;
    await test.crash();
    await test.start();
  }
}

/** How many writes a job takes that nothing disturbs. */
const writeCount = 14;

describe('pull DP that is killed', () => {
  for (const isLastWritten of [false, true]) {
    const place = isLastWritten ? 'after' : 'before';
    it(`${place} any of its writes tells each end once and loses no job (PULL-4, PULL-8)`, async () => {
      let crashCount = 0;
      for (let crashAt = 1; crashAt <= writeCount; crashAt++) {
        await using directory = await TemporaryDirectory.create();
        const test = await TestPullDp.open(directory.path);
        test.fetcher.scripts.set(packageId, async ({ observer, bringAll }) => {
          observer.lied(source('PS1DP2'), liar());
          await bringAll();
        });
        // The first life is for the outbox to begin.
        await test.start();
        await test.stop();
        await test.start(crashAt, isLastWritten);
        const disturbed = test.life;
        await notifyUntilTaken(test);
        await liveUntilDone(test);
        if (disturbed.hasCrashed) crashCount += 1;
        const states = (await test.messages()).map(({ state }) => state);
        const ends = states.filter((state) => state === 'success');
        assert.deepEqual(ends, ['success'], `write ${crashAt}`);
        assert.equal(states.filter((state) => state === 'started').length, 1, `write ${crashAt}`);
        assert.equal(states[0], 'started');
        assert.equal(states.at(-1), 'success');
        assert.equal(test.receiver.committed.get(packageId)?.packageHash, version.packageHash);
        await test.close();
      }
      assert.equal(crashCount, writeCount);
    }).timeout(30_000);
  }

  it('between the third phase and the fourth asks for the bundle again (PULL-2)', async () => {
    await using directory = await TemporaryDirectory.create();
    const test = await TestPullDp.open(directory.path);
    await test.start();
    const bundleHash = 'ab'.repeat(32);
    test.pullDp.putPackageInfo({ packageId, jobSerial: 1, version, bundleHash, manifests: [] });
    await test.crash();
    await test.start();
    const notified = test.pullDp.notify(notificationOf(version, 1));
    await assert.rejects(notified, refusedWith('ACTION_NOT_BEGUN'));
    await notifyUntilTaken(test);
    await liveUntilDone(test);
    assert.equal((await test.told()).at(-1), `${packageId}:1 success`);
    await test.close();
  });

  it('goes on counting the bytes that came (PULL-4)', async () => {
    await using directory = await TemporaryDirectory.create();
    const test = await TestPullDp.open(directory.path);
    test.fetcher.scripts.set(packageId, async ({ observer, signal, bringAll }) => {
      await bringAll();
      await observer.contentState(`${packageId}.1.0`, 'not-started');
      test.life.crash();
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    });
    await test.start();
    await test.notify(version, 1);
    await until(() => test.life.hasCrashed);
    test.fetcher.scripts.clear();
    await test.crash();
    await test.start();
    await test.done();
    assert.equal((await test.messages()).at(-1)?.receivedBytes, 4_000);
    await test.close();
  });
});
