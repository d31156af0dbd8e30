import assert from 'node:assert/strict';
import { testSendRequest } from '../testing/test-send-request.ts';
import { decideSends, filesToMake } from './send-queue.ts';
import type { SendRequest } from './send-request.ts';

const limits = { sendsMax: 5, sendsPerSiteMax: 3 };

let count = 0;
function request(facts: Partial<SendRequest> = {}): SendRequest {
  count += 1;
  const serial = `${count}`.padStart(8, '0');
  const file = { fileHash: `hash ${count}`, fileBytes: 10 };
  return testSendRequest({ requestId: `${serial}CS1`, jobId: `CS1-${serial}`, file, ...facts });
}

const idsOf = (requests: readonly SendRequest[]) =>
  new Set(requests.map(({ requestId }) => requestId));

function decide(
  requests: SendRequest[],
  running: SendRequest[] = [],
  { nowMs = 0, leaving = [], opensAtMs = () => 0 }: Circumstances = {},
) {
  const isIn = (ids: ReadonlySet<string>) => (id: string) => ids.has(id);
  const surroundings = {
    ...{ isRunning: isIn(idsOf(running)), isLeaving: isIn(idsOf(leaving)), opensAtMs },
  };
  return decideSends([...requests, ...running], surroundings, limits, nowMs);
}

interface Circumstances {
  readonly nowMs?: number;
  readonly leaving?: SendRequest[];
  readonly opensAtMs?: (request: SendRequest) => number | undefined;
}

describe('the queue of send requests (REP-5)', () => {
  it('sends at most five at once, and three to one site', () => {
    const to = (site: string, n: number) =>
      Array.from({ length: n }, () => request({ destinationSiteCode: site }));
    const [a, b, c] = [to('PS1', 4), to('PS2', 1), to('PS3', 2)];
    const { start, waiting } = decide([...a, ...b, ...c]);
    assert.deepEqual(start, [...a.slice(0, 3), ...b, ...c.slice(0, 1)]);
    assert.deepEqual(
      [...waiting.values()].map(({ reason }) => reason),
      ['Waits for one of the 3 sends to site PS1', 'Waits for one of the 5 sends'],
    );
  });

  it('goes by priority, then by age', () => {
    const young = request({ createdAtMs: 3 });
    const old = request({ createdAtMs: 1 });
    const urgent = request({ createdAtMs: 9, priority: 1 });
    assert.deepEqual(decide([young, old, urgent]).start, [urgent, old, young]);
  });

  it('gives the next free slot to the highest priority', () => {
    const running = ['PS1', 'PS1', 'PS2', 'PS2', 'PS3'].map((destinationSiteCode) =>
      request({ destinationSiteCode, priority: 1 }),
    );
    const low = request({ destinationSiteCode: 'PS3', priority: 2 });
    const high = request({ destinationSiteCode: 'PS3', priority: 1 });
    assert.deepEqual(decide([low, high], running).start, []);
    assert.deepEqual(decide([low, high], running).stop, []);
    assert.deepEqual(decide([low, high], running.slice(1)).start, [high]);
  });

  it('lets the least urgent one make way when no place is free, and takes it once (ADM-2)', () => {
    const running = ['PS1', 'PS1', 'PS2', 'PS2', 'PS3'].map((destinationSiteCode, index) =>
      request({ destinationSiteCode, priority: index === 1 ? 2 : 3, createdAtMs: index }),
    );
    const first = request({ destinationSiteCode: 'PS4', priority: 1 });
    const second = request({ destinationSiteCode: 'PS4', priority: 2 });
    const third = request({ destinationSiteCode: 'PS4', priority: 3 });
    const decision = decide([first, second, third], running);
    assert.deepEqual(decision.start, []);
    assert.deepEqual(decision.stop, [running[4], running[3]]);
    assert.equal(decision.waiting.size, 3);
    const later = decide([first, second, third], running, { leaving: running.slice(3) });
    assert.deepEqual([later.start, later.stop], [[], []], 'their places are promised');
    const stopped = running.slice(3);
    const then = decide([first, second, third, ...stopped], running.slice(0, 3));
    assert.deepEqual(then.start, [first, second]);
    assert.deepEqual(then.stop, []);
  });

  it('lets one to the same site make way where that site has no place free', () => {
    const to = (destinationSiteCode: string, priority: 1 | 2 | 3) =>
      request({ destinationSiteCode, priority });
    const running = [to('PS1', 2), to('PS1', 2), to('PS1', 2), to('PS2', 3)];
    const urgent = to('PS1', 1);
    const { start, stop } = decide([urgent], running);
    assert.deepEqual([start, stop], [[], [running[2]]]);
  });

  it('waits for the window of its way, unless all of it is there already (REP-4)', () => {
    const opensAtMs = ({ priority }: SendRequest) =>
      ({ 1: 0, 2: Date.UTC(2026, 2, 29, 18), 3: undefined })[priority];
    const [high, normal, low] = [1, 2, 3].map((priority) => request({ priority } as SendRequest));
    const there = request({ priority: 3, remainingBytes: 0 });
    const all = [high, normal, low, there] as SendRequest[];
    const { start, waiting, nextDueMs } = decide(all, [], { opensAtMs });
    assert.deepEqual(start, [high, there]);
    assert.deepEqual(
      [...waiting.values()],
      [
        {
          reason: 'Window closed; it opens 2026-03-29 18:00:00 UTC',
          dueAtMs: Date.UTC(2026, 2, 29, 18),
        },
        { reason: 'Window closed; its schedule never opens to this priority', dueAtMs: 0 },
      ],
    );
    assert.equal(nextDueMs, Date.UTC(2026, 2, 29, 18));
  });

  it('does not send a file twice to one site at once: each link carries one copy', () => {
    const file = { fileHash: 'same', fileBytes: 10 };
    const first = request({ file });
    const behindIt = request({ file, finalSiteCode: 'SS1' });
    const elsewhere = request({ file, destinationSiteCode: 'PS2' });
    const { start, waiting } = decide([first, behindIt, elsewhere]);
    assert.deepEqual(start, [first, elsewhere]);
    const reason = 'The same package file is being sent to site PS1';
    assert.equal(waiting.get(behindIt.requestId)?.reason, reason);
  });

  it('says of each that cannot run why not, and when the next one is due', () => {
    const noWay = request({ destinationSiteCode: '', finalSiteCode: 'SS9' });
    const noFile = request({ file: { fileHash: '', fileBytes: 0 }, reason: 'no room' });
    const later = request({ state: 'retrying', reason: 'it is away', retryAtMs: 50 });
    const latest = request({ state: 'retrying', reason: 'it is away', retryAtMs: 70 });
    const { start, waiting, nextDueMs } = decide([noWay, noFile, later, latest], [], { nowMs: 49 });
    assert.deepEqual(start, []);
    const reasons = [...waiting.values()].map(({ reason }) => reason);
    assert.deepEqual(reasons.sort(), [
      'No way to site SS9 is known',
      'it is away',
      'it is away',
      'no room',
    ]);
    assert.equal(nextDueMs, 50);
    assert.deepEqual(decide([later, latest], [], { nowMs: 50 }).start, [later]);
  });
});

