import assert from 'node:assert/strict';
import { LinkAllowance } from './link-allowance.ts';
import { SendWindow } from './send-window.ts';

const mib = 1024 * 1024;

/** A link in simulated time: a rate, a round trip, and bytes that wait in front of it. */
interface Link {
  readonly bytesPerMs: number;
  readonly roundTripMs: number;
}

/** Sends so many bytes over a link as the Sender would. */
function send(link: Link, bytes: number, allowance = new LinkAllowance(16 * mib)) {
  const window = new SendWindow(allowance, 0);
  const answers: { readonly atMs: number; readonly heldBytes: number }[] = [];
  let [nowMs, freeAtMs, sentBytes, heldBytes, inFlightMax] = [0, 0, 0, 0, 0];
  while (heldBytes < bytes) {
    for (;;) {
      const part = Math.min(window.partBytes, bytes - sentBytes);
      if (part === 0 || !window.hasRoomFor(part)) break;
      window.sent(part, nowMs);
      sentBytes += part;
      freeAtMs = Math.max(freeAtMs, nowMs) + part / link.bytesPerMs;
      answers.push({ atMs: freeAtMs + link.roundTripMs, heldBytes: sentBytes });
      inFlightMax = Math.max(inFlightMax, window.inFlightBytes);
    }
    const answer = answers.shift();
    assert.ok(answer, 'something is always on its way');
    nowMs = answer.atMs;
    allowance.confirmed(answer.heldBytes - heldBytes);
    heldBytes = answer.heldBytes;
    window.confirmed(heldBytes, nowMs);
  }
  return { elapsedMs: nowMs, inFlightMax, window };
}

describe('send window', () => {
  it('keeps little on its way on a thin link, however long it sends', () => {
    for (const bytesPerMs of [10, 100, 1_000]) {
      const { inFlightMax, elapsedMs } = send({ bytesPerMs, roundTripMs: 10 }, 256 * mib);
      assert.ok(inFlightMax <= mib, `${inFlightMax} bytes at ${bytesPerMs} bytes/ms`);
      const best = (256 * mib) / bytesPerMs;
      assert.ok(elapsedMs < 1.05 * best, `${elapsedMs} ms; the link alone takes ${best}`);
    }
  });

  it('fills a link that is fast and long', () => {
    const link = { bytesPerMs: 50_000, roundTripMs: 100 };
    const { elapsedMs, inFlightMax } = send(link, 1024 * mib);
    const best = (1024 * mib) / link.bytesPerMs;
    assert.ok(elapsedMs < 1.25 * best, `${elapsedMs} ms; the link alone takes ${best}`);
    assert.ok(inFlightMax <= 16 * mib);
  });

  it('fills a local link', () => {
    const link = { bytesPerMs: 1_000_000, roundTripMs: 0.5 };
    const { elapsedMs } = send(link, 1024 * mib);
    assert.ok(elapsedMs < (1.3 * 1024 * mib) / link.bytesPerMs, `${elapsedMs} ms`);
  });

  it('sends parts of 256 KiB first, and of 1 MiB where many are on their way', () => {
    const allowance = new LinkAllowance(16 * mib);
    assert.equal(new SendWindow(allowance, 0).partBytes, mib / 4);
    const { window } = send({ bytesPerMs: 100_000, roundTripMs: 100 }, 512 * mib, allowance);
    assert.equal(window.partBytes, mib);
  });

  it('finds its way when the round trip becomes much longer', () => {
    const allowance = new LinkAllowance(16 * mib);
    allowance.confirmed(1024 * mib);
    const near = send({ bytesPerMs: 20_000, roundTripMs: 5 }, 64 * mib, allowance).window;
    // The same window, now on a way that is twenty times as long.
    let [nowMs, sent, held] = [100_000, 64 * mib, 64 * mib];
    const answers: { atMs: number; heldBytes: number }[] = [];
    for (const endMs = nowMs + 120_000; nowMs < endMs; ) {
      while (near.hasRoomFor(near.partBytes)) {
        const part = near.partBytes;
        near.sent(part, nowMs);
        sent += part;
        answers.push({ atMs: nowMs + 100 + part / 20_000, heldBytes: sent });
      }
      const answer = answers.shift();
      assert.ok(answer);
      nowMs = Math.max(nowMs, answer.atMs);
      held = answer.heldBytes;
      near.confirmed(held, nowMs);
    }
    assert.ok(near.bytes >= 2 * mib, `${near.bytes} bytes may be on their way`);
  });
});

describe('link allowance', () => {
  it('lets a link that was cut lose at most half a mebibyte, until much has come through', () => {
    const allowance = new LinkAllowance(16 * mib);
    assert.equal(allowance.bytes, 4 * mib);
    allowance.confirmed(1024 * mib);
    assert.equal(allowance.bytes, 16 * mib);
    allowance.cut();
    assert.equal(allowance.bytes, mib / 2);
    allowance.confirmed(64 * mib);
    assert.equal(allowance.bytes, mib / 2);
    allowance.confirmed(192 * mib);
    assert.equal(allowance.bytes, 2 * mib);
  });
});
