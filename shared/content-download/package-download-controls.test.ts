import assert from 'node:assert/strict';
import { defaultContentServerConfig } from '../content-server/content-server.ts';
import { pieceBytes } from '../domain/content.ts';
import type { Priority } from '../domain/package.ts';
import { fetchingPassage } from '../domain/transfer-passage.ts';
import { TurnsPerKey } from '../runtime/turns-per-key.ts';
import { TransferArbiter } from '../transfer-arbiter/transfer-arbiter.ts';
import { cutQuestionsMax, Intake } from './intake.ts';
import { DownloadGround, minuteMs } from './testing/download-ground.ts';
import { FakeContent } from './testing/fake-content.ts';
import { FakePuller } from './testing/fake-puller.ts';

describe('limits and schedules of a download (PULL-10, PTM-5, PTM-6)', () => {
  let ground: DownloadGround;
  let arbiter: TransferArbiter;
  let questions: TurnsPerKey;

  beforeEach(() => {
    ground = new DownloadGround();
    ground.content = new FakeContent([10 * pieceBytes, ...Array(20).fill(20_000)]);
    arbiter = new TransferArbiter(ground.clock);
    questions = new TurnsPerKey(cutQuestionsMax);
  });
  afterEach(() => ground[Symbol.asyncDispose]());

  const limit = (bytesPerSecond: number) =>
    arbiter.setControls(fetchingPassage, { limit: { kind: 'rate', bytesPerSecond } });

  /** A download that keeps to what is set for its agent. */
  function begin(priority: Priority = 2): FakePuller {
    const { clock, content, peers } = ground;
    const puller = new FakePuller(clock, content, { peers });
    puller.intake = new Intake({ arbiter, clock, questions }, priority);
    ground.pullers.push(puller);
    ground.running.push(puller.start());
    return puller;
  }
  const sentBytes = () => ground.peers.reduce((sum, { link }) => sum + link.sentBytes, 0);

  it('keeps to its own limit, smoothly, whatever its sources could send', async () => {
    for (let count = 0; count < 3; count++) ground.peer();
    const rate = 1_000_000;
    limit(rate);
    const puller = begin();
    const bySecond: number[] = [];
    let before = 0;
    while (puller.doneAtMs === undefined) {
      await ground.until(() => ground.clock.monotonicMs() >= (bySecond.length + 1) * 1_000, 2_000);
      bySecond.push(sentBytes() - before);
      before = sentBytes();
    }
    for (const [second, bytes] of bySecond.slice(0, -1).entries()) {
      const most = second === 0 ? 1.45 : 1.25;
      assert.ok(bytes <= most * rate, `${bytes} bytes in second ${second}`);
      if (second > 0) assert.ok(bytes >= 0.9 * rate, `${bytes} bytes in second ${second}`);
    }
    assert.ok(puller.doneAtMs >= (1_000 * ground.content.sizeBytes) / rate - 600);
    const { observer, receiver } = puller;
    assert.equal(new Set(receiver.taken).size, receiver.taken.length, 'nothing comes twice');
    assert.equal(observer.receivedBytes, ground.content.sizeBytes);
    assert.deepEqual([observer.liars, observer.waits], [[], []]);
    assert.ok(ground.peers.every(({ fragmentCount }) => fragmentCount > 10));
  });

  it('blames no source for a limit that makes a piece take minutes (PULL-7)', async () => {
    ground.content = new FakeContent([2 * pieceBytes]);
    ground.peer();
    ground.peer();
    limit(4096);
    const puller = begin();
    await ground.until(() => puller.doneAtMs !== undefined, 15 * minuteMs, 1_000);
    assert.deepEqual([puller.observer.liars, puller.observer.waits], [[], []]);
    assert.equal(puller.observer.receivedBytes, ground.content.sizeBytes);
  });

  it('asks a source for no more at once than it answers, however many downloads there are', async () => {
    ground.content = new FakeContent([2 * pieceBytes]);
    const one = ground.peer();
    limit(1_000_000);
    const pullers = Array.from({ length: 30 }, () => begin());
    await ground.until(() => one.fragmentCount > 30, minuteMs);
    const beganAtMs = ground.clock.monotonicMs();
    const urgent = begin(1);
    await ground.until(() => urgent.doneAtMs !== undefined, minuteMs);
    const tookMs = urgent.doneAtMs! - beganAtMs;
    assert.ok(tookMs < 4_000, `${tookMs} ms: it waits behind nobody`);
    for (const puller of pullers) await ground.finish(puller, 2 * minuteMs);
    assert.ok(one.partlySentMax <= 2 * cutQuestionsMax, `${one.partlySentMax} at once`);
    assert.deepEqual([urgent.observer.waits, pullers[0]?.observer.waits], [[], []]);
  });

  it('keeps to a limit that falls while many questions wait, and asks few of them at once', async () => {
    ground.content = new FakeContent([20 * pieceBytes]);
    const one = ground.peer();
    one.turns = new TurnsPerKey(defaultContentServerConfig.callerAnswersMax);
    limit(50_000_000);
    for (let count = 0; count < 60; count++) begin();
    await ground.until(() => sentBytes() > 20_000_000, minuteMs);
    assert.equal(one.fragmentCount, 0);
    limit(1_000_000);
    await ground.clock.advance(1_000);
    for (let second = 1; second < 8; second++) {
      const before = sentBytes();
      await ground.clock.advance(1_000);
      const bytes = sentBytes() - before;
      assert.ok(bytes > 800_000 && bytes < 1_250_000, `${bytes} bytes in second ${second}`);
    }
    assert.ok(one.partlySentMax <= cutQuestionsMax, `${one.partlySentMax} at once`);
  });

  it('lets a download that becomes urgent have its turn among the urgent ones', async () => {
    ground.content = new FakeContent([2 * pieceBytes]);
    ground.peer();
    limit(1_000_000);
    const pullers = Array.from({ length: 30 }, () => begin());
    await ground.clock.advance(5_000);
    const last = pullers.findLast(({ doneAtMs }) => doneAtMs === undefined)!;
    const beganAtMs = ground.clock.monotonicMs();
    last.intake!.priority = 1;
    await ground.until(() => last.doneAtMs !== undefined, minuteMs);
    const tookMs = last.doneAtMs! - beganAtMs;
    assert.ok(tookMs < 4_000, `${tookMs} ms: it waits behind nobody`);
  });

  it('is not held up by pulses of many pieces, which cut none', async () => {
    ground.content = new FakeContent([8 * pieceBytes]);
    const one = ground.peer();
    const [blockBytes, delayMs] = [16 * pieceBytes, 100];
    arbiter.setControls(fetchingPassage, { limit: { kind: 'pulse', blockBytes, delayMs } });
    const pullers = Array.from({ length: 30 }, () => begin());
    await ground.until(() => pullers.every((puller) => puller.doneAtMs !== undefined), minuteMs);
    assert.equal(one.fragmentCount, 0);
    assert.equal(questions.keyCount, 0);
  });

  it('asks for whole answers where there is no limit', async () => {
    const one = ground.peer();
    await ground.finish(begin());
    assert.equal(one.fragmentCount, 0);
    assert.deepEqual(one.manifestRanges, [0]);
  });

  it('obeys another limit at once', async () => {
    ground.peer();
    limit(100_000);
    const puller = begin();
    await ground.until(() => ground.clock.monotonicMs() >= 10_000, minuteMs);
    assert.ok(sentBytes() <= 1_200_000);
    limit(20_000_000);
    const before = sentBytes();
    await ground.until(() => puller.doneAtMs !== undefined, 2_000);
    assert.ok(sentBytes() - before > 8_000_000);
  });

  it('keeps to its limit with sources that know of no fragments', async () => {
    ground.peer().knowsFragments = false;
    limit(500_000);
    const puller = begin();
    const ms = await ground.finish(puller);
    assert.ok(ms >= (0.9 * ground.content.sizeBytes) / 500, `${ms} ms`);
    assert.deepEqual(puller.observer.liars, []);
  });

  it('blames a source that keeps the end of a manifest back, and asks it no more (PULL-7)', async () => {
    ground.content = new FakeContent([5]);
    Object.assign(ground.content.descriptor, { manifestBytes: 100_000 });
    const cut = ground.peer();
    cut.isManifestCut = true;
    limit(10_000);
    const puller = begin();
    await ground.until(() => puller.observer.liars.length > 0, minuteMs);
    const askedCount = cut.manifestRanges.length;
    await ground.clock.advance(minuteMs);
    assert.equal(cut.manifestRanges.length, askedCount);
  });

  it('fetches a manifest in ranges under a limit, and is as patient with its source', async () => {
    ground.content = new FakeContent([5]);
    Object.assign(ground.content.descriptor, { manifestBytes: 400_000 });
    const one = ground.peer();
    limit(10_000);
    const puller = begin();
    const ms = await ground.finish(puller);
    assert.ok(ms >= 35_000, `${ms} ms`);
    assert.ok(one.manifestRanges.length > 50);
    assert.deepEqual(puller.observer.waits, []);
  });

  it('lets an urgent download go first', async () => {
    ground.peer();
    limit(1_000_000);
    const normal = begin(2);
    await ground.until(() => ground.clock.monotonicMs() >= 2_000, minuteMs);
    const urgent = begin(1);
    await ground.until(() => urgent.doneAtMs !== undefined, 13_000);
    assert.equal(normal.doneAtMs, undefined);
    await ground.finish(normal);
  });

  it('has patience with a source that is slow by its own limit, and asks others meanwhile', async () => {
    const slow = ground.peer();
    slow.fragmentRate = 50_000;
    ground.peer({ bytesPerSecond: 5e6 });
    const puller = begin();
    const ms = await ground.finish(puller);
    assert.ok(ms < 10_000, `${ms} ms`);
    assert.deepEqual([puller.observer.liars, puller.observer.waits], [[], []]);
  });

  it('leaves a source whose own limit is low for the next rank (PULL-7)', async () => {
    const slow = ground.peer();
    slow.fragmentRate = 20_000;
    ground.peer({ rank: 2 });
    const puller = begin();
    const ms = await ground.finish(puller, 3 * minuteMs);
    assert.ok(ms < minuteMs, `${ms} ms`);
    assert.deepEqual([puller.observer.liars, puller.observer.waits], [[], []]);
  });

  it('fetches from a source that is slow by its own limit when there is no other', async () => {
    ground.content = new FakeContent([3 * pieceBytes]);
    const slow = ground.peer();
    slow.fragmentRate = 10_000;
    const puller = begin();
    await ground.finish(puller, 8 * minuteMs);
    assert.equal(puller.observer.receivedBytes, ground.content.sizeBytes, 'nothing was in vain');
    assert.deepEqual([puller.observer.liars, puller.observer.waits], [[], []]);
  });

  it('leaves a source whose hours close for the next one, and comes back to it (PULL-7)', async () => {
    const first = ground.peer({ bytesPerSecond: 2e6 });
    const second = ground.peer({ rank: 2, bytesPerSecond: 1e6 });
    const puller = begin();
    await ground.until(() => first.link.sentBytes > 2_000_000, minuteMs);
    first.isClosed = true;
    first.changed();
    const before = first.link.sentBytes;
    await ground.until(() => second.link.sentBytes > 2_000_000, minuteMs);
    assert.ok(first.link.sentBytes - before <= 8 * pieceBytes);
    first.isClosed = false;
    first.changed();
    const reopenedMs = ground.clock.monotonicMs();
    const since = first.link.sentBytes;
    await ground.until(() => first.link.sentBytes > since, 5_000);
    assert.ok(ground.clock.monotonicMs() - reopenedMs < 5_000);
    await ground.finish(puller);
    assert.deepEqual([puller.observer.liars, puller.observer.waits], [[], []]);
  });

  it('waits for the hours of its only source, says so, and goes on at once (PULL-7)', async () => {
    const one = ground.peer();
    one.isClosed = true;
    const puller = begin();
    await ground.until(() => puller.observer.waits.length > 0, minuteMs);
    one.isClosed = false;
    await ground.finish(puller, 15_000);
    const [reason] = puller.observer.errors;
    assert.match(reason?.message ?? '', /PS1DP1 serves nothing of this priority at this hour/);
    assert.deepEqual(puller.observer.liars, []);
  });

  it('sets a source aside that sends fragments of nothing, or of something else (SEC-4)', async () => {
    const liars = [
      (data: Buffer) => data.subarray(0, 10),
      (data: Buffer) => Buffer.alloc(data.length, 0xff),
    ];
    for (const spoil of liars) {
      await using other = new DownloadGround();
      other.content = new FakeContent([3 * pieceBytes]);
      const bad = other.peer();
      bad.fragmentRate = 1e6;
      bad.spoilFragment = spoil;
      other.peer({ rank: 2 });
      const puller = other.start();
      await other.finish(puller);
      assert.deepEqual(puller.observer.liars, [bad.source.address]);
    }
  });
});