describe('package files made ahead (REP-2)', () => {
  const unmade = { fileHash: '', fileBytes: 0 };
  const isBeingMade = () => false;
  const toMake = (requests: SendRequest[]) => filesToMake(requests, isBeingMade, 2);

  it('are those of the first few for each destination', () => {
    const [a, b, c] = [1, 2, 3].map((createdAtMs) => request({ createdAtMs, file: unmade }));
    const elsewhere = request({ createdAtMs: 9, file: unmade, destinationSiteCode: 'PS2' });
    assert.deepEqual(toMake([c, b, a, elsewhere] as SendRequest[]), [a, b, elsewhere]);
    const ready = request({ createdAtMs: 0 });
    assert.deepEqual(toMake([ready, a, b] as SendRequest[]), [a]);
  });

  it('wait for none that is tried again later, until there are twice as many', () => {
    const away = (createdAtMs: number) => request({ createdAtMs, state: 'retrying' });
    const next = request({ createdAtMs: 9, file: unmade });
    assert.deepEqual(toMake([away(1), away(2), away(3), next]), [next]);
    assert.deepEqual(toMake([away(1), away(2), away(3), away(4), next]), []);
  });

  it('are made at once for an urgent request, however many wait behind it (ADM-2)', () => {
    const waiting = [1, 2, 3, 4].map((createdAtMs) => request({ createdAtMs, priority: 3 }));
    const low = request({ file: unmade, priority: 3 });
    const urgent = [1, 1, 1].map((priority) => request({ file: unmade, priority } as SendRequest));
    assert.deepEqual(toMake([...waiting, low, ...urgent]), urgent.slice(0, 2));
  });
});
