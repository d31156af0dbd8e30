import assert from 'node:assert/strict';
import { PackageDownload } from '../../shared/content-download/package-download.ts';
import type { ContentChannel } from '../../shared/content-download/source-connection.ts';
import { SourceSet } from '../../shared/content-download/source-set.ts';
import { FakeContent, packageId } from '../../shared/content-download/testing/fake-content.ts';
import { RecordedDownload } from '../../shared/content-download/testing/fake-puller.ts';
import { FakeReceiver } from '../../shared/content-download/testing/fake-receiver.ts';
import { pieceBytes } from '../../shared/domain/content.ts';
import type { PullSource } from '../../shared/domain/pull-source.ts';
import type { Conversation } from '../../shared/rpc/conversation.ts';
import { systemClock } from '../../shared/runtime/clock.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { aborted, TrustCircle } from './trust-circle.ts';

const content = new FakeContent([24 * pieceBytes, ...Array(600).fill(100)]);
const piece = Buffer.alloc(pieceBytes);
const fileHash = Buffer.from(content.files[0]?.hash ?? '', 'hex');

type Served = Partial<Conversation<'Content'>>;

/** Serves all of the content. */
function answers(change: Served = {}): Served {
  return {
    getManifest: async function* () {
      yield { chunk: Buffer.alloc(content.descriptor.manifestBytes) };
    },
    watchHoldings: async function* (_request, { signal }) {
      yield { complete: true };
      await aborted(signal);
    },
    fetch: async function* (requests) {
      for await (const { piece: asked, files } of requests) {
        if (asked) yield { piece: { fileHash, pieceIndex: asked.pieceIndex, data: piece } };
        else {
          const found = files?.files.map(({ fileHash, fileBytes }) => ({
            fileHash,
            data: Buffer.alloc(Number(fileBytes)),
          }));
          yield { files: { files: found ?? [] } };
        }
      }
    },
    ...change,
  };
}

/** Answers the first request without end. */
const endless: Served['fetch'] = async function* (requests) {
  for await (const _ of requests) {
    for (;;) yield { piece: { fileHash, pieceIndex: 0, data: piece } };
  }
};
/** More bytes than a piece has. */
const tooLong: Served['fetch'] = async function* (requests) {
  const data = Buffer.alloc(pieceBytes + 1_000);
  for await (const { piece: asked } of requests) {
    yield { piece: { fileHash, pieceIndex: asked?.pieceIndex ?? 0, data } };
  }
};

describe('a package download over mutual TLS', () => {
  let circle: TrustCircle;
  let observer: RecordedDownload;
  let receiver: FakeReceiver;

  beforeEach(async () => {
    circle = await TrustCircle.create();
    observer = new RecordedDownload(new FakeClock());
    receiver = new FakeReceiver(content);
    receiver.hasManifest = false;
  });
  afterEach(() => circle[Symbol.asyncDispose]());

  const source = (address: string, rank: number): PullSource => ({
    identity: { kind: 'dp', dpId: rank === 1 ? 'PS1DP1' : 'PS1DP2' },
    address,
    rank,
  });

  async function download(sources: readonly PullSource[]): Promise<void> {
    const channels = new Map<string, ContentChannel>();
    for (const { address } of sources) {
      channels.set(address, await circle.channel('Content', address));
    }
    const { version } = content;
    const action = { packageId, jobSerial: 1, version, redistribute: false };
    const job = new PackageDownload({
      receiver,
      library: { getPackage: async () => undefined },
      arriving: { add: () => () => {}, changed: () => {} },
      connect: ({ address }) => channels.get(address) ?? assert.fail(address),
      clock: systemClock,
      random: Math.random,
      logger: circle.log.logger,
    });
    const { signal } = new AbortController();
    await job.run({ action, sources: new SourceSet(sources), signal, observer });
    assert.ok(receiver.held.isComplete);
  }

  it('brings everything', async () => {
    const server = await circle.serve('Content', answers());
    await download([source(server.address, 1)]);
    assert.equal(observer.receivedBytes, content.sizeBytes);
  });

  it('names who answers without end, or too long, and goes on with another (PULL-7)', async () => {
    for (const fetch of [endless, tooLong]) {
      receiver = new FakeReceiver(content);
      observer = new RecordedDownload(new FakeClock());
      const liar = await circle.serve('Content', answers({ fetch: fetch as never }));
      const honest = await circle.serve('Content', answers());
      await download([source(liar.address, 1), source(honest.address, 2)]);
      assert.deepEqual(observer.liars, [liar.address]);
    }
  });

  it('goes on when a source that went away is back (PULL-7)', async () => {
    let count = 0;
    const first = await circle.serve(
      'Content',
      answers({
        fetch: async function* (requests, context) {
          for await (const one of answers().fetch?.(requests, context) ?? []) {
            if (++count === 8) void first.stop();
            if (count >= 8) return;
            yield one;
          }
        },
      }),
      { shutdownGraceMs: 10 },
    );
    const { address } = first;
    const running = download([source(address, 1)]);
    while (count < 8) await systemClock.sleep(20);
    await first.stop();
    await circle.serve('Content', answers(), { address });
    await running;
    assert.deepEqual(observer.liars, []);
  });
});
