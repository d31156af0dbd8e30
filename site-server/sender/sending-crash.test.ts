import assert from 'node:assert/strict';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { CrashingStore } from '../../shared/testing/crashing-store.ts';
import { SeededRandom } from '../../shared/testing/seeded-random.ts';
import { SendingMachine, SendingSite } from './testing/test-sending.ts';

const mib = 1024 * 1024;

describe('sending, killed at any point (REP-5)', () => {
  /** Every write of a transfer, done and not done; and one life that is killed without a write. */
  for (let write = 1; write <= 10; write++) {
    for (const isLastWritten of [true, false]) {
      const when = `at write ${write}, which is ${isLastWritten ? '' : 'not '}done`;
      it(`loses nothing and sends nothing twice when killed ${when}`, async function () {
        this.timeout(10_000);
        await using machine = await SendingMachine.open();
        // What a receiver does that is quick: it has used the file up before it is asked again.
        machine.site().usesFilesUp = true;
        const life = new CrashingStore(machine.store);
        life.crashAt(write, isLastWritten);
        const killed = await startUnlessCrashed(machine, life);
        await machine.order({});
        let steps = 0;
        await machine.until(async () => {
          steps += 1;
          const isOver = killed !== undefined && (await machine.history()).length > 0;
          return life.hasCrashed || isOver || steps > 2_000;
        });
        // Killed in the end, wherever it is.
        life.crash();
        machine.site().cut();
        const wasTaken = machine.site().instructions.length > 0;
        const site = await SendingSite.start(machine);
        await site.allEnded();
        const [request, ...others] = await machine.history();
        assert.equal(request?.state, 'complete');
        assert.deepEqual(others, []);
        const { wireBytes } = machine.site();
        // What was on its way when it was killed, and nothing once the receiver answers for it.
        assert.ok(wireBytes <= (wasTaken ? mib : 1.5 * mib), `${wireBytes} bytes were sent`);
        await site.stop();
      });
    }
  }

  it('ends all jobs once, whatever happens on the way', async function () {
    this.timeout(60_000);
    const seed = Math.floor(Math.random() * 2 ** 31);
    const random = new SeededRandom(seed);
    await using machine = await SendingMachine.open();
    const jobs = Array.from({ length: 12 }, (_, index) => ({
      jobId: `CS1-${`${index}`.padStart(8, '0')}`,
      packageId: `CS10000${index % 4}`,
      finalSiteCode: random.pick(['PS1', 'PS2', 'SS1']),
      priority: random.pick([1, 2, 3] as const),
    }));
    for (const { packageId } of jobs) machine.fileBytes.set(packageId, 4 * mib);
    await machine.order(...jobs);
    for (let kills = 0; kills < 8; kills++) {
      const life = new CrashingStore(machine.store);
      life.crashAt(1 + random.below(20), random.below(2) === 0);
      if (random.below(3) === 0) machine.site('PS1').cutsAtBytes.push(random.below(20 * mib));
      void startUnlessCrashed(machine, life);
      let steps = 0;
      await machine.until(() => {
        steps += 1;
        return life.hasCrashed || steps > 400;
      }, 5);
      life.crash();
      for (const site of machine.sites.values()) site.cut();
    }
    const site = await SendingSite.start(machine);
    await machine.until(async () => {
      site.connected('PS1');
      const rows = machine.store.records(keySpaces.miniJobs).list();
      for await (const _ of rows) return false;
      return [...site.requests.open()].length === 0;
    }, 20);
    const history = await machine.history();
    assert.deepEqual(
      history.map(({ jobId }) => jobId).sort(),
      jobs.map(({ jobId }) => jobId).sort(),
      `seed ${seed}`,
    );
    assert.ok(history.every(({ state }) => state === 'complete'));
    const ids = new Set(history.map(({ requestId }) => requestId));
    assert.equal(ids.size, jobs.length, 'no ID was given out twice');
    await site.stop();
  });
});

/** A life that may be over before it has begun. */
async function startUnlessCrashed(
  machine: SendingMachine,
  life: CrashingStore,
): Promise<SendingSite | undefined> {
  let site: SendingSite | undefined;
  let isOver = false;
  void SendingSite.start(machine, { life }).then((started) => {
    site = started;
  });
  let turns = 0;
  await machine.until(() => {
    turns += 1;
    isOver = life.hasCrashed || turns > 50;
    return site !== undefined || isOver;
  }, 0);
  return site;
}
