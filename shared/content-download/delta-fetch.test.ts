import assert from 'node:assert/strict';
import { pieceBytes } from '../domain/content.ts';
import type { Delta } from '../domain/delta.ts';
import { WaybillError } from '../domain/errors.ts';
import { PieceSet } from '../domain/piece-set.ts';
import type { PackageAction } from '../package-receiver/package-actions.ts';
import type { SmallFile } from '../package-receiver/packed-files.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import type { DeltaReceiver } from './delta-fetch.ts';
import { FakeContent } from './testing/fake-content.ts';
import { FakeNetwork } from './testing/fake-network.ts';
import { FakePeer } from './testing/fake-peer.ts';
import { FakePuller } from './testing/fake-puller.ts';
import { FakeReceiver } from './testing/fake-receiver.ts';

const deltaHash = 'd'.repeat(64);
const deltaBytes = 1_000;

/** Makes the first file of the content from a delta, once it has it. */
class PatchingReceiver extends FakeReceiver implements DeltaReceiver {
  readonly offered: Delta[] = [];
  hasDelta = false;
  isDeltaWrong = false;

  async offerDeltas(_action: PackageAction, deltas: readonly Delta[]) {
    this.offered.push(...deltas);
    return deltas.map((delta) => ({ delta, piecesHeld: new PieceSet(0) }));
  }

  async applyDeltas() {
    const [file] = this.content.files;
    if (!this.hasDelta || !file) return { madeFiles: [] };
    for (let index = 0; index < file.sizeBytes / pieceBytes; index++) this.held.add(index);
    return { madeFiles: [file.hash] };
  }

  override async receiveSmallFiles(
    action: PackageAction,
    files: readonly SmallFile[],
  ): Promise<void> {
    if (files[0]?.hash !== deltaHash) return super.receiveSmallFiles(action, files);
    if (this.isDeltaWrong) {
      const facts = { expectedHash: deltaHash, actualHash: 'e'.repeat(64) };
      throw new WaybillError({ code: 'FILE_HASH_MISMATCH', ...facts });
    }
    this.hasDelta = true;
  }
}

