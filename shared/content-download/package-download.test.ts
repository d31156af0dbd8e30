import assert from 'node:assert/strict';
import { pieceBytes } from '../domain/content.ts';
import { WaybillError } from '../domain/errors.ts';
import { PieceSet } from '../domain/piece-set.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import type { FetchResponse } from './content-messages.ts';
import type { PackageDownloadConfig } from './package-download.ts';
import { FakeContent, packageId } from './testing/fake-content.ts';
import { FakeLink, FakeNetwork } from './testing/fake-network.ts';
import { FakePeer } from './testing/fake-peer.ts';
import { FakePuller } from './testing/fake-puller.ts';

const minuteMs = 60_000;

describe('package download', () => {
  let clock: FakeClock;
  let network: FakeNetwork;
  let content: FakeContent;
  let over: AbortController;
  let peers: FakePeer[];
  let running: Promise<void>[];

  beforeEach(() => {
    clock = new FakeClock();
    network = new FakeNetwork(clock);
    content = new FakeContent([40 * pieceBytes + 5, ...Array(30).fill(50_000), 0, 2 * pieceBytes]);
    over = new AbortController();
    peers = [];
    running = [];
    void network.run(over.signal);
  });
  afterEach(async () => {
    for (const puller of pullers) puller.stop();
    await clock.advance(1);
    await Promise.all(running);
    over.abort();
    pullers.length = 0;
  });

  const pullers: FakePuller[] = [];

  function peer(
    options: { rank?: number; bytesPerSecond?: number; units?: PieceSet } = {},
  ): FakePeer {
    const name = `PS1DP${peers.length + 1}`;
    const needs = { content, network, clock };
    const one = new FakePeer(needs, { name, units: content.all(), ...options });
    peers.push(one);
    return one;
  }

  function start(config: Partial<PackageDownloadConfig> = {}, link?: FakeLink): FakePuller {
    const puller = new FakePuller(clock, content, { peers, ...(link && { link }) });
    pullers.push(puller);
    running.push(puller.start({ config }));
    return puller;
  }

  async function until(isSo: () => boolean, limitMs: number, stepMs = 50): Promise<void> {
    const endMs = clock.monotonicMs() + limitMs;
    while (!isSo()) {
      for (const { failure } of pullers) if (failure) throw failure;
      assert.ok(clock.monotonicMs() < endMs, `it took more than ${limitMs} ms`);
      await clock.advance(stepMs);
    }
  }

  async function finish(puller: FakePuller, limitMs = minuteMs): Promise<number> {
    const startMs = clock.monotonicMs();
    await until(() => puller.doneAtMs !== undefined, limitMs);
    assert.ok(puller.receiver.held.isComplete);
    return (puller.doneAtMs ?? 0) - startMs;
  }

  /** How long it takes from healthy sources like these. */
  async function healthyMs(): Promise<number> {
    const puller = start();
    const ms = await finish(puller);
    pullers.length = 0;
    return ms;
  }

  function spoil(one: FakePeer, change: (response: FetchResponse) => FetchResponse): void {
    one.answer = change;
  }

  describe('from sources that are as they should be', () => {
    it('brings everything once, and tells of it in order (PULL-4, PULL-6)', async () => {
      peer();
      peer();
      const puller = start();
      await finish(puller);
      const { observer, receiver } = puller;
      assert.deepEqual(observer.states, [
        'downloading-signature',
        'signature-downloaded',
        'downloading',
        'downloaded',
      ]);
      assert.equal(receiver.taken.length, content.unitCount);
      assert.equal(new Set(receiver.taken).size, content.unitCount);
      assert.equal(observer.doneBytes, content.sizeBytes);
      assert.equal(observer.expectedBytes, content.sizeBytes);
      assert.equal(observer.receivedBytes, content.sizeBytes);
      assert.deepEqual([observer.liars, observer.waits], [[], []]);
      assert.ok(puller.entry?.units.isComplete, 'others find all of it here');
    });

    it('fetches nothing that is here (PULL-6)', async () => {
      const one = peer();
      const puller = new FakePuller(clock, content, { peers });
      puller.receiver.hasManifest = true;
      for (let unit = 0; unit < content.unitCount; unit++) {
        if (unit !== 3) puller.receiver.held.add(unit);
      }
      pullers.push(puller);
      running.push(puller.start());
      await finish(puller);
      assert.deepEqual(one.asked, [3]);
      assert.equal(puller.observer.expectedBytes, pieceBytes);
      assert.equal(puller.observer.states[0], 'signature-downloaded');
    });

    it('tells others from the first unit on what is here (PULL-11)', async () => {
      peer({ bytesPerSecond: 1e6 });
      const puller = start();
      await until(() => (puller.entry?.units.heldCount ?? 0) > 2, minuteMs);
      assert.deepEqual(puller.entry?.units.toBytes(), puller.receiver.held.toBytes());
    });

    it('asks the lowest rank that holds a unit (PULL-1)', async () => {
      const units = new PieceSet(content.unitCount);
      for (let unit = 0; unit < content.unitCount; unit += 2) units.add(unit);
      const odd = peer({ rank: 1, units });
      const all = peer({ rank: 2 });
      const last = peer({ rank: 3 });
      await finish(start());
      assert.ok(odd.asked.every((unit) => unit % 2 === 0));
      const lateCount = all.asked.filter((unit) => unit % 2 === 0).length;
      assert.ok(lateCount <= 2, `${lateCount} units were asked of a higher rank at the end`);
      assert.ok(last.asked.length <= 2);
    });

    it('takes more from the quicker one (PULL-1)', async () => {
      const slow = peer({ bytesPerSecond: 2e6 });
      const quick = peer({ bytesPerSecond: 20e6 });
      await finish(start());
      assert.ok(quick.asked.length > 2 * slow.asked.length);
      assert.ok(slow.asked.length > 0);
    });

    it('opens few streams first, more while that brings more, never too many', async () => {
      const one = peer({ bytesPerSecond: 1e9 });
      content = new FakeContent([300 * pieceBytes]);
      peers.length = 0;
      const other = peer({ bytesPerSecond: 1e9 });
      const puller = start({}, new FakeLink(1e10));
      await until(() => other.openCount > 0, 1_000, 1);
      assert.equal(other.openCountMax, 2);
      await finish(puller);
      assert.equal(other.openCountMax, 8);
      assert.equal(one.openCountMax, 0);
    });

    it('gives every source a stream, up to 32 in all', async () => {
      content = new FakeContent([400 * pieceBytes]);
      for (let index = 0; index < 40; index++) peer({ bytesPerSecond: 1e6 });
      let most = 0;
      const puller = start();
      await until(
        () => {
          most = Math.max(
            most,
            peers.reduce((sum, { openCount }) => sum + openCount, 0),
          );
          return puller.doneAtMs !== undefined;
        },
        minuteMs,
        20,
      );
      assert.equal(most, 32);
    });

    it('plans any number of small files in parts', async () => {
      content = new FakeContent(Array(40_000).fill(100));
      const one = peer();
      const puller = start();
      await finish(puller);
      assert.equal(one.asked.length, 40_000);
      assert.equal(puller.observer.expectedBytes, content.sizeBytes);
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
        const liar = peer();
        spoil(liar, lie);
        const honest = peer();
        const puller = start();
        await finish(puller);
        assert.deepEqual(puller.observer.liars, [liar.source.address]);
        assert.equal(puller.observer.errors[0]?.code, 'PULL_SOURCE_LIED');
        assert.ok(honest.asked.length >= content.unitCount - liar.asked.length);
        const askedCount = liar.asked.length;
        assert.ok(askedCount < content.unitCount / 2, 'it is not asked again');
      });
    }

    it('names who goes on and on after his answer', async () => {
      const endless = peer();
      endless.isEndless = true;
      peer();
      const puller = start();
      await finish(puller);
      assert.deepEqual(puller.observer.liars, [endless.source.address]);
    });

    it('names who speaks of units that there are not', async () => {
      const liar = peer({ units: new PieceSet(content.unitCount + 800) });
      liar.units?.add(1);
      peer();
      const puller = start();
      await finish(puller);
      assert.deepEqual(puller.observer.liars, [liar.source.address]);
    });

    it('does not forgive a liar when the site names its sources again', async () => {
      const liar = peer();
      spoil(liar, (response) => changed(response, wrongByte));
      peer({ bytesPerSecond: 1e6 });
      const puller = start();
      await until(() => puller.observer.liars.length > 0, minuteMs);
      const askedCount = liar.asked.length;
      puller.set.set(peers.map(({ source }) => source));
      await finish(puller);
      assert.equal(liar.asked.length, askedCount);
    });

    it('takes the manifest from another one when several crawl for ever (PULL-7)', async () => {
      for (let count = 0; count < 3; count++) peer().isManifestCrawling = true;
      peer({ rank: 2 });
      await finish(start(), 5 * minuteMs);
    });

    it('takes the manifest from the next one when it is wrong, or not there', async () => {
      const liar = peer();
      liar.manifestByte = 1;
      const without = peer();
      without.hasManifest = false;
      peer({ rank: 2 });
      const puller = start();
      await finish(puller);
      assert.ok(puller.observer.liars.length <= 1);
      assert.ok(puller.receiver.hasManifest);
    });

    it('brings from others what one holds only odd pieces of', async () => {
      const units = new PieceSet(content.unitCount);
      for (let unit = 1; unit < content.unitCount; unit += 2) units.add(unit);
      const odd = peer({ units });
      peer();
      await finish(start());
      assert.ok(odd.asked.length > 0);
      assert.ok(odd.asked.every((unit) => unit % 2 === 1));
    });

    it('brings from others what one says it holds and does not', async () => {
      const boaster = peer();
      spoil(boaster, () => ({ body: 'notHere', notHere: {} }));
      peer();
      const puller = start();
      await finish(puller);
      assert.deepEqual(puller.observer.liars, []);
    });

    it('goes on without one that refuses', async () => {
      const refusing = peer();
      const reason = 'it is ill';
      refusing.refusal = new WaybillError({ code: 'PEER_FAILED', peer: 'PS1DP1', reason });
      peer();
      await finish(start());
    });

    for (const rank of [1, 2]) {
      it(`loses at most a fifth by one that gives 1 KB/s, at rank 1, the others at ${rank}`, async () => {
        content = new FakeContent([400 * pieceBytes]);
        peer({ rank, bytesPerSecond: 20e6 });
        peer({ rank, bytesPerSecond: 20e6 });
        const healthy = await healthyMs();
        peer({ rank: 1, bytesPerSecond: 1_000 });
        const puller = start();
        const ms = await finish(puller);
        assert.ok(ms <= 1.2 * healthy, `${ms} ms, ${healthy} without it`);
      });
    }

    it('loses at most a fifth by one that becomes slow', async () => {
      content = new FakeContent([400 * pieceBytes]);
      peer({ bytesPerSecond: 20e6 });
      peer({ bytesPerSecond: 20e6 });
      const healthy = await healthyMs();
      const fading = peer({ bytesPerSecond: 20e6 });
      const puller = start();
      await clock.advance(1_000);
      fading.link.bytesPerSecond = 1_000;
      const ms = await finish(puller);
      assert.ok(ms <= 1.2 * healthy, `${ms} ms, ${healthy} without it`);
    });

    for (const bytesPerSecond of [100_000, 10_000]) {
      it(`gets through from one source of ${bytesPerSecond} bytes a second`, async () => {
        content = new FakeContent([3 * pieceBytes]);
        peer({ bytesPerSecond });
        const idealMs = (content.sizeBytes / bytesPerSecond) * 1_000;
        const ms = await finish(start(), 4 * idealMs);
        assert.ok(ms <= 2 * idealMs, `${ms} ms, ideal ${idealMs}`);
      });
    }

    it('gets through from two thin ones, of which none is an alternative to the other', async () => {
      content = new FakeContent([3 * pieceBytes]);
      peer({ bytesPerSecond: 10_000 });
      peer({ bytesPerSecond: 10_000 });
      await finish(start(), 20 * minuteMs);
    });
  });

  describe('when nobody gives anything', () => {
    it('says so, and goes on within 2 s of a return (PULL-7)', async () => {
      const one = peer({ bytesPerSecond: 5e6 });
      const puller = start();
      await until(() => puller.receiver.taken.length > 5, minuteMs);
      one.goAway();
      await until(() => puller.observer.waits.length > 0, 10_000);
      const [wait] = puller.observer.waits;
      assert.equal(wait?.code, 'PULL_SOURCES_EXHAUSTED');
      assert.equal(wait?.restartAtMs, (wait?.atMs ?? 0) + 30 * minuteMs);
      await clock.advance(10 * minuteMs);
      const backAtMs = clock.nowMs();
      one.comeBack();
      await clock.advance(2_000);
      assert.ok((puller.observer.resumes[0] ?? Number.POSITIVE_INFINITY) <= backAtMs + 2_000);
      await finish(puller);
      assert.equal(puller.observer.waits.length, 1);
    });

    it('goes on at once when the site names another source', async () => {
      const gone = peer();
      gone.isReachable = false;
      const other = peer();
      const puller = new FakePuller(clock, content, { peers, sources: [gone.source] });
      pullers.push(puller);
      running.push(puller.start());
      await clock.advance(5 * minuteMs);
      assert.equal(puller.observer.waits.length, 1);
      puller.set.set([gone.source, other.source]);
      await clock.advance(100);
      assert.ok(puller.receiver.taken.length > 0);
      await finish(puller);
    });

    it('goes on when a source gets more', async () => {
      const growing = peer({ units: new PieceSet(content.unitCount) });
      growing.units?.add(0);
      const puller = start();
      await clock.advance(5 * minuteMs);
      assert.deepEqual(puller.receiver.taken, [0]);
      assert.equal(puller.observer.waits.length, 1);
      for (let unit = 0; unit < content.unitCount; unit++) growing.units?.add(unit);
      growing.changed();
      await clock.advance(1_000);
      assert.ok(puller.receiver.taken.length > 5);
      await finish(puller);
    });

    it('begins a new round after half an hour', async () => {
      content = new FakeContent([2 * pieceBytes]);
      const boaster = peer();
      spoil(boaster, () => ({ body: 'notHere', notHere: {} }));
      const puller = start();
      await clock.advance(5 * minuteMs);
      assert.equal(puller.observer.waits.length, 1);
      spoil(boaster, (response) => response);
      await clock.advance(20 * minuteMs);
      assert.equal(puller.receiver.taken.length, 0);
      await clock.advance(7 * minuteMs);
      assert.ok(puller.doneAtMs !== undefined);
    });

    it('says so too when the only source is asked and never answers (PULL-7, PULL-8)', async () => {
      const one = peer();
      const file = content.files[0]?.hash ?? '';
      one.silentFiles.add(file);
      const puller = start();
      await until(() => puller.observer.waits.length > 0, 6 * minuteMs, 1_000);
      assert.equal(puller.observer.waits[0]?.code, 'PULL_SOURCES_EXHAUSTED');
      one.silentFiles.clear();
      await until(() => puller.doneAtMs !== undefined, 60 * minuteMs, 1_000);
      assert.equal(puller.observer.resumes.length, 1);
      assert.ok(puller.receiver.held.isComplete);
    });

    it('waits for a manifest that nobody has yet', async () => {
      const one = peer();
      one.hasManifest = false;
      const puller = start();
      await clock.advance(minuteMs);
      assert.equal(puller.observer.waits[0]?.code, 'PULL_SOURCES_EXHAUSTED');
      one.hasManifest = true;
      await finish(puller, 2 * minuteMs);
    });

    it('ends when it is told to', async () => {
      const one = peer();
      one.isReachable = false;
      const puller = start();
      await clock.advance(minuteMs);
      puller.stop();
      await clock.advance(1);
      assert.equal((puller.failure as Error).name, 'AbortError');
    });
  });

  describe('when something is wrong here', () => {
    const full = () =>
      new WaybillError({ code: 'DISK_FULL', path: '/d', freeBytes: 0, neededBytes: 1 });

    it('waits for room, longer each time, and goes on', async () => {
      peer();
      const puller = new FakePuller(clock, content, { peers });
      puller.receiver.failures.push(...Array.from({ length: 40 }, full));
      pullers.push(puller);
      running.push(puller.start());
      await finish(puller, 10 * minuteMs);
      const { waits, resumes } = puller.observer;
      assert.equal(waits[0]?.code, 'DISK_FULL');
      assert.equal((waits[0]?.restartAtMs ?? 0) - (waits[0]?.atMs ?? 0), 2_000);
      assert.ok((waits.at(-1)?.restartAtMs ?? 0) - (waits.at(-1)?.atMs ?? 0) <= 30_000);
      assert.equal(resumes.length, 1);
      assert.deepEqual(puller.observer.liars, [], 'nobody is blamed');
    });

    it('fails with what is nobody’s to wait for', async () => {
      peer();
      const puller = new FakePuller(clock, content, { peers });
      const facts = { packageId, jobSerial: 1, newestJobSerial: 2 };
      puller.receiver.failures.push(new WaybillError({ code: 'ACTION_SUPERSEDED', ...facts }));
      running.push(puller.start());
      await clock.advance(5_000);
      assert.equal((puller.failure as WaybillError).code, 'ACTION_SUPERSEDED');
      assert.equal(puller.entry, undefined, 'it arrives no more');
    });

    it('does not fetch for ever a file whose pieces contradict it', async () => {
      peer();
      const puller = new FakePuller(clock, content, { peers });
      const [file] = content.files;
      const hash = file?.hash ?? '';
      const contradiction = () =>
        new WaybillError({ code: 'FILE_HASH_MISMATCH', expectedHash: hash, actualHash: '' });
      const receive = puller.receiver.receivePiece.bind(puller.receiver);
      let count = 0;
      puller.receiver.receivePiece = async (action, piece) => {
        if (piece.hash === hash && piece.pieceIndex === 7 && count++ < 3) throw contradiction();
        return receive(action, piece);
      };
      pullers.push(puller);
      running.push(puller.start());
      await clock.advance(10 * minuteMs);
      assert.equal(count, 3);
      assert.equal(puller.observer.waits[0]?.code, 'PULL_SOURCES_EXHAUSTED');
      assert.deepEqual(puller.observer.liars, [], 'nobody is blamed');
      await finish(puller, 30 * minuteMs);
    });
  });

  it('fetches at most a request a stream twice after it was killed (PULL-4)', async () => {
    const one = peer({ bytesPerSecond: 20e6 });
    const killed = start();
    await until(() => killed.receiver.taken.length > 10, minuteMs);
    killed.stop();
    await clock.advance(1);
    pullers.length = 0;
    const again = new FakePuller(clock, content, { peers });
    again.receiver.hasManifest = true;
    for (const unit of killed.receiver.taken) again.receiver.held.add(unit);
    pullers.push(again);
    running.push(again.start());
    await finish(again);
    const twiceBytes = (one.asked.length - content.unitCount) * pieceBytes;
    assert.ok(twiceBytes <= 8 * pieceBytes, `${one.asked.length} of ${content.unitCount}`);
  });
}).timeout(30_000);
