import assert from 'node:assert/strict';
import { pieceBytes } from '../domain/content.ts';
import { WaybillError } from '../domain/errors.ts';
import { PieceSet } from '../domain/piece-set.ts';
import type { FetchResponse } from './content-messages.ts';
import { DownloadGround, minuteMs, spoil } from './testing/download-ground.ts';
import { FakeContent } from './testing/fake-content.ts';
import { FakeLink } from './testing/fake-network.ts';
import { FakePuller } from './testing/fake-puller.ts';

describe('package download', () => {
  let ground: DownloadGround;

  beforeEach(() => {
    ground = new DownloadGround();
  });
  afterEach(() => ground[Symbol.asyncDispose]());

  describe('from sources that are as they should be', () => {
    it('brings everything once, and tells of it in order (PULL-4, PULL-6)', async () => {
      ground.peer();
      ground.peer();
      const puller = ground.start();
      await ground.finish(puller);
      const { observer, receiver } = puller;
      assert.deepEqual(observer.states, [
        'downloading-signature',
        'signature-downloaded',
        'downloading',
        'downloaded',
      ]);
      assert.equal(receiver.taken.length, ground.content.unitCount);
      assert.equal(new Set(receiver.taken).size, ground.content.unitCount);
      assert.equal(observer.doneBytes, ground.content.sizeBytes);
      assert.equal(observer.expectedBytes, ground.content.sizeBytes);
      assert.equal(observer.receivedBytes, ground.content.sizeBytes);
      assert.deepEqual([observer.liars, observer.waits], [[], []]);
      assert.ok(puller.entry?.units.isComplete, 'others find all of it here');
    });

    it('fetches nothing that is here (PULL-6)', async () => {
      const one = ground.peer();
      const puller = new FakePuller(ground.clock, ground.content, { peers: ground.peers });
      puller.receiver.hasManifest = true;
      for (let unit = 0; unit < ground.content.unitCount; unit++) {
        if (unit !== 3) puller.receiver.held.add(unit);
      }
      ground.pullers.push(puller);
      ground.running.push(puller.start());
      await ground.finish(puller);
      assert.deepEqual(one.asked, [3]);
      assert.equal(puller.observer.expectedBytes, pieceBytes);
      assert.equal(puller.observer.states[0], 'signature-downloaded');
    });

    it('tells others from the first unit on what is here (PULL-11)', async () => {
      ground.peer({ bytesPerSecond: 1e6 });
      const puller = ground.start();
      await ground.until(() => (puller.entry?.units.heldCount ?? 0) > 2, minuteMs);
      assert.deepEqual(puller.entry?.units.toBytes(), puller.receiver.held.toBytes());
    });

    it('asks the lowest rank that holds a unit (PULL-1)', async () => {
      const units = new PieceSet(ground.content.unitCount);
      for (let unit = 0; unit < ground.content.unitCount; unit += 2) units.add(unit);
      const odd = ground.peer({ rank: 1, units });
      const all = ground.peer({ rank: 2 });
      const last = ground.peer({ rank: 3 });
      await ground.finish(ground.start());
      assert.ok(odd.asked.every((unit) => unit % 2 === 0));
      const lateCount = all.asked.filter((unit) => unit % 2 === 0).length;
      assert.ok(lateCount <= 2, `${lateCount} units were asked of a higher rank at the end`);
      assert.ok(last.asked.length <= 2);
    });

    it('takes more from the quicker one (PULL-1)', async () => {
      const slow = ground.peer({ bytesPerSecond: 2e6 });
      const quick = ground.peer({ bytesPerSecond: 20e6 });
      await ground.finish(ground.start());
      assert.ok(quick.asked.length > 2 * slow.asked.length);
      assert.ok(slow.asked.length > 0);
    });

    it('opens few streams first, more while that brings more, never too many', async () => {
      const one = ground.peer({ bytesPerSecond: 1e9 });
      ground.content = new FakeContent([300 * pieceBytes]);
      ground.peers.length = 0;
      const other = ground.peer({ bytesPerSecond: 1e9 });
      const puller = ground.start({}, new FakeLink(1e10));
      await ground.until(() => other.openCount > 0, 1_000, 1);
      assert.equal(other.openCountMax, 2);
      await ground.finish(puller);
      assert.equal(other.openCountMax, 8);
      assert.equal(one.openCountMax, 0);
    });

    it('gives every source a stream, up to 32 in all', async () => {
      ground.content = new FakeContent([400 * pieceBytes]);
      for (let index = 0; index < 40; index++) ground.peer({ bytesPerSecond: 1e6 });
      let most = 0;
      const puller = ground.start();
      await ground.until(
        () => {
          most = Math.max(
            most,
            ground.peers.reduce((sum, { openCount }) => sum + openCount, 0),
          );
          return puller.doneAtMs !== undefined;
        },
        minuteMs,
        20,
      );
      assert.equal(most, 32);
    });

    it('plans any number of small files in parts', async () => {
      ground.content = new FakeContent(Array(40_000).fill(100));
      const one = ground.peer();
      const puller = ground.start();
      await ground.finish(puller);
      assert.equal(one.asked.length, 40_000);
      assert.equal(puller.observer.expectedBytes, ground.content.sizeBytes);
    });
  });

  describe('from sources that are not (PULL-7)', () => {
    const wrongByte = (data: Buffer) => {
      const wrong = Buffer.from(data);
      wrong[0] = 1;
      return wrong;
    };
    const changed = (response: FetchResponse, change: (data: Buffer) => Buffer): FetchResponse => {
      const { piece, files } = response;
      if (piece) return { ...response, piece: { ...piece, data: change(piece.data) } };
      const changedFiles = files?.files.map((file) => ({ ...file, data: change(file.data) }));
      return files ? { ...response, files: { files: changedFiles ?? [] } } : response;
    };
    const lies: [string, (response: FetchResponse) => FetchResponse][] = [
      ['wrong bytes', (response) => changed(response, wrongByte)],
      ['too many bytes', (response) => changed(response, (data) => Buffer.concat([data, data]))],
      ['too few bytes', (response) => changed(response, (data) => data.subarray(1))],
      ['nothing of a message', () => ({}) as FetchResponse],
      [
        'another piece',
        (response) =>
          response.piece
            ? { ...response, piece: { ...response.piece, pieceIndex: 999 } }
            : response,
      ],
    ];
    for (const [what, lie] of lies) {
      it(`names who gives ${what}, and takes nothing of it`, async () => {
        const liar = ground.peer();
        spoil(liar, lie);
        const honest = ground.peer();
        const puller = ground.start();
        await ground.finish(puller);
        assert.deepEqual(puller.observer.liars, [liar.source.address]);
        assert.equal(puller.observer.errors[0]?.code, 'PULL_SOURCE_LIED');
        assert.ok(honest.asked.length >= ground.content.unitCount - liar.asked.length);
        const askedCount = liar.asked.length;
        assert.ok(askedCount < ground.content.unitCount / 2, 'it is not asked again');
      });
    }

    it('names who goes on and on after his answer', async () => {
      const endless = ground.peer();
      endless.isEndless = true;
      ground.peer();
      const puller = ground.start();
      await ground.finish(puller);
      assert.deepEqual(puller.observer.liars, [endless.source.address]);
    });

    it('names who speaks of units that there are not', async () => {
      const liar = ground.peer({ units: new PieceSet(ground.content.unitCount + 800) });
      liar.units?.add(1);
      ground.peer();
      const puller = ground.start();
      await ground.finish(puller);
      assert.deepEqual(puller.observer.liars, [liar.source.address]);
    });

    it('does not forgive a liar when the site names its sources again', async () => {
      const liar = ground.peer();
      spoil(liar, (response) => changed(response, wrongByte));
      ground.peer({ bytesPerSecond: 1e6 });
      const puller = ground.start();
      await ground.until(() => puller.observer.liars.length > 0, minuteMs);
      const askedCount = liar.asked.length;
      puller.set.set(ground.peers.map(({ source }) => source));
      await ground.finish(puller);
      assert.equal(liar.asked.length, askedCount);
    });

    it('takes the manifest from another one when several crawl for ever (PULL-7)', async () => {
      for (let count = 0; count < 3; count++) ground.peer().isManifestCrawling = true;
      ground.peer({ rank: 2 });
      await ground.finish(ground.start(), 5 * minuteMs);
    });

    it('takes the manifest from the next one when it is wrong, or not there', async () => {
      const liar = ground.peer();
      liar.manifestByte = 1;
      const without = ground.peer();
      without.hasManifest = false;
      ground.peer({ rank: 2 });
      const puller = ground.start();
      await ground.finish(puller);
      assert.ok(puller.observer.liars.length <= 1);
      assert.ok(puller.receiver.hasManifest);
    });

    it('brings from others what one holds only odd pieces of', async () => {
      const units = new PieceSet(ground.content.unitCount);
      for (let unit = 1; unit < ground.content.unitCount; unit += 2) units.add(unit);
      const odd = ground.peer({ units });
      ground.peer();
      await ground.finish(ground.start());
      assert.ok(odd.asked.length > 0);
      assert.ok(odd.asked.every((unit) => unit % 2 === 1));
    });

    it('brings from others what one says it holds and does not', async () => {
      const boaster = ground.peer();
      spoil(boaster, () => ({ body: 'notHere', notHere: {} }));
      ground.peer();
      const puller = ground.start();
      await ground.finish(puller);
      assert.deepEqual(puller.observer.liars, []);
    });

    it('goes on without one that refuses', async () => {
      const refusing = ground.peer();
      const reason = 'it is ill';
      refusing.refusal = new WaybillError({ code: 'PEER_FAILED', peer: 'PS1DP1', reason });
      ground.peer();
      await ground.finish(ground.start());
    });

    for (const rank of [1, 2]) {
      it(`loses at most a fifth by one that gives 1 KB/s, at rank 1, the others at ${rank}`, async () => {
        ground.content = new FakeContent([400 * pieceBytes]);
        ground.peer({ rank, bytesPerSecond: 20e6 });
        ground.peer({ rank, bytesPerSecond: 20e6 });
        const healthy = await ground.healthyMs();
        ground.peer({ rank: 1, bytesPerSecond: 1_000 });
        const puller = ground.start();
        const ms = await ground.finish(puller);
        assert.ok(ms <= 1.2 * healthy, `${ms} ms, ${healthy} without it`);
      });
    }

    it('loses at most a fifth by one that becomes slow', async () => {
      ground.content = new FakeContent([400 * pieceBytes]);
      ground.peer({ bytesPerSecond: 20e6 });
      ground.peer({ bytesPerSecond: 20e6 });
      const healthy = await ground.healthyMs();
      const fading = ground.peer({ bytesPerSecond: 20e6 });
      const puller = ground.start();
      await ground.clock.advance(1_000);
      fading.link.bytesPerSecond = 1_000;
      const ms = await ground.finish(puller);
      assert.ok(ms <= 1.2 * healthy, `${ms} ms, ${healthy} without it`);
    });

    for (const bytesPerSecond of [100_000, 10_000]) {
      it(`gets through from one source of ${bytesPerSecond} bytes a second`, async () => {
        ground.content = new FakeContent([3 * pieceBytes]);
        ground.peer({ bytesPerSecond });
        const idealMs = (ground.content.sizeBytes / bytesPerSecond) * 1_000;
        const ms = await ground.finish(ground.start(), 4 * idealMs);
        assert.ok(ms <= 2 * idealMs, `${ms} ms, ideal ${idealMs}`);
      });
    }

    it('gets through from two thin ones, of which none is an alternative to the other', async () => {
      ground.content = new FakeContent([3 * pieceBytes]);
      ground.peer({ bytesPerSecond: 10_000 });
      ground.peer({ bytesPerSecond: 10_000 });
      await ground.finish(ground.start(), 20 * minuteMs);
    });
  });
}).timeout(30_000);
