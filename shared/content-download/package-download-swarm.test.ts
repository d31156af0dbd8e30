import assert from 'node:assert/strict';
import { pieceBytes } from '../domain/content.ts';
import { toIdentityUri } from '../domain/peer-identity.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { DownloadGround } from './testing/download-ground.ts';
import { FakeContent } from './testing/fake-content.ts';
import { FakeNetwork } from './testing/fake-network.ts';
import { FakePeer } from './testing/fake-peer.ts';
import { FakePuller } from './testing/fake-puller.ts';

const capBytesPerSecond = 10e6;

/** Pull DPs that fetch at once, each of them a source for those that name it. */
class Swarm {
  readonly clock = new FakeClock();
  readonly network = new FakeNetwork(this.clock);
  readonly content: FakeContent;
  readonly first: FakePeer;
  readonly peers: FakePeer[] = [];
  readonly pullers: FakePuller[] = [];
  readonly #over = new AbortController();

  constructor(content: FakeContent) {
    this.content = content;
    const { clock, network } = this;
    const options = { rank: 2, bytesPerSecond: capBytesPerSecond, units: content.all() };
    this.first = new FakePeer({ content, network, clock }, { name: 'PS1DP0', ...options });
    void network.run(this.#over.signal);
  }

  add(count: number, bytesPerSecond = capBytesPerSecond): void {
    const { clock, network, content } = this;
    for (let index = 1; index <= count; index++) {
      const options = { name: `PS1DP${index}`, rank: 1, bytesPerSecond };
      this.peers.push(new FakePeer({ content, network, clock }, options));
    }
  }

  pull(peer: FakePeer, sources: readonly FakePeer[]): FakePuller {
    const peers = [this.first, ...this.peers];
    const named = sources.map(({ source }) => source);
    const self = toIdentityUri(peer.source.identity);
    const options = { peers, link: peer.link, sources: named, self };
    const puller = new FakePuller(this.clock, this.content, options);
    puller.onEntry = ({ units }) => {
      peer.units = units;
      peer.changed();
    };
    puller.onGrown = () => peer.changed();
    this.pullers.push(puller);
    return puller;
  }

  /** @returns milliseconds until the last one was done */
  async run(seed: number, limitMs: number): Promise<number> {
    const runs = this.pullers.map((puller, index) => puller.start({ seed: seed * 100 + index }));
    while (this.pullers.some(({ doneAtMs }) => doneAtMs === undefined)) {
      for (const { failure } of this.pullers) if (failure) throw failure;
      if (this.clock.monotonicMs() > limitMs) break;
      await this.clock.advance(100);
    }
    for (const puller of this.pullers) puller.stop();
    await this.clock.advance(1);
    await Promise.all(runs);
    this.#over.abort();
    const times = this.pullers.map(({ doneAtMs }) => doneAtMs ?? Number.POSITIVE_INFINITY);
    return Math.max(...times);
  }
}

describe('package downloads that feed each other (PULL-11)', () => {
  it('leave nothing for long to one who never gets it', async () => {
    for (let seed = 1; seed <= 4; seed++) {
      await using ground = new DownloadGround();
      ground.content = new FakeContent([21 * pieceBytes]);
      const half = ground.peer();
      ground.peer({ bytesPerSecond: 2e6 });
      // It says that it holds all, and has every other piece: as one who is getting more himself.
      half.answer = (response) =>
        (response.piece?.pieceIndex ?? 0) % 2 === 1 ? response : { body: 'notHere', notHere: {} };
      const { clock, content, peers } = ground;
      const puller = new FakePuller(clock, content, { peers, self: 'waybill://dp/PS1DP9' });
      ground.pullers.push(puller);
      ground.running.push(puller.start({ seed }));
      const ms = await ground.finish(puller, 2 * 60_000);
      assert.ok(ms < 20_000, `seed ${seed}: ${ms} ms`);
    }
  });

  for (const seed of [1, 2]) {
    it(`are done within 1.5 of the ideal, and the first source sends two copies at most (${seed})`, async () => {
      const content = new FakeContent([200 * pieceBytes, ...Array(300).fill(20_000)]);
      const swarm = new Swarm(content);
      swarm.add(16);
      for (const peer of swarm.peers) {
        const others = swarm.peers.filter((one) => one !== peer);
        swarm.pull(peer, [...others, swarm.first]);
      }
      const idealMs = (content.sizeBytes / capBytesPerSecond) * 1_000;
      const ms = await swarm.run(seed, 4 * idealMs);
      const copies = swarm.first.link.sentBytes / content.sizeBytes;
      assert.ok(ms <= 1.5 * idealMs, `${ms} ms, ideal ${idealMs}`);
      assert.ok(copies <= 2, `${copies} copies`);
    });
  }

  it('fill a chain at the pace of its slowest link', async () => {
    const content = new FakeContent([100 * pieceBytes]);
    const swarm = new Swarm(content);
    swarm.add(1);
    swarm.add(1, capBytesPerSecond / 2);
    swarm.add(1);
    const [p1, p2, p3] = swarm.peers as [FakePeer, FakePeer, FakePeer];
    swarm.pull(p1, [swarm.first]);
    swarm.pull(p2, [p1]);
    swarm.pull(p3, [p2]);
    const slowestMs = (content.sizeBytes / (capBytesPerSecond / 2)) * 1_000;
    const ms = await swarm.run(1, 4 * slowestMs);
    assert.ok(ms <= 1.2 * slowestMs, `${ms} ms, slowest link ${slowestMs}`);
    const sent = swarm.first.link.sentBytes / content.sizeBytes;
    assert.ok(sent < 1.05, `the first source sent ${sent} copies`);
  });
}).timeout(60_000);
