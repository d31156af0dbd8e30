import assert from 'node:assert/strict';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import {
  big,
  claims,
  clock,
  controller,
  countOf,
  dp,
  openBeforeEach,
  otherId,
  packageId,
  shared,
  sleptMs,
  small,
  test,
  transfer,
  until,
} from './testing/push-ground.ts';

/** A moment a test decides about. */
function newGate() {
  let resolve = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

describe('push transfer', () => {
  openBeforeEach();

  describe('of a file that another transfer has in hand', () => {
    let first: PackageVersion;
    let second: PackageVersion;

    beforeEach(async () => {
      first = await test.commit(packageId, 1, { a: shared, b: small });
      second = await test.commit(otherId, 1, { a: shared, c: big });
    });

    it('leaves it to the other, waits for its end, and sends the rest meanwhile', async () => {
      const gate = newGate();
      dp.onContent = ({ jobSerial }) => (jobSerial === 1 ? gate.promise : undefined);
      const running = transfer({ jobSerial: 1 }).run();
      await until(() => dp.sent.length === 3);
      const { run, progress } = transfer({ jobSerial: 2, packageId: otherId });
      const waiting = run();
      await until(() => sleptMs.includes(1_000));
      gate.resolve();
      assert.equal(await running, first.packageHash);
      assert.equal(await waiting, second.packageHash);
      assert.equal(countOf(shared), 2, 'each piece was sent once');
      assert.equal(progress.sentBytes, big.length);
      assert.equal(progress.percent, 100);
    });

    it('sends it when the other has failed', async () => {
      const gate = newGate();
      dp.onContent = ({ jobSerial }) => (jobSerial === 1 ? gate.promise : undefined);
      const failing = assert.rejects(transfer({ jobSerial: 1 }).run(), /lost/);
      await until(() => dp.sent.length === 3);
      const waiting = transfer({ jobSerial: 2, packageId: otherId }).run();
      await until(() => sleptMs.includes(1_000));
      gate.reject(new Error('lost'));
      await failing;
      assert.equal(await waiting, second.packageHash);
    });

    it('goes on without the end of the other, once the file is there', async () => {
      const owner = {};
      claims.claim(hashOf(shared), owner);
      const waiting = transfer({ jobSerial: 2, packageId: otherId }).run();
      await until(() => sleptMs.includes(1_000));
      assert.ok(!dp.calls.includes('commit'));
      dp.files.add(hashOf(shared));
      await clock.advance(1_000);
      assert.equal(await waiting, second.packageHash);
    });

    it('looks again less and less often while nothing changes', async () => {
      claims.claim(hashOf(shared), {});
      const waiting = transfer({ jobSerial: 2, packageId: otherId }).run();
      const ended = assert.rejects(waiting);
      const inspectCount = () => dp.calls.filter((call) => call.startsWith('inspect')).length;
      for (const [index, seconds] of [1, 2, 4, 8, 16, 30, 30].entries()) {
        await until(() => sleptMs.at(-1) === seconds * 1_000 && inspectCount() === index + 1);
        await clock.advance(seconds * 1_000 - 1);
        assert.equal(inspectCount(), index + 1);
        await clock.advance(1);
      }
      controller.abort();
      await ended;
    });
  });
}).timeout(10_000);
