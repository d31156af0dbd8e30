import assert from 'node:assert/strict';
import { pieceBytes } from '../../domain/content.ts';
import type { PieceSet } from '../../domain/piece-set.ts';
import { FakeClock } from '../../testing/fake-clock.ts';
import type { PackageDownloadConfig } from '../package-download.ts';
import { FakeContent } from './fake-content.ts';
import { type FakeLink, FakeNetwork } from './fake-network.ts';
import { type Answer, FakePeer } from './fake-peer.ts';
import { FakePuller } from './fake-puller.ts';

export const minuteMs = 60_000;

/** A content, who has it, and who downloads it, over a network and a time of their own. */
export class DownloadGround implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly network = new FakeNetwork(this.clock);
  content = new FakeContent([40 * pieceBytes + 5, ...Array(30).fill(50_000), 0, 2 * pieceBytes]);
  readonly peers: FakePeer[] = [];
  readonly pullers: FakePuller[] = [];
  readonly running: Promise<void>[] = [];
  readonly #over = new AbortController();

  constructor() {
    void this.network.run(this.#over.signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const puller of this.pullers) puller.stop();
    await this.clock.advance(1);
    await Promise.all(this.running);
    this.#over.abort();
  }

  /** One more source, which holds everything unless told otherwise. */
  peer(options: { rank?: number; bytesPerSecond?: number; units?: PieceSet } = {}): FakePeer {
    const name = `PS1DP${this.peers.length + 1}`;
    const one = new FakePeer(this, { name, units: this.content.all(), ...options });
    this.peers.push(one);
    return one;
  }

  /** A download from all peers there are now. */
  start(config: Partial<PackageDownloadConfig> = {}, link?: FakeLink): FakePuller {
    const { clock, content, peers } = this;
    const puller = new FakePuller(clock, content, { peers, ...(link && { link }) });
    this.pullers.push(puller);
    this.running.push(puller.start({ config }));
    return puller;
  }

  async until(isSo: () => boolean, limitMs: number, stepMs = 50): Promise<void> {
    const endMs = this.clock.monotonicMs() + limitMs;
    while (!isSo()) {
      for (const { failure } of this.pullers) if (failure) throw failure;
      assert.ok(this.clock.monotonicMs() < endMs, `it took more than ${limitMs} ms`);
      await this.clock.advance(stepMs);
    }
  }

  /** @returns how long it took, in milliseconds */
  async finish(puller: FakePuller, limitMs = minuteMs): Promise<number> {
    const startMs = this.clock.monotonicMs();
    await this.until(() => puller.doneAtMs !== undefined, limitMs);
    assert.ok(puller.receiver.held.isComplete);
    return (puller.doneAtMs ?? 0) - startMs;
  }

  /** How long it takes from healthy sources like these. */
  async healthyMs(): Promise<number> {
    const puller = this.start();
    const ms = await this.finish(puller);
    this.pullers.length = 0;
    return ms;
  }
}

/** From now on a source says this instead of what it should. */
export function spoil(one: FakePeer, change: Answer): void {
  one.answer = change;
}
