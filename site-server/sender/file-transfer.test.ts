import assert from 'node:assert/strict';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { testSendRequest } from '../../shared/testing/test-send-request.ts';
import { TransferArbiter } from '../../shared/transfer-arbiter/transfer-arbiter.ts';
import { FileTransfer } from './file-transfer.ts';
import { LinkAllowance } from './link-allowance.ts';
import { SendProgress } from './send-progress.ts';
import { type FakeLinkOptions, FakeSite } from './testing/fake-link.ts';

const mib = 1024 * 1024;
const config = { offerDeadlineMs: 60_000, stallMs: 120_000, quietMs: 40_000, leaveMs: 2_000 };
const bytes = Buffer.alloc(mib);
/** A file of any length, which costs nothing. */
const parts = { read: async (_offset: number, length: number) => bytes.subarray(0, length) };

class Transfer {
  readonly clock = new FakeClock();
  readonly allowance = new LinkAllowance(16 * mib);
  readonly arbiter = new TransferArbiter(this.clock);
  readonly site: FakeSite;
  readonly request;

  constructor(fileBytes: number, link: Omit<FakeLinkOptions, 'clock'> = {}) {
    this.site = new FakeSite({ ...link, clock: this.clock });
    const file = { fileHash: 'ab'.repeat(32), fileBytes };
    this.request = testSendRequest({ file, remainingBytes: fileBytes });
  }

  /** One try, over its link in simulated time. */
  async run(
    signal = new AbortController().signal,
    pause = new AbortController().signal,
  ): Promise<unknown> {
    const { clock, allowance, request } = this;
    const monotonicMs = () => clock.monotonicMs();
    const progress = new SendProgress({ request, monotonicMs, onChange: () => {} });
    const permit = this.arbiter.open(['route/PS1'], request.priority);
    const needs = { channel: this.site.channel(), clock, allowance, progress, permit };
    let outcome: unknown = 'running';
    const ended = new FileTransfer(needs, config, request).run(parts, { signal, pause }).then(
      () => {
        outcome = 'sent';
      },
      (error) => {
        outcome = error;
      },
    );
    while (outcome === 'running') await clock.advance(10);
    await ended;
    permit.close();
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

  it('never sends more than its route allows, nor much less (REP-4, PTM-6)', async () => {
    const transfer = new Transfer(8 * mib);
    const bytesPerSecond = 1_000_000;
    transfer.arbiter.setControls('route/PS1', { limit: { kind: 'rate', bytesPerSecond } });
    const beganMs = transfer.clock.monotonicMs();
    assert.equal(await transfer.run(), 'sent');
    const seconds = (transfer.clock.monotonicMs() - beganMs) / 1000;
    const expected = (8 * mib) / bytesPerSecond;
    assert.ok(Math.abs(seconds / expected - 1) < 0.05, `${seconds} s, not ${expected} s`);
    assert.deepEqual(transfer.site.asked, ['offer', 'put']);
  });

  it('is no stall of the receiver when little may leave, and its call is left only then (REP-4)', async () => {
    const transfer = new Transfer(20 * 4096);
    const pulse = { kind: 'pulse', blockBytes: 4096, delayMs: 60_000 } as const;
    transfer.arbiter.setControls('route/PS1', { limit: pulse });
    const beganMs = transfer.clock.monotonicMs();
    assert.equal(await transfer.run(), 'sent');
    const minutes = (transfer.clock.monotonicMs() - beganMs) / 60_000;
    assert.ok(minutes >= 19 && minutes < 20, `${minutes} minutes`);
    assert.equal(transfer.site.wireBytes, 20 * 4096);
    assert.equal(transfer.site.openCalls, 0);
    const slow = new Transfer(32 * 4096);
    const limit = { kind: 'rate', bytesPerSecond: 1024 } as const;
    slow.arbiter.setControls('route/PS1', { limit });
    assert.equal(await slow.run(), 'sent');
    assert.deepEqual(slow.site.asked, ['offer', 'put'], 'one call, a part every few seconds');
  });

  it('holds no place at the receiver while one of higher priority keeps it waiting', async () => {
    const transfer = new Transfer(mib);
    const urgent = transfer.arbiter.open(['route/PS1'], 1);
    const controller = new AbortController();
    let outcome: unknown = 'running';
    const ended = transfer.run(controller.signal).then((result) => {
      outcome = result;
    });
    const untilMs = transfer.clock.monotonicMs() + 300_000;
    while (transfer.clock.monotonicMs() < untilMs) {
      await urgent.takePart(1, controller.signal);
      await transfer.clock.advance(90);
    }
    assert.equal(outcome, 'running');
    assert.equal(transfer.site.openCalls, 0);
    urgent.close();
    await ended;
    assert.equal(outcome, 'sent');
  });

  it('makes way between two parts: what is on its way arrives, and is not sent again', async () => {
    const transfer = new Transfer(8 * mib, { bytesPerMs: 1_000, roundTripMs: 20 });
    const pause = new AbortController();
    const never = new AbortController().signal;
    const ended = transfer.run(never, pause.signal);
    while (transfer.heldBytes < 2 * mib) await transfer.clock.advance(10);
    pause.abort();
    const atMs = transfer.clock.monotonicMs();
    assert.ok(isAbortError(await ended));
    assert.ok(transfer.clock.monotonicMs() - atMs < 2_000);
    assert.equal(transfer.site.openCalls, 0);
    assert.equal(transfer.site.wireBytes, transfer.heldBytes);
    assert.ok(transfer.heldBytes < 4 * mib);
    assert.equal(await transfer.run(), 'sent');
    assert.equal(transfer.site.wireBytes, 8 * mib, 'no byte twice');
  });

  it('makes way soon though the receiver is silent', async () => {
    const transfer = new Transfer(8 * mib);
    transfer.site.isSilent = true;
    const pause = new AbortController();
    const ended = transfer.run(new AbortController().signal, pause.signal);
    while (transfer.site.openCalls === 0) await transfer.clock.advance(10);
    pause.abort();
    const atMs = transfer.clock.monotonicMs();
    assert.ok(isAbortError(await ended));
    assert.ok(transfer.clock.monotonicMs() - atMs <= 3_000);
  });

  it('believes no receiver that has more than it was sent', async () => {
    const transfer = new Transfer(8 * mib);
    transfer.site.held.set(transfer.request.file.fileHash, 9 * mib);
    const failure = await transfer.run();
    assert.ok(isErrorWithCode(failure, 'PEER_FAILED'));
    assert.equal(transfer.site.wireBytes, 0);
  });
});
