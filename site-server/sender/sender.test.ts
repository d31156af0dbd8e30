import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { SendRequest } from '../../shared/domain/send-request.ts';
import { waiting, withRunNow, withSuspension } from '../../shared/domain/send-request-moves.ts';
import type { TransferControls, WindowLevel } from '../../shared/domain/transfer-controls.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { TestSettings } from '../component-settings/testing/test-settings.ts';
import type { SendRequestRow } from './send-request-view.ts';
import { defaultSenderConfig } from './sender.ts';
import { refusal, SendingMachine, SendingSite } from './testing/test-sending.ts';

const mib = 1024 * 1024;
const minuteMs = 60_000;

describe('Sender', () => {
  let machine: SendingMachine;
  let site: SendingSite;
  beforeEach(async () => {
    machine = await SendingMachine.open();
    site = await SendingSite.start(machine);
  });
  afterEach(async () => {
    await site.stop();
    await machine[Symbol.asyncDispose]();
  });

  const job = 'CS1-00000001';
  const second = { jobId: 'CS1-00000002', packageId: 'CS100002' };

  /** Resolves when the request of a job is as wished; no time passes meanwhile. */
  async function becomes(
    isSo: (request: SendRequest) => boolean,
    stepMs = 1,
  ): Promise<SendRequest> {
    let found: SendRequest | undefined;
    await machine.until(() => {
      const request = site.requests.ofJob(job);
      if (request && isSo(request)) found = request;
      return found !== undefined;
    }, stepMs);
    return found as SendRequest;
  }

  const untilRetrying = () => becomes(({ state }) => state === 'retrying');

  it('sends the file first and the signed instruction last, and is complete with it (REP-5)', async () => {
    await machine.order({});
    await site.allEnded();
    assert.deepEqual(machine.site().asked, ['offer', 'put', 'instruction']);
    const [request] = await machine.history();
    assert.equal(request?.state, 'complete');
    assert.deepEqual([request?.bytesSent, request?.remainingBytes], [mib, 0]);
    assert.equal(site.sender.sentBytes, mib);
    const { requests } = site;
    assert.deepEqual([requests.countOf('sending'), requests.endedCountOf('complete')], [0, 1]);
    const [sent] = machine.site().instructions as { transfer: Buffer; package: Buffer }[];
    const transfer = JSON.parse(String(sent?.transfer));
    const hop = [transfer.sendingSiteCode, transfer.destinationSiteCode, transfer.requestId];
    assert.deepEqual(hop, ['CS1', 'PS1', request?.requestId]);
    const { jobId, finalSiteCode, file } = JSON.parse(String(sent?.package));
    assert.deepEqual([jobId, finalSiteCode, file], [job, 'PS1', request?.file]);
  });

  it('passes on what another source site signed as it came (REP-6)', async () => {
    const made = await site.files.make(
      {
        ...{ packageId: 'CS100009', sourceVersion: 1, baseVersion: 0 },
        packageHash: '',
        priority: 2,
      },
      new AbortController().signal,
    );
    const forwarded = Buffer.from(JSON.stringify({ package: 'as it came' })).toString('base64');
    await machine.order({ sourceSiteCode: 'PS9', finalSiteCode: 'SS1', file: made, forwarded });
    await site.allEnded();
    const [sent] = machine.site().instructions as { package: Buffer; packageKeyId: string }[];
    assert.deepEqual([String(sent?.package), sent?.packageKeyId], ['as it came', 'their key']);
  });

  it('sends no file twice over a link: the second request finds it there', async () => {
    await machine.order({}, { jobId: 'CS1-00000002', finalSiteCode: 'SS1' });
    await site.allEnded();
    assert.equal(machine.site().wireBytes, mib);
    assert.equal(machine.site().instructions.length, 2);
    assert.deepEqual(machine.made, ['CS100001 0..1']);
  });

  it('sends five at once, three of them to one site (REP-5)', async () => {
    const jobs = ['PS1', 'PS1', 'PS1', 'PS1', 'PS2', 'PS3', 'PS3'].map((finalSiteCode, index) => {
      const packageId = `CS10000${index}`;
      return { jobId: `CS1-0000000${index}`, packageId, finalSiteCode };
    });
    for (const other of machine.sites.values()) other.isSilent = true;
    await machine.order(...jobs);
    const openCalls = () =>
      ['PS1', 'PS2', 'PS3'].map((siteCode) => machine.site(siteCode).openCalls);
    await machine.until(() => openCalls().reduce((sum, count) => sum + count) === 5);
    // Whatever else is due would have begun by now.
    await machine.clock.advance(minuteMs);
    const [toPs1 = 0, toPs2 = 0, toPs3 = 0] = openCalls();
    assert.equal(toPs1 + toPs2 + toPs3, 5);
    assert.ok(toPs1 <= 3, `${toPs1} to one site`);
    assert.equal(machine.site('PS1').openCallsMax, toPs1);
  });

  it('begins more at once as soon as its limits are raised (REP-5, ADM-3)', async () => {
    await site.stop();
    const limits = { ...defaultSenderConfig, sendsMax: 1 };
    const settings = new TestSettings();
    site = await SendingSite.start(machine, { limits, settings });
    for (const other of machine.sites.values()) other.isSilent = true;
    const to = ['PS1', 'PS2', 'PS3'];
    await machine.order(
      ...to.map((finalSiteCode, index) => {
        return { jobId: `CS1-0000000${index}`, packageId: `CS10000${index}`, finalSiteCode };
      }),
    );
    const openCount = () => to.reduce((sum, code) => sum + machine.site(code).openCalls, 0);
    await machine.until(() => openCount() === 1 && site.sender.waiting().size === 2);
    Object.assign(limits, { sendsMax: 3 });
    settings.tell();
    await machine.until(() => openCount() === 3);
  });

  it('tries again after a minute, then backs off to half an hour (REP-5)', async () => {
    machine.site().isUp = false;
    await machine.order({});
    const waits: number[] = [];
    for (let count = 0; count < 8; count++) {
      const { retryAtMs, tryCount } = await untilRetrying();
      assert.equal(tryCount, count + 1);
      waits.push(Math.ceil((retryAtMs - machine.clock.nowMs()) / (minuteMs / 2)) / 2);
      await machine.clock.advance(retryAtMs - machine.clock.nowMs());
      await becomes(({ tryCount: now }) => now > tryCount, 0);
    }
    // With half of the chance: from 0.75 of the doubled wait.
    assert.deepEqual(waits, [1, 1.5, 3, 6, 12, 22.5, 22.5, 22.5]);
  });

  it('begins what may leave though the clock goes on while it decides (REP-4)', async () => {
    const { clock } = machine;
    const nowMs = clock.nowMs.bind(clock);
    let lookCount = 0;
    clock.nowMs = () => nowMs() + lookCount++;
    await machine.order({});
    await site.allEnded();
    assert.equal((await machine.history())[0]?.state, 'complete');
  });

  it('says why it waits, and until when', async () => {
    machine.site().isUp = false;
    await machine.order({});
    const { reason, retryAtMs } = await untilRetrying();
    assert.match(reason, /cannot be reached/);
    assert.ok(retryAtMs > machine.clock.nowMs());
  });

  it('tries at once when the replication stream of the site comes back', async () => {
    machine.site().isUp = false;
    await machine.order({});
    await untilRetrying();
    machine.site().isUp = true;
    const beforeMs = machine.clock.nowMs();
    site.connected('PS1');
    await site.allEnded();
    assert.ok(machine.clock.nowMs() - beforeMs < minuteMs / 2);
  });

  it('tries at once when the site came back while a try was failing', async () => {
    const fake = machine.site();
    fake.isUp = false;
    fake.onUnreachable = () => {
      fake.isUp = true;
      site.connected('PS1');
    };
    const beforeMs = machine.clock.nowMs();
    await machine.order({});
    await site.allEnded();
    assert.ok(machine.clock.nowMs() - beforeMs < minuteMs / 2);
  });

  it('tries the addresses of a route in order (REP-4)', async () => {
    machine.addresses.set('PS1', ['dead:1', 'a:1', 'b:1']);
    machine.site().deadAddresses.add('dead:1');
    await machine.order({});
    await site.allEnded();
    assert.deepEqual(machine.site().dialled, ['dead:1', 'a:1']);
  });

  it('goes on after a cut from the byte that was held', async () => {
    machine.fileBytes.set('CS100001', 8 * mib);
    machine.site().cutsAtBytes.push(4 * mib);
    await machine.order({});
    const { remainingBytes } = await untilRetrying();
    assert.ok(remainingBytes < 8 * mib);
    site.connected('PS1');
    await site.allEnded();
    assert.ok(machine.site().wireBytes < 8 * mib + 4 * mib);
    assert.deepEqual(machine.site().asked, ['offer', 'put', 'offer', 'put', 'instruction']);
  });

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
    const { requestId } = await becomes(({ file }) => file.fileHash !== '');
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
    await becomes(({ remainingBytes }) => remainingBytes > 0 && remainingBytes < 15 * mib, 50);
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
    const { requestId } = await becomes(({ file }) => file.fileHash !== '');
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
    const { requestId } = await becomes(({ bytesSent }) => bytesSent > mib, 10);
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
    await becomes(({ state }) => state === 'pending', 10);
    const waitingId = (await site.requestOf(job)).requestId;
    await site.requests.change(waitingId, (one) => ({ ...one, priority: 1 }));
    await site.allEnded(10);
    assert.equal(machine.site().wireBytes, 32 * mib, 'no byte twice');
  });

  it('shares a link with others from the moment it is in it (PTM-6)', async () => {
    machine.fileBytes.set('CS100001', 16 * mib);
    await setRoute({ limit: { kind: 'rate', bytesPerSecond: 1_000_000 } });
    await machine.order({});
    await becomes(({ bytesSent }) => bytesSent > 0, 10);
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

  it('ends with the reason of a receiver that refuses, at once, and says so (REP-7)', async () => {
    machine.site().refusal = refusal('it is meant for another site');
    await machine.order({});
    await site.allEnded();
    const [request] = await machine.history();
    assert.equal(request?.state, 'failed');
    assert.match(request?.reason ?? '', /it is meant for another site/);
    assert.equal(request?.tryCount, 1);
    const result = await machine.store.records(keySpaces.siteDeliveryResults).get('CS100001/PS1');
    assert.deepEqual([result?.jobId, result?.outcome], [job, 'refused']);
    const messages = await site.status.query({ countMax: 9 });
    assert.deepEqual(
      messages.map(({ messageId, insertionStrings }) => [messageId, insertionStrings.at(-1)]),
      [[9020, request?.reason]],
    );
  });

  it('tries a refusal again that may mend by itself, and says so (REP-7)', async () => {
    machine.site().refusal = refusal('for now');
    await machine.order({});
    const { reason } = await untilRetrying();
    assert.match(reason, /for now/);
    const [message] = await site.status.query({ countMax: 9 });
    assert.deepEqual([message?.messageId, message?.insertionStrings.at(-1)], [9021, reason]);
    machine.site().refusal = undefined;
    await machine.clock.advance(minuteMs);
    await site.allEnded();
    assert.equal((await machine.history())[0]?.state, 'complete');
    assert.equal(machine.site().wireBytes, mib);
  });

  it('tries again when the receiver does not know this site yet, and says so', async () => {
    const refused = { caller: 'waybill://site/CS1', method: 'x', expected: 'sites that are known' };
    machine.site().refusal = new WaybillError({ code: 'PEER_NOT_ALLOWED', ...refused });
    await machine.order({});
    const { reason } = await untilRetrying();
    assert.match(reason, /sites that are known/);
    machine.site().refusal = undefined;
    await machine.clock.advance(minuteMs);
    await site.allEnded();
    assert.equal((await machine.history())[0]?.state, 'complete');
  });

  it('says nothing of a superseded job, lest it hide how its successor ended', async () => {
    await machine.order({}, { jobId: 'CS1-00000002', sourceVersion: 2 });
    await site.allEnded();
    const result = await machine.store.records(keySpaces.siteDeliveryResults).get('CS100001/PS1');
    assert.equal(result?.jobId, 'CS1-00000002');
  });

  it('gives way to a newer version at the receiver, and says so (REP-7)', async () => {
    const held = { packageId: 'CS100001', offered: 1, held: 2 };
    machine.site().refusal = new WaybillError({ code: 'VERSION_DOWNGRADE', ...held });
    await machine.order({});
    await site.allEnded();
    const [request] = await machine.history();
    assert.equal(request?.state, 'cancelled');
    const messages = await site.status.query({ countMax: 9 });
    const told = messages.map(({ messageId, insertionStrings }) => [
      messageId,
      insertionStrings[3],
    ]);
    assert.deepEqual(told, [[9021, request?.reason]]);
  });

  it('sends a file again that did not match its hash there, twice, and then fails', async () => {
    const hashes = { expectedHash: 'a', actualHash: 'b' };
    machine.site().fileRefusal = new WaybillError({ code: 'FILE_HASH_MISMATCH', ...hashes });
    await machine.order({});
    await site.allEnded();
    const [request] = await machine.history();
    assert.equal(request?.state, 'failed');
    assert.equal(machine.site().wireBytes, 3 * mib);
    assert.equal(machine.made.length, 1, 'the file here is sound');
  });

  it('makes a file anew that was damaged on disk, before it blames the link', async () => {
    machine.site().isUp = false;
    await machine.order({});
    const { file } = await untilRetrying();
    await writeFile(site.files.pathOf(file.fileHash), Buffer.alloc(mib, 9));
    const hashes = { expectedHash: 'a', actualHash: 'b' };
    machine.site().fileRefusal = new WaybillError({ code: 'FILE_HASH_MISMATCH', ...hashes });
    machine.site().isUp = true;
    site.connected('PS1');
    await machine.until(() => machine.made.length === 2);
    machine.site().fileRefusal = undefined;
    await site.allEnded();
    assert.equal((await machine.history())[0]?.state, 'complete');
  });

  it('makes a file again that is gone when it is to be sent', async () => {
    machine.site().isUp = false;
    await machine.order({});
    const { file } = await untilRetrying();
    await rm(site.files.pathOf(file.fileHash));
    machine.site().isUp = true;
    site.connected('PS1');
    await site.allEnded();
    assert.equal((await machine.history())[0]?.state, 'complete');
    assert.equal(machine.made.length, 2);
  });

  it('makes no file again that is here, whatever the other site says of it (REP-7)', async () => {
    const fileHash = 'ab'.repeat(32);
    machine.site().refusal = new WaybillError({ code: 'FILE_NOT_HELD', fileHash });
    await machine.order({});
    const { reason, retryAtMs } = await untilRetrying();
    assert.match(reason, /is not in this content library/);
    assert.ok(retryAtMs > machine.clock.nowMs(), 'it waits like after any failure');
    machine.site().refusal = undefined;
    await site.allEnded(1_000);
    assert.equal((await machine.history())[0]?.state, 'complete');
    assert.equal(machine.site().wireBytes, mib);
  });

  it('stops sending what has been superseded', async () => {
    machine.fileBytes.set('CS100001', 64 * mib);
    machine.site().isSilent = true;
    await machine.order({});
    await becomes(({ state }) => state === 'sending');
    await machine.until(() => machine.site().openCalls === 1);
    await machine.withdraw(job);
    await site.allEnded(0);
    assert.equal((await machine.history())[0]?.state, 'cancelled');
    assert.equal(machine.site().openCalls, 0);
  });

  it('writes progress once a second or each twentieth part, and no more', async () => {
    machine.fileBytes.set('CS100001', 64 * mib);
    let rowCount = 0;
    machine.store.onWritten((changes) => {
      rowCount += changes.filter(({ space }) => space === keySpaces.sendRequests.name).length;
    });
    await machine.order({});
    await site.allEnded();
    // 256 parts at least were confirmed.
    assert.ok(rowCount <= 20 + 6, `${rowCount} rows`);
  });
});