describe('deltas in a package download (PULL-6)', () => {
  const clock = new FakeClock();
  const network = new FakeNetwork(clock);
  const over = new AbortController();
  const content = new FakeContent([8 * pieceBytes, 500]);
  let peer: FakePeer;
  let puller: FakePuller;
  let receiver: PatchingReceiver;

  before(() => {
    void network.run(over.signal);
  });
  after(async () => {
    over.abort();
    await clock.advance(1);
  });

  beforeEach(() => {
    peer = new FakePeer({ content, network, clock }, { name: 'PS1DP1', units: content.all() });
    peer.extraFiles.set(deltaHash, deltaBytes);
    const hash = (text: string) => Buffer.from(text, 'hex');
    peer.deltas = [
      {
        fileHash: hash(content.files[0]?.hash ?? ''),
        fileBytes: String(8 * pieceBytes),
        baseHash: hash('b'.repeat(64)),
        baseBytes: '900',
        deltaHash: hash(deltaHash),
        deltaBytes: String(deltaBytes),
        deltaPieceHashes: Buffer.alloc(0),
      },
    ];
    puller = new FakePuller(clock, content, { peers: [peer] });
    puller.hasOlder = true;
    receiver = new PatchingReceiver(content);
    puller.receiver = receiver;
  });

  async function run(): Promise<void> {
    const running = puller.start();
    await clock.advance(60_000);
    puller.stop();
    await clock.advance(1);
    await running;
    assert.equal(puller.failure, undefined);
    assert.ok(receiver.held.isComplete);
  }

  it('bring a file with few bytes', async () => {
    await run();
    assert.equal(puller.observer.receivedBytes, deltaBytes + 500);
    assert.equal(puller.observer.doneBytes, deltaBytes + 500);
    assert.equal(puller.observer.expectedBytes, deltaBytes + 500);
    assert.deepEqual(
      puller.entry?.deltas.used.map((delta) => delta.deltaHash),
      [deltaHash],
    );
  });

  describe('that a source does not know yet', () => {
    let areKnown = () => {};

    beforeEach(() => {
      peer.deltasKnown = new Promise((resolve) => {
        areKnown = resolve;
      });
    });

    /** The source has what it could make with its delta. */
    function peerIsWhole(): void {
      for (let unit = 0; unit < 9; unit++) peer.units?.add(unit);
      peer.changed();
    }

    it('are used when it does, in the midst of the download', async () => {
      peer.units = new PieceSet(9);
      peer.units.add(8);
      const running = puller.start();
      await clock.advance(20_000);
      assert.equal(puller.observer.receivedBytes, 500, 'what else there is was fetched meanwhile');
      assert.equal(puller.entry?.deltas.areKnown, false);
      areKnown();
      await clock.advance(1);
      peerIsWhole();
      await clock.advance(40_000);
      assert.equal(puller.observer.receivedBytes, deltaBytes + 500);
      assert.equal(puller.entry?.deltas.areKnown, true);
      assert.equal(puller.entry?.deltas.used.length, 1);
      puller.stop();
      await clock.advance(1);
      await running;
      assert.ok(receiver.held.isComplete);
    });

    it('hold nobody up, be there none in the end, or be they never known (PULL-7)', async () => {
      await run();
      assert.equal(puller.observer.receivedBytes, content.sizeBytes);
      assert.equal(puller.entry?.deltas.areKnown, true);
    });

    it('are none when it says so later, and those who ask here are told', async () => {
      peer.deltas = [];
      peer.units = new PieceSet(9);
      const running = puller.start();
      await clock.advance(1_000);
      areKnown();
      await clock.advance(1);
      assert.equal(puller.entry?.deltas.areKnown, true);
      peerIsWhole();
      await clock.advance(60_000);
      puller.stop();
      await clock.advance(1);
      await running;
      assert.equal(puller.observer.receivedBytes, content.sizeBytes);
    });
  });

  it('are not asked for where no older version is', async () => {
    puller.hasOlder = false;
    await run();
    assert.deepEqual(receiver.offered, []);
    assert.equal(puller.observer.receivedBytes, content.sizeBytes);
  });

  it('are advice: where nobody has the delta, the file comes whole', async () => {
    peer.extraFiles.clear();
    await run();
    assert.equal(puller.observer.receivedBytes, content.sizeBytes);
    assert.equal(puller.observer.expectedBytes, content.sizeBytes);
    assert.deepEqual(puller.observer.waits, []);
    assert.deepEqual(puller.entry?.deltas.used, []);
  });

  it('blame nobody for bytes that another one said what they must be', async () => {
    receiver.isDeltaWrong = true;
    await run();
    assert.deepEqual(puller.observer.liars, []);
    assert.equal(puller.observer.receivedBytes, deltaBytes + content.sizeBytes);
  });

  it('are not taken from a list that is none', async () => {
    peer.deltas = [{ ...peer.deltas[0], fileHash: Buffer.alloc(31) }];
    await run();
    assert.deepEqual(receiver.offered, []);
  });

  it('hold up nothing when nobody brings what he listed (PULL-7)', async () => {
    peer.silentFiles.add(deltaHash);
    await run();
    assert.equal(puller.observer.receivedBytes, content.sizeBytes);
  });

  it('are not kept in memory without a limit (SEC-4)', async () => {
    const many = new FakeContent(Array.from({ length: 40 }, () => 500));
    peer = new FakePeer({ content: many, network, clock }, { name: 'PS1DP1', units: many.all() });
    const [bytes, hashes] = [32_000 * pieceBytes, Buffer.alloc(32 * 32_000)];
    const hash = Buffer.alloc(32, 1);
    const names = { fileHash: hash, baseHash: hash, deltaHash: hash };
    const sizes = { fileBytes: `${2 * bytes}`, baseBytes: '900', deltaBytes: `${bytes}` };
    const huge = { ...names, ...sizes, deltaPieceHashes: hashes };
    peer.deltas = Array.from({ length: 39 }, () => huge);
    puller = new FakePuller(clock, many, { peers: [peer] });
    puller.hasOlder = true;
    receiver = new PatchingReceiver(many);
    puller.receiver = receiver;
    await run();
    assert.deepEqual(receiver.offered, []);
  });
});
