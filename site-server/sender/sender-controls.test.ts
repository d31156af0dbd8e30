import assert from 'node:assert/strict';
import { waiting, withRunNow, withSuspension } from '../../shared/domain/send-request-moves.ts';
import type { TransferControls, WindowLevel } from '../../shared/domain/transfer-controls.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { SendRequestRow } from './send-request-view.ts';
import { machine, site, startBeforeEach } from './testing/sending-ground.ts';

const mib = 1024 * 1024;
const minuteMs = 60_000;

describe('Sender, under schedules, limits and priorities', () => {
  startBeforeEach();

  const job = 'CS1-00000001';
  const second = { jobId: 'CS1-00000002', packageId: 'CS100002' };

  const closedFrom = (hour: number, level: WindowLevel) => ({
    timeZone: 'UTC',
    hours: Array.from({ length: 168 }, (_, at) => (at % 24 >= hour ? level : 'open')),
  });
  const setRoute = (controls: TransferControls, toSiteCode = 'PS1') => {
    const route = { fromSiteCode: 'CS1', toSiteCode, addresses: [], controls };
    const put = machine.store.records(keySpaces.routes).put(joinKey('CS1', toSiteCode), route);
    return machine.store.write([put], { sync: false });
  };
  const listed = async () => {
    const filter = { packageId: '', siteCode: '', history: false, limit: 0 };
    const rows: SendRequestRow[] = [];
    for await (const row of site.view.list(filter)) rows.push(row);
    return rows;
  };
  const hourMs = 60 * minuteMs;
  const atHour = (hour: number) => {
    const day = Math.floor(machine.clock.nowMs() / (24 * hourMs)) + 1;
    return machine.clock.advance(day * 24 * hourMs + hour * hourMs - machine.clock.nowMs());
  };

  it('waits for its window, says until when, and begins with it (REP-4)', async () => {
    await setRoute({ schedule: closedFrom(8, 'closed') });
    await atHour(9);
    await machine.order({});
    const { requestId } = await site.becomes(({ file }) => file.fileHash !== '');
    await machine.clock.advance(10 * minuteMs);
    const [row] = await listed();
    assert.match(row?.reason ?? '', /^Window closed; it opens .* 00:00:00 UTC$/);
    assert.equal(((row?.retryAtMs ?? 0) / hourMs) % 24, 0);
    assert.deepEqual(machine.site().asked, []);
    assert.equal(site.sender.progressOf(requestId), undefined, 'it takes no place');
    await machine.clock.advance((row?.retryAtMs ?? 0) - machine.clock.nowMs());
    await site.allEnded();
    assert.equal((await machine.history())[0]?.state, 'complete');
  });

  it('stops when its window closes, and goes on at that byte when it opens (REP-4, PTM-5)', async () => {
    machine.fileBytes.set('CS100001', 16 * mib);
    const limit = { kind: 'rate', bytesPerSecond: 100_000 } as const;
    await setRoute({ limit });
    await machine.order({});
    await site.becomes(({ remainingBytes }) => remainingBytes > 0 && remainingBytes < 15 * mib, 50);
    await setRoute({ schedule: closedFrom(0, 'high-only'), limit });
    const sentBytes = machine.site().wireBytes;
    await machine.until(() => machine.site().openCalls === 0, 10);
    await machine.clock.advance(5 * hourMs);
    assert.ok(machine.site().wireBytes - sentBytes <= 100_000, 'a second at most');
    const [row] = await listed();
    assert.match(row?.reason ?? '', /^Window closed; its schedule never opens to this priority/);
    assert.deepEqual([row?.state, row?.tryCount], ['pending', 0], 'it was no failed try');
    await setRoute({});
    await site.allEnded();
    assert.equal(machine.site().wireBytes, 16 * mib, 'no byte twice');
  });

  it('heeds no schedule once an administrator lets it run, but its limit (ADM-2)', async () => {
    machine.fileBytes.set('CS100001', 4 * mib);
    const limit = { kind: 'rate', bytesPerSecond: 1_000_000 } as const;
    await setRoute({ schedule: closedFrom(0, 'closed'), limit });
    await machine.order({});
    const { requestId } = await site.becomes(({ file }) => file.fileHash !== '');
    await machine.clock.advance(minuteMs);
    assert.deepEqual(machine.site().asked, []);
    const beganMs = machine.clock.monotonicMs();
    await site.requests.steer(requestId, withRunNow, () => []);
    await site.allEnded();
    assert.equal((await machine.history())[0]?.state, 'complete');
    assert.ok(machine.clock.monotonicMs() - beganMs >= 3_800);
  });

  it('that is suspended stops between two parts, and no byte goes twice (ADM-2)', async () => {
    machine.fileBytes.set('CS100001', 8 * mib);
    await setRoute({ limit: { kind: 'rate', bytesPerSecond: 1_000_000 } });
    await machine.order({});
    const { requestId } = await site.becomes(({ bytesSent }) => bytesSent > mib, 10);
    await site.requests.steer(requestId, withSuspension, () => []);
    await machine.until(() => machine.site().openCalls === 0, 10);
    await machine.clock.advance(minuteMs);
    const [row] = await listed();
    assert.deepEqual([row?.state, row?.reason], ['suspended', 'Suspended by an administrator']);
    await site.requests.steer(requestId, waiting, () => []);
    await site.allEnded(10);
    assert.equal(machine.site().wireBytes, 8 * mib);
  });

  it('lets one of higher priority have its place, and goes on afterwards (ADM-2)', async () => {
    const limit = { kind: 'rate', bytesPerSecond: 1_000_000 } as const;
    for (const siteCode of ['PS1', 'PS2', 'PS3']) await setRoute({ limit }, siteCode);
    const jobs = ['PS1', 'PS1', 'PS2', 'PS2', 'PS3'].map((finalSiteCode, index) => {
      const packageId = `CS10000${index}`;
      machine.fileBytes.set(packageId, 16 * mib);
      return { jobId: `CS1-0000000${index}`, packageId, finalSiteCode, priority: 3 } as const;
    });
    await machine.order(...jobs);
    const openCalls = () => ['PS1', 'PS2', 'PS3'].map((code) => machine.site(code).openCalls);
    const madeCount = () => [...site.requests.open()].filter(({ file }) => file.fileHash).length;
    await machine.until(() => madeCount() === 5, 0);
    await machine.until(() => openCalls().reduce((sum, count) => sum + count) === 5);
    const urgent = { jobId: 'CS1-00000099', packageId: 'CS100099', priority: 1 } as const;
    await machine.order({ ...urgent, finalSiteCode: 'PS3' });
    const hasFile = () => (site.requests.ofJob(urgent.jobId)?.file.fileHash ?? '') !== '';
    await machine.until(hasFile, 0);
    const beganMs = machine.clock.monotonicMs();
    const ended = async () => (await machine.history()).map(({ packageId }) => packageId);
    await machine.until(async () => (await ended()).length > 0, 1);
    assert.deepEqual(await ended(), ['CS100099']);
    const seconds = (machine.clock.monotonicMs() - beganMs) / 1000;
    assert.ok(seconds < 3 + mib / limit.bytesPerSecond, `it took ${seconds} s`);
    await site.allEnded(20);
    const sent = ['PS1', 'PS2', 'PS3'].map((code) => machine.site(code).wireBytes);
    assert.equal(sent[0], 32 * mib);
    assert.equal((sent[1] ?? 0) + (sent[2] ?? 0), 49 * mib, 'no byte twice');
  });

  it('follows a new priority while it runs, and while it waits (PTM-3, PTM-6)', async () => {
    for (const id of ['CS100001', 'CS100002']) machine.fileBytes.set(id, 16 * mib);
    await setRoute({ limit: { kind: 'rate', bytesPerSecond: 1_000_000 } });
    await machine.order({ priority: 2 }, { ...second, priority: 2 });
    const bytesOf = (jobId: string) => site.requests.ofJob(jobId)?.bytesSent ?? 0;
    await machine.until(() => bytesOf(job) > 0 && bytesOf(second.jobId) > 0, 10);
    const { requestId } = await site.requestOf(second.jobId);
    await site.requests.change(requestId, (one) => ({ ...one, priority: 1 }));
    const before = { first: bytesOf(job), second: bytesOf(second.jobId) };
    const gained = () => bytesOf(second.jobId) - before.second;
    await machine.until(() => gained() > 6 * mib, 10);
    const first = bytesOf(job) - before.first;
    assert.ok(first < gained() / 2, `${first} and ${gained()} bytes`);
    await setRoute({ schedule: closedFrom(0, 'high-only') });
    await site.becomes(({ state }) => state === 'pending', 10);
    const waitingId = (await site.requestOf(job)).requestId;
    await site.requests.change(waitingId, (one) => ({ ...one, priority: 1 }));
    await site.allEnded(10);
    assert.equal(machine.site().wireBytes, 32 * mib, 'no byte twice');
  });

  it('shares a link with others from the moment it is in it (PTM-6)', async () => {
    machine.fileBytes.set('CS100001', 16 * mib);
    await setRoute({ limit: { kind: 'rate', bytesPerSecond: 1_000_000 } });
    await machine.order({});
    await site.becomes(({ bytesSent }) => bytesSent > 0, 10);
    const link = { linkName: 'line', description: '', siteCode: 'CS1', dpIds: [] };
    const controls = { limit: { kind: 'rate', bytesPerSecond: 10_000 } } as const;
    const row = { ...link, toSiteCodes: ['PS1'], controls };
    const links = machine.store.records(keySpaces.links);
    await machine.store.write([links.put('line', row)], { sync: false });
    await machine.clock.advance(1_000);
    const before = machine.site().wireBytes;
    for (let second = 0; second < 10; second++) await machine.clock.advance(1_000);
    const bytes = machine.site().wireBytes - before;
    assert.ok(bytes > 50_000 && bytes <= 110_000, `${bytes} bytes in 10 s`);
    await machine.store.write([links.delete('line')], { sync: false });
    await site.allEnded(10);
  });
});
