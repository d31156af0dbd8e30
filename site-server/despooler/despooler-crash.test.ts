import assert from 'node:assert/strict';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { type ReceiverLife, TestReceiver, until } from './testing/test-receiver.ts';

/**
 * Kills the program of the receiving site at every write it makes on the way of a package, each time
 * with that write done and not done, and starts it again on what is there.
 */
describe('Despooler, killed', () => {
  /** More than the writes there are: without a crash all have been tried. */
  const writesMax = 20;

  const scenarios = {
    'at the final site': { final: 'PS1', isFinal: true, metadataFirst: true },
    'while it waits for metadata': { final: 'PS1', isFinal: true, metadataFirst: false },
    'at a site in between': { final: 'SS1', isFinal: false, metadataFirst: true },
  } as const;

  for (const [where, { final, isFinal, metadataFirst }] of Object.entries(scenarios)) {
    it(`at each write ${where}, loses nothing and stores nothing twice (REP-6)`, async () => {
      let crashes = 0;
      for (let write = 1, hasCrashed = true; hasCrashed && write <= writesMax; write++) {
        hasCrashed = false;
        for (const isLastWritten of [false, true]) {
          await using receiver = await TestReceiver.create();
          if (metadataFirst) await receiver.metadata();
          const order = await receiver.order({ finalSiteCode: final });
          let life = await receiver.start();
          life.crashing.crashAt(write, isLastWritten);
          const isDone = async () => {
            const content = await receiver.content();
            const job = await receiver.store.records(keySpaces.miniJobs).get(order.jobId);
            const isThere = isFinal ? content?.state === 'stored' : job !== undefined;
            return isThere && (await receiver.waitingJobs()).length === 0;
          };
          await send(receiver, life, final);
          if (!metadataFirst) await receiver.metadata();
          await until(async () => life.crashing.hasCrashed || (await isDone()));
          if (life.crashing.hasCrashed) {
            hasCrashed = true;
            crashes += 1;
            life = await receiver.start();
            // Its sender has no answer, or one that it may have lost.
            await send(receiver, life, final);
            await until(isDone);
          }
          assert.deepEqual(await receiver.news(isFinal ? 'package' : 'mini-job'), [
            isFinal ? 'CS100001' : order.jobId,
          ]);
          assert.ok(receiver.library.commitCount <= 1, 'content is stored once');
          assert.equal((await receiver.statusMessages(4400)).length, isFinal ? 1 : 0);
          assert.equal((await receiver.statusMessages(4405)).length, 0);
          await life.stop();
        }
      }
      assert.ok(crashes >= 4, `it was killed ${crashes} times`);
    });
  }

  it('between the commit and its word of it, stores nothing twice (REP-6)', async () => {
    await using receiver = await TestReceiver.create();
    await receiver.metadata();
    const first = await receiver.start();
    receiver.library.onCommitted = async () => first.crashing.crash();
    await send(receiver, first);
    await until(() => first.crashing.hasCrashed);
    receiver.library.onCommitted = async () => {};
    assert.equal((await receiver.content())?.state, 'arriving');
    await receiver.start();
    await until(async () => (await receiver.content())?.state === 'stored');
    assert.equal(receiver.library.commitCount, 1);
    assert.deepEqual(await receiver.news('package'), ['CS100001']);
  });

  it('never lets the version go back, whatever comes in whichever order', async () => {
    await using receiver = await TestReceiver.create();
    await receiver.metadata({ sourceVersion: 3 });
    const life = await receiver.start();
    const signed = [];
    for (const sourceVersion of [1, 2, 3]) {
      signed.push(receiver.sign(await receiver.order({ sourceVersion })));
    }
    const versions: number[] = [];
    receiver.library.onCommitted = async () => {
      versions.push(receiver.library.packages.get('CS100001')?.sourceVersion ?? 0);
    };
    await Promise.allSettled(signed.toReversed().map((one) => life.intake.take(one, 'CS1')));
    await until(async () => (await receiver.waitingJobs()).length === 0);
    assert.equal(versions.at(-1), 3);
    assert.deepEqual(versions, versions.toSorted());
    for (const old of [1, 2]) {
      const again = receiver.sign(await receiver.order({ sourceVersion: old }));
      await assert.rejects(life.intake.take(again, 'CS1'), /version 3 is served/);
    }
    assert.equal((await receiver.content())?.storedVersion, 3);
  });

  /** The sender brings the instruction; it hears nothing of a site that is killed. */
  async function send(
    receiver: TestReceiver,
    life: ReceiverLife,
    finalSiteCode = 'PS1',
  ): Promise<void> {
    const signed = receiver.sign(await receiver.order({ finalSiteCode }));
    let isAnswered = false;
    const answered = life.intake.take(signed, 'CS1').then(() => {
      isAnswered = true;
    });
    answered.catch(() => {});
    await until(() => isAnswered || life.crashing.hasCrashed);
  }
});
