import assert from 'node:assert/strict';
import { testSendRequest } from '../testing/test-send-request.ts';
import { decideSends } from './send-queue.ts';
import type { SendRequest } from './send-request.ts';

const limits = { sendsMax: 5, sendsPerSiteMax: 3 };

let count = 0;
function request(facts: Partial<SendRequest> = {}): SendRequest {
  count += 1;
  const serial = `${count}`.padStart(8, '0');
  const file = { fileHash: `hash ${count}`, fileBytes: 10 };
  return testSendRequest({ requestId: `${serial}CS1`, jobId: `CS1-${serial}`, file, ...facts });
}

function decide(requests: SendRequest[], running: SendRequest[] = [], nowMs = 0) {
  const ids = new Set(running.map(({ requestId }) => requestId));
  return decideSends([...requests, ...running], (id) => ids.has(id), limits, nowMs);
}

describe('the queue of send requests (REP-5)', () => {
  it('sends at most five at once, and three to one site', () => {
    const to = (site: string, n: number) =>
      Array.from({ length: n }, () => request({ destinationSiteCode: site }));
    const [a, b, c] = [to('PS1', 4), to('PS2', 1), to('PS3', 2)];
    const { start, waiting } = decide([...a, ...b, ...c]);
    assert.deepEqual(start, [...a.slice(0, 3), ...b, ...c.slice(0, 1)]);
    assert.deepEqual(
      [...waiting.values()],
      ['Waits for one of the 3 sends to site PS1', 'Waits for one of the 5 sends'],
    );
  });

  it('goes by priority, then by age', () => {
    const young = request({ createdAtMs: 3 });
    const old = request({ createdAtMs: 1 });
    const urgent = request({ createdAtMs: 9, priority: 1 });
    assert.deepEqual(decide([young, old, urgent]).start, [urgent, old, young]);
  });

  it('gives the next free slot to the highest priority, and stops nothing for it', () => {
    const running = ['PS1', 'PS1', 'PS2', 'PS2', 'PS3'].map((destinationSiteCode) =>
      request({ destinationSiteCode, priority: 3 }),
    );
    const low = request({ destinationSiteCode: 'PS3', priority: 2 });
    const high = request({ destinationSiteCode: 'PS3', priority: 1 });
    assert.deepEqual(decide([low, high], running).start, []);
    assert.deepEqual(decide([low, high], running.slice(1)).start, [high]);
  });

  it('does not send a file twice to one site at once: each link carries one copy', () => {
    const file = { fileHash: 'same', fileBytes: 10 };
    const first = request({ file });
    const behindIt = request({ file, finalSiteCode: 'SS1' });
    const elsewhere = request({ file, destinationSiteCode: 'PS2' });
    const { start, waiting } = decide([first, behindIt, elsewhere]);
    assert.deepEqual(start, [first, elsewhere]);
    const reason = 'The same package file is being sent to site PS1';
    assert.equal(waiting.get(behindIt.requestId), reason);
  });

  it('says of each that cannot run why not, and when the next one is due', () => {
    const noWay = request({ destinationSiteCode: '', finalSiteCode: 'SS9' });
    const noFile = request({ file: { fileHash: '', fileBytes: 0 }, reason: 'no room' });
    const later = request({ state: 'retrying', reason: 'it is away', retryAtMs: 50 });
    const latest = request({ state: 'retrying', reason: 'it is away', retryAtMs: 70 });
    const { start, waiting, nextDueMs } = decide([noWay, noFile, later, latest], [], 49);
    assert.deepEqual(start, []);
    assert.deepEqual([...waiting.values()].sort(), [
      'No way to site SS9 is known',
      'it is away',
      'it is away',
      'no room',
    ]);
    assert.equal(nextDueMs, 50);
    assert.deepEqual(decide([later, latest], [], 50).start, [later]);
  });
});
