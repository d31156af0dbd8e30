import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type AuditHead, noRecordHash } from '../../shared/domain/audit-record.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { AuditHeads } from './audit-heads.ts';

const hourMs = 3_600_000;
const hashOf = (serial: number) => serial.toString(16).padStart(64, '0');

describe('Audit heads (ADM-5)', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let clock: FakeClock;
  let trail: { head: { serial: number; hash: string } };
  let heads: AuditHeads;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.join('db'), logger }));
    clock = new FakeClock();
    trail = { head: { serial: 0, hash: noRecordHash } };
    heads = open();
  });

  afterEach(async () => {
    await heads.stop();
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  function open(): AuditHeads {
    const config = { tellMs: 60_000, keptCount: 3, keptMs: 48 * hourMs };
    return new AuditHeads({ store, trail, clock, siteCode: 'PS1' }, config);
  }

  /** Passes time, and waits until what is due then has been done. */
  async function pass(ms: number): Promise<void> {
    await clock.advance(ms);
    while (clock.sleeperCount === 0) await nextTurn();
  }

  const rows = () => store.records(keySpaces.auditHeads);

  async function toldSerials(siteCode: string): Promise<number[]> {
    const serials = [];
    for await (const { serial } of heads.told(siteCode)) serials.push(serial);
    return serials;
  }

  /** As replication writes what a site below says. */
  async function hear(head: Partial<AuditHead> & { serial: number }): Promise<void> {
    const { serial } = head;
    const said = { siteCode: 'SS1', hash: hashOf(serial), toldAtMs: clock.nowMs(), ...head };
    await store.write([rows().put(said.siteCode, said)], { sync: false });
    // It is kept by the time of now.
    await heads.told(said.siteCode).next();
  }

  it('are told once a minute while the trail grows, and not while it does not', async () => {
    const times: number[] = [];
    store.onWritten((changes) => {
      if (changes.some(({ space }) => space === 'audit-heads')) times.push(clock.monotonicMs());
    });
    await heads.start();
    await pass(0);
    await pass(60_000);
    assert.deepEqual(times, [], 'there is nothing to tell');
    for (const serial of [4, 9]) {
      trail.head = { serial, hash: hashOf(serial) };
      await pass(59_000);
      await pass(1_000);
    }
    for (let minute = 0; minute < 10; minute++) await pass(60_000);
    assert.deepEqual(times, [120_000, 180_000]);
    assert.equal((await rows().get('PS1'))?.serial, 9);
    assert.deepEqual(await toldSerials('PS1'), [4, 9]);
  });

  it('are told again after a crash only when there is news', async () => {
    trail.head = { serial: 4, hash: hashOf(4) };
    await heads.start();
    await pass(0);
    await heads.stop();
    let writeCount = 0;
    store.onWritten(() => void writeCount++);
    heads = open();
    await heads.start();
    await pass(0);
    await pass(60_000);
    assert.equal(writeCount, 0);
  });

  it('are told in time when the disk was full', async () => {
    trail.head = { serial: 4, hash: hashOf(4) };
    const write = store.write.bind(store);
    store.write = async () => {
      throw new WaybillError({ code: 'DISK_FULL', path: '/', freeBytes: 0, neededBytes: 1 });
    };
    await heads.start();
    await pass(0);
    store.write = write;
    await pass(60_000);
    assert.equal((await rows().get('PS1'))?.serial, 4);
  });

  it('of a site below are kept as they were told first, whatever it says later', async () => {
    await heads.start();
    await hear({ serial: 5 });
    await hear({ serial: 8 });
    await hear({ serial: 5, hash: 'ff'.repeat(32) });
    await hear({ serial: 8, hash: 'ff'.repeat(32) });
    await hear({ serial: 6 });
    assert.deepEqual(await toldSerials('SS1'), [5, 8]);
    for await (const { serial, hash } of heads.told('SS1')) assert.equal(hash, hashOf(serial));
    assert.deepEqual(await toldSerials('PS2'), []);
  });

  it('stay few, whatever times and records a hostile site tells (bad input)', async () => {
    await heads.start();
    for (let count = 0; count < 300; count++) {
      const serial = count % 2 === 0 ? 1_000 - count : 1_000 + count;
      await hear({ serial, toldAtMs: count * hourMs });
    }
    assert.ok((await toldSerials('SS1')).length <= 5);
    await hear({ serial: Number.MAX_SAFE_INTEGER });
    await hear({ serial: 5_000 });
    assert.equal((await toldSerials('SS1')).at(-1), Number.MAX_SAFE_INTEGER);
  });

  it('that came while nobody kept them are kept at the next start', async () => {
    await hear({ serial: 5 });
    await heads.start();
    assert.deepEqual(await toldSerials('SS1'), [5]);
  });

  it('of a site that is quiet keep the time at which they were told, over every restart', async () => {
    await heads.start();
    const toldAtMs = clock.nowMs();
    await hear({ serial: 5 });
    await hear({ serial: 8 });
    for (let restart = 0; restart < 3; restart++) {
      await heads.stop();
      await clock.advance(49 * hourMs);
      heads = open();
      await heads.start();
      const kept = [];
      for await (const one of heads.told('SS1')) kept.push([one.serial, one.toldAtMs]);
      assert.deepEqual(kept, [[8, toldAtMs]]);
    }
  });

  it('become one an hour once they are not among the newest, and go in time', async () => {
    await heads.start();
    for (let serial = 1; serial <= 24; serial++) {
      await hear({ serial });
      await clock.advance(hourMs / 4);
    }
    // The first of each of the first five hours, then the newest three.
    assert.deepEqual(await toldSerials('SS1'), [1, 5, 9, 13, 17, 21, 22, 23, 24]);
    await clock.advance(49 * hourMs);
    for (let serial = 25; serial <= 40; serial++) {
      await hear({ serial });
      await clock.advance(hourMs);
    }
    const kept = await toldSerials('SS1');
    assert.ok((kept[0] ?? 0) > 5, `${kept}`);
    await heads.stop();
    await clock.advance(100 * hourMs);
    heads = open();
    await heads.start();
    assert.deepEqual(await toldSerials('SS1'), [40], 'only what it said last');
  });
});
