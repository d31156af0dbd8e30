import assert from 'node:assert/strict';
import { type FileHandle, mkdir, open, readFile, stat, writeFile } from 'node:fs/promises';
import { ContentHash } from '../../shared/content-library/content-hash.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { PeerIdentity } from '../../shared/domain/peer-identity.ts';
import type { SendRequest } from '../../shared/domain/send-request.ts';
import type { Conversation } from '../../shared/rpc/conversation.ts';
import { systemClock } from '../../shared/runtime/clock.ts';
import { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { noiseOf } from '../../shared/testing/noise.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { testMiniJob } from '../../shared/testing/test-send-request.ts';
import { TransferArbiter } from '../../shared/transfer-arbiter/transfer-arbiter.ts';
import { openSendRequestSerials } from '../../site-server/distribution-manager/site-counters.ts';
import { TransferControlRows } from '../../site-server/hierarchy-manager/transfer-control-rows.ts';
import { SendRequestTable } from '../../site-server/scheduler/send-request-table.ts';
import { defaultSenderConfig, Sender } from '../../site-server/sender/sender.ts';
import { SignedInstructions } from '../../site-server/sender/signed-instructions.ts';
import { SiteConnections } from '../../site-server/sender/site-connections.ts';
import { testSigning } from '../../site-server/sender/testing/test-sending.ts';
import { StatusManager } from '../../site-server/status-manager/status-manager.ts';
import { DelayingProxy } from '../delaying-proxy.ts';
import { TrustCircle } from './trust-circle.ts';

const mib = 1024 * 1024;
const sendingSite: PeerIdentity = { kind: 'site', siteCode: 'CS1' };
const receivingSite: PeerIdentity = { kind: 'site', siteCode: 'PS1' };

/** The receiving side, as simple as it can be: writes parts to a file, and says what it has. */
class Receiver {
  readonly path: string;
  instructionCount = 0;
  arrivedBytes = 0;
  putCount = 0;
  /** Called with each part once it is written; throws to end the call. */
  onPart: () => void = () => {};

  constructor(path: string) {
    this.path = path;
  }

  readonly answers: Pick<Conversation<'SiteTransfer'>, 'offerFile' | 'putFile' | 'putInstruction'> =
    {
      offerFile: async () => ({ heldBytes: String(await this.#held()) }),
      putFile: (requests) => this.#put(requests),
      putInstruction: async () => {
        this.instructionCount += 1;
        return {};
      },
    };

  async #held(): Promise<number> {
    return stat(this.path).then(
      ({ size }) => size,
      () => 0,
    );
  }

  async *#put(requests: Parameters<Conversation<'SiteTransfer'>['putFile']>[0]) {
    this.putCount += 1;
    let file: FileHandle | undefined;
    let [held, fileBytes] = [0, 0];
    try {
      for await (const part of requests) {
        if (part.file) {
          held = Number(part.offset);
          fileBytes = Number(part.file.fileBytes);
          file = await open(this.path, held === 0 ? 'w' : 'r+');
        }
        await file?.write(part.data, 0, part.data.length, held);
        held += part.data.length;
        this.arrivedBytes += part.data.length;
        this.onPart();
        yield { heldBytes: String(held), complete: held === fileBytes };
      }
    } finally {
      await file?.close();
    }
  }
}

/** A Sender over real connections, with one send request for a file of so many bytes. */
class Sending implements AsyncDisposable {
  readonly receiver: Receiver;
  readonly #endings: (() => Promise<unknown>)[] = [];
  readonly #directory: TemporaryDirectory;
  #requests: SendRequestTable | undefined;
  #listener = () => {};

  private constructor(directory: TemporaryDirectory) {
    this.#directory = directory;
    this.receiver = new Receiver(directory.join('received'));
  }

  static async start(fileBytes: number, delayMs = 0): Promise<Sending> {
    const directory = await TemporaryDirectory.create();
    const sending = new Sending(directory);
    sending.#use(directory);
    const circle = sending.#use(await TrustCircle.create());
    const credentials = await circle.credentials(receivingSite);
    const server = await circle.serve('SiteTransfer', sending.receiver.answers, { credentials });
    const proxy = sending.#use(await DelayingProxy.start(server.address, delayMs));
    await sending.#send(circle, delayMs > 0 ? proxy.address : server.address, fileBytes);
    return sending;
  }

  async #send(circle: TrustCircle, address: string, fileBytes: number): Promise<void> {
    const { logger } = circle.log;
    const { store } = await StateStore.open({ directory: this.#directory.join('db'), logger });
    this.#endings.push(() => store.close());
    const clock = systemClock;
    const siteCode = 'CS1';
    const counters = { store, clock, siteCode, isStoreDamaged: false };
    const serials = await openSendRequestSerials(counters);
    const status = await StatusManager.open({ store, clock, siteCode });
    const notifier = new ChangeNotifier({ store });
    const needs = { store, notifier, serials, status, clock, logger, siteCode };
    const requests = new SendRequestTable(needs);
    this.#requests = requests;
    const file = await this.#makeFile(fileBytes);
    const job = testMiniJob();
    await store.write([store.records(keySpaces.miniJobs).put(job.jobId, job)], { sync: false });
    const request = await requests.create(job.jobId, 'PS1');
    assert.ok(request);
    await requests.change(request.requestId, (one) => {
      return { ...one, file, remainingBytes: file.fileBytes };
    });
    const credentials = await circle.credentials(sendingSite);
    const connections = new SiteConnections({ credentials, clock });
    const randomBytes = (count: number) => Buffer.alloc(count, 7);
    const arbiter = new TransferArbiter(clock);
    const sender = new Sender(
      {
        ...{ store, requests, connections, clock, logger, random: Math.random },
        arbiter,
        transferControls: new TransferControlRows({ store, arbiter, siteCode }),
        directory: {
          own: { siteCode, kind: 'central-administration' },
          addressesOf: () => [address],
        },
        files: { pathOf: () => this.#directory.join('file'), isSound: async () => true },
        instructions: new SignedInstructions(
          { signing: testSigning, siteCode, clock, randomBytes },
          1e9,
        ),
        onConnected: (_siteCode, listener) => {
          this.#listener = listener;
          return () => {};
        },
        auditTrail: { record: () => {} },
        doesRefusalMend: () => false,
      },
      defaultSenderConfig,
    );
    this.#endings.push(() => connections.stop());
    this.#endings.push(() => sender.stop());
    await sender.start();
  }

  async #makeFile(fileBytes: number): Promise<SendRequest['file']> {
    const bytes = noiseOf(fileBytes, 1);
    await mkdir(this.#directory.path, { recursive: true });
    await writeFile(this.#directory.join('file'), bytes);
    return { fileHash: new ContentHash().update(bytes).digest(), fileBytes };
  }

  /** Resolves when the request has ended; whenever it waits, the site is said to be back. */
  ended(): Promise<SendRequest> {
    return new Promise((resolve) => {
      this.#requests?.onChanged((request) => {
        if (request.state === 'retrying') setImmediate(this.#listener);
        if (request.finishedAtMs > 0) resolve(request);
      });
    });
  }

  async isWhole(): Promise<boolean> {
    const [sent, received] = await Promise.all([
      readFile(this.#directory.join('file')),
      readFile(this.receiver.path),
    ]);
    return sent.equals(received);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#endings.toReversed()) await end();
  }

  #use<T extends AsyncDisposable>(disposable: T): T {
    this.#endings.push(async () => disposable[Symbol.asyncDispose]());
    return disposable;
  }
}

describe('sending to another site, over mutual TLS (REP-5)', () => {
  it('brings a file whole, and then its instruction', async () => {
    await using sending = await Sending.start(40 * mib + 3);
    const request = await sending.ended();
    assert.equal(request.state, 'complete');
    assert.equal(await sending.isWhole(), true);
    assert.equal(sending.receiver.arrivedBytes, 40 * mib + 3);
    assert.equal(sending.receiver.instructionCount, 1);
  });

  it('goes on where each broken call left off, and sends little twice', async () => {
    await using sending = await Sending.start(64 * mib);
    const { receiver } = sending;
    let nextBreak = 6 * mib;
    receiver.onPart = () => {
      if (receiver.arrivedBytes < nextBreak) return;
      nextBreak += 6 * mib;
      throw new WaybillError({ code: 'PEER_FAILED', peer: 'the test', reason: 'it breaks' });
    };
    const request = await sending.ended();
    assert.equal(request.state, 'complete');
    assert.equal(await sending.isWhole(), true);
    const breaks = receiver.putCount - 1;
    assert.ok(breaks >= 8, `${breaks} breaks`);
    // The first may cost what a fresh link may have on its way, each other one half a mebibyte.
    const twice = request.bytesSent - 64 * mib;
    assert.ok(twice <= 8 * mib + breaks * 0.5 * mib, `${twice} bytes were sent twice`);
  });

  it('fills a link with a round trip of 100 ms: it does not wait for each word', async () => {
    await using sending = await Sending.start(48 * mib, 50);
    const startMs = performance.now();
    const request = await sending.ended();
    const elapsedMs = performance.now() - startMs;
    assert.equal(request.state, 'complete');
    // Part by part it would take a round trip for each: 19 s; two at a time 9.6 s.
    assert.ok(elapsedMs < 9_000, `${elapsedMs} ms`);
  });
});
