import assert from 'node:assert/strict';
import { pieceBytes } from '../domain/content.ts';
import { WaybillError } from '../domain/errors.ts';
import { PieceSet } from '../domain/piece-set.ts';
import { DownloadGround, minuteMs, spoil } from './testing/download-ground.ts';
import { FakeContent, packageId } from './testing/fake-content.ts';
import { FakePuller } from './testing/fake-puller.ts';

describe('package download that waits, or is disturbed', () => {
  let ground: DownloadGround;

  beforeEach(() => {
    ground = new DownloadGround();
  });
  afterEach(() => ground[Symbol.asyncDispose]());

  describe('when nobody gives anything', () => {
    it('says so, and goes on within 2 s of a return (PULL-7)', async () => {
      const one = ground.peer({ bytesPerSecond: 5e6 });
      const puller = ground.start();
      await ground.until(() => puller.receiver.taken.length > 5, minuteMs);
      one.goAway();
      await ground.until(() => puller.observer.waits.length > 0, 10_000);
      const [wait] = puller.observer.waits;
      assert.equal(wait?.code, 'PULL_SOURCES_EXHAUSTED');
      assert.equal(wait?.restartAtMs, (wait?.atMs ?? 0) + 30 * minuteMs);
      await ground.clock.advance(10 * minuteMs);
      const backAtMs = ground.clock.nowMs();
      one.comeBack();
      await ground.clock.advance(2_000);
      assert.ok((puller.observer.resumes[0] ?? Number.POSITIVE_INFINITY) <= backAtMs + 2_000);
      await ground.finish(puller);
      assert.equal(puller.observer.waits.length, 1);
    });

    it('goes on at once when the site names another source', async () => {
      const gone = ground.peer();
      gone.isReachable = false;
      const other = ground.peer();
      const puller = new FakePuller(ground.clock, ground.content, {
        peers: ground.peers,
        sources: [gone.source],
      });
      ground.pullers.push(puller);
      ground.running.push(puller.start());
      await ground.clock.advance(5 * minuteMs);
      assert.equal(puller.observer.waits.length, 1);
      puller.set.set([gone.source, other.source]);
      await ground.clock.advance(100);
      assert.ok(puller.receiver.taken.length > 0);
      await ground.finish(puller);
    });

    it('goes on when a source gets more', async () => {
      const growing = ground.peer({ units: new PieceSet(ground.content.unitCount) });
      growing.units?.add(0);
      const puller = ground.start();
      await ground.clock.advance(5 * minuteMs);
      assert.deepEqual(puller.receiver.taken, [0]);
      assert.equal(puller.observer.waits.length, 1);
      for (let unit = 0; unit < ground.content.unitCount; unit++) growing.units?.add(unit);
      growing.changed();
      await ground.clock.advance(1_000);
      assert.ok(puller.receiver.taken.length > 5);
      await ground.finish(puller);
    });

    it('begins a new round after half an hour', async () => {
      ground.content = new FakeContent([2 * pieceBytes]);
      const boaster = ground.peer();
      spoil(boaster, () => ({ body: 'notHere', notHere: {} }));
      const puller = ground.start();
      await ground.clock.advance(5 * minuteMs);
      assert.equal(puller.observer.waits.length, 1);
      spoil(boaster, (response) => response);
      await ground.clock.advance(20 * minuteMs);
      assert.equal(puller.receiver.taken.length, 0);
      await ground.clock.advance(7 * minuteMs);
      assert.ok(puller.doneAtMs !== undefined);
    });

    it('says so too when the only source is asked and never answers (PULL-7, PULL-8)', async () => {
      const one = ground.peer();
      const file = ground.content.files[0]?.hash ?? '';
      one.silentFiles.add(file);
      const puller = ground.start();
      await ground.until(() => puller.observer.waits.length > 0, 6 * minuteMs, 1_000);
      assert.equal(puller.observer.waits[0]?.code, 'PULL_SOURCES_EXHAUSTED');
      one.silentFiles.clear();
      await ground.until(() => puller.doneAtMs !== undefined, 60 * minuteMs, 1_000);
      assert.equal(puller.observer.resumes.length, 1);
      assert.ok(puller.receiver.held.isComplete);
    });

    it('waits for a manifest that nobody has yet', async () => {
      const one = ground.peer();
      one.hasManifest = false;
      const puller = ground.start();
      await ground.clock.advance(minuteMs);
      assert.equal(puller.observer.waits[0]?.code, 'PULL_SOURCES_EXHAUSTED');
      one.hasManifest = true;
      await ground.finish(puller, 2 * minuteMs);
    });

    it('ends when it is told to', async () => {
      const one = ground.peer();
      one.isReachable = false;
      const puller = ground.start();
      await ground.clock.advance(minuteMs);
      puller.stop();
      await ground.clock.advance(1);
      assert.equal((puller.failure as Error).name, 'AbortError');
    });
  });

  describe('when something is wrong here', () => {
    const full = () =>
      new WaybillError({ code: 'DISK_FULL', path: '/d', freeBytes: 0, neededBytes: 1 });

    it('waits for room, longer each time, and goes on', async () => {
      ground.peer();
      const puller = new FakePuller(ground.clock, ground.content, { peers: ground.peers });
      puller.receiver.failures.push(...Array.from({ length: 40 }, full));
      ground.pullers.push(puller);
      ground.running.push(puller.start());
      await ground.finish(puller, 10 * minuteMs);
      const { waits, resumes } = puller.observer;
      assert.equal(waits[0]?.code, 'DISK_FULL');
      assert.equal((waits[0]?.restartAtMs ?? 0) - (waits[0]?.atMs ?? 0), 2_000);
      assert.ok((waits.at(-1)?.restartAtMs ?? 0) - (waits.at(-1)?.atMs ?? 0) <= 30_000);
      assert.equal(resumes.length, 1);
      assert.deepEqual(puller.observer.liars, [], 'nobody is blamed');
    });

    it('fails with what is nobody’s to wait for', async () => {
      ground.peer();
      const puller = new FakePuller(ground.clock, ground.content, { peers: ground.peers });
      const facts = { packageId, jobSerial: 1, newestJobSerial: 2 };
      puller.receiver.failures.push(new WaybillError({ code: 'ACTION_SUPERSEDED', ...facts }));
      ground.running.push(puller.start());
      await ground.clock.advance(5_000);
      assert.equal((puller.failure as WaybillError).code, 'ACTION_SUPERSEDED');
      assert.equal(puller.entry, undefined, 'it arrives no more');
    });

    it('does not fetch for ever a file whose pieces contradict it', async () => {
      ground.peer();
      const puller = new FakePuller(ground.clock, ground.content, { peers: ground.peers });
      const [file] = ground.content.files;
      const hash = file?.hash ?? '';
      const contradiction = () =>
        new WaybillError({ code: 'FILE_HASH_MISMATCH', expectedHash: hash, actualHash: '' });
      const receive = puller.receiver.receivePiece.bind(puller.receiver);
      let count = 0;
      puller.receiver.receivePiece = async (action, piece) => {
        if (piece.hash === hash && piece.pieceIndex === 7 && count++ < 3) throw contradiction();
        return receive(action, piece);
      };
      ground.pullers.push(puller);
      ground.running.push(puller.start());
      await ground.clock.advance(10 * minuteMs);
      assert.equal(count, 3);
      assert.equal(puller.observer.waits[0]?.code, 'PULL_SOURCES_EXHAUSTED');
      assert.deepEqual(puller.observer.liars, [], 'nobody is blamed');
      await ground.finish(puller, 30 * minuteMs);
    });
  });

  it('fetches at most a request a stream twice after it was killed (PULL-4)', async () => {
    const one = ground.peer({ bytesPerSecond: 20e6 });
    const killed = ground.start();
    await ground.until(() => killed.receiver.taken.length > 10, minuteMs);
    killed.stop();
    await ground.clock.advance(1);
    ground.pullers.length = 0;
    const again = new FakePuller(ground.clock, ground.content, { peers: ground.peers });
    again.receiver.hasManifest = true;
    for (const unit of killed.receiver.taken) again.receiver.held.add(unit);
    ground.pullers.push(again);
    ground.running.push(again.start());
    await ground.finish(again);
    const twiceBytes = (one.asked.length - ground.content.unitCount) * pieceBytes;
    assert.ok(twiceBytes <= 8 * pieceBytes, `${one.asked.length} of ${ground.content.unitCount}`);
  });
}).timeout(30_000);
