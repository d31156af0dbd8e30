import assert from 'node:assert/strict';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { testSendRequest } from '../../shared/testing/test-send-request.ts';
import { FileTransfer } from './file-transfer.ts';
import { LinkAllowance } from './link-allowance.ts';
import { SendProgress } from './send-progress.ts';
import { type FakeLinkOptions, FakeSite } from './testing/fake-link.ts';

const mib = 1024 * 1024;
const config = { offerDeadlineMs: 60_000, stallMs: 120_000 };
const bytes = Buffer.alloc(mib);
/** A file of any length, which costs nothing. */
const parts = { read: async (_offset: number, length: number) => bytes.subarray(0, length) };

class Transfer {
  readonly clock = new FakeClock();
  readonly allowance = new LinkAllowance(16 * mib);
  readonly site: FakeSite;
  readonly request;

  constructor(fileBytes: number, link: Omit<FakeLinkOptions, 'clock'> = {}) {
    this.site = new FakeSite({ ...link, clock: this.clock });
    const file = { fileHash: 'ab'.repeat(32), fileBytes };
    this.request = testSendRequest({ file, remainingBytes: fileBytes });
  }

  /** One try, over its link in simulated time. */
  async run(signal = new AbortController().signal): Promise<unknown> {
    const { clock, allowance, request } = this;
    const monotonicMs = () => clock.monotonicMs();
    const progress = new SendProgress({ request, monotonicMs, onChange: () => {} });
    const needs = { channel: this.site.channel(), clock, allowance, progress };
    let outcome: unknown = 'running';
    const ended = new FileTransfer(needs, config, request).run(parts, signal).then(
      () => {
        outcome = 'sent';
      },
      (error) => {
        outcome = error;
      },
    );
    while (outcome === 'running') await clock.advance(10);
    await ended;
    return outcome;
  }

  get heldBytes(): number {
    return this.site.held.get(this.request.file.fileHash) ?? 0;
  }
}

describe('file transfer', () => {
  it('sends a file once, and nothing of one that is there', async () => {
    const transfer = new Transfer(10 * mib + 7);
    assert.equal(await transfer.run(), 'sent');
    assert.equal(transfer.site.wireBytes, 10 * mib + 7);
    assert.equal(await transfer.run(), 'sent');
    assert.equal(transfer.site.wireBytes, 10 * mib + 7);
    assert.deepEqual(transfer.site.asked, ['offer', 'put', 'offer']);
  });

  it('goes on from the byte the receiver names (REP-5)', async () => {
    const transfer = new Transfer(10 * mib);
    transfer.site.held.set(transfer.request.file.fileHash, 7 * mib + 3);
    assert.equal(await transfer.run(), 'sent');
    assert.equal(transfer.site.wireBytes, 3 * mib - 3);
  });

  for (const [name, link] of [
    ['near', { bytesPerMs: 100_000, roundTripMs: 1 }],
    ['thin', { bytesPerMs: 2_000, roundTripMs: 20 }],
    ['fast and far', { bytesPerMs: 50_000, roundTripMs: 100 }],
  ] as const) {
    it(`sends 1 GiB over a ${name} link that is cut 20 times with at most 1.02 of it (REP-5)`, async function () {
      this.timeout(60_000);
      const transfer = new Transfer(1024 * mib, link);
      for (let cut = 1; cut <= 20; cut++) transfer.site.cutsAtBytes.push(cut * 48 * mib + cut);
      let cutCount = 0;
      while ((await transfer.run()) !== 'sent') cutCount += 1;
      assert.equal(cutCount, 20);
      assert.equal(transfer.heldBytes, 1024 * mib);
      const share = transfer.site.wireBytes / (1024 * mib);
      assert.ok(share <= 1.02, `${share} of the file was sent`);
    });
  }

  it('has at most a mebibyte on its way on a thin link', async () => {
    const transfer = new Transfer(64 * mib, { bytesPerMs: 1_000, roundTripMs: 10 });
    assert.equal(await transfer.run(), 'sent');
    assert.ok(transfer.site.inFlightMax <= mib, `${transfer.site.inFlightMax} bytes`);
  });

  it('ends when the receiver takes nothing for long, and not while it takes little', async () => {
    const transfer = new Transfer(8 * mib);
    transfer.site.isSilent = true;
    const failure = await transfer.run();
    assert.ok(isErrorWithCode(failure, 'PEER_FAILED'), String(failure));
    assert.match(failure.message, /took nothing for 120000 ms/);
    const slow = new Transfer(8 * mib, { bytesPerMs: 3 });
    assert.equal(await slow.run(), 'sent');
  });

  it('ends early when it is aborted', async () => {
    const transfer = new Transfer(8 * mib);
    const controller = new AbortController();
    transfer.site.isSilent = true;
    const ended = transfer.run(controller.signal);
    controller.abort();
    assert.notEqual(await ended, 'sent');
    assert.equal(transfer.site.openCalls, 0);
  });

  it('believes no receiver that has more than it was sent', async () => {
    const transfer = new Transfer(8 * mib);
    transfer.site.held.set(transfer.request.file.fileHash, 9 * mib);
    const failure = await transfer.run();
    assert.ok(isErrorWithCode(failure, 'PEER_FAILED'));
    assert.equal(transfer.site.wireBytes, 0);
  });
});
