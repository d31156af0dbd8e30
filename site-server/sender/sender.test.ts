import assert from 'node:assert/strict';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { TestSettings } from '../component-settings/testing/test-settings.ts';
import { defaultSenderConfig } from './sender.ts';
import { machine, restart, site, startBeforeEach } from './testing/sending-ground.ts';

const mib = 1024 * 1024;
const minuteMs = 60_000;

describe('Sender', () => {
  startBeforeEach();

  const job = 'CS1-00000001';

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
    const limits = { ...defaultSenderConfig, sendsMax: 1 };
    const settings = new TestSettings();
    await restart({ limits, settings });
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

  it('begins what may leave though the clock goes on while it decides (REP-4)', async () => {
    const { clock } = machine;
    const nowMs = clock.nowMs.bind(clock);
    let lookCount = 0;
    clock.nowMs = () => nowMs() + lookCount++;
    await machine.order({});
    await site.allEnded();
    assert.equal((await machine.history())[0]?.state, 'complete');
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
    const { remainingBytes } = await site.becomes(({ state }) => state === 'retrying');
    assert.ok(remainingBytes < 8 * mib);
    site.connected('PS1');
    await site.allEnded();
    assert.ok(machine.site().wireBytes < 8 * mib + 4 * mib);
    assert.deepEqual(machine.site().asked, ['offer', 'put', 'offer', 'put', 'instruction']);
  });

  it('says nothing of a superseded job, lest it hide how its successor ended', async () => {
    await machine.order({}, { jobId: 'CS1-00000002', sourceVersion: 2 });
    await site.allEnded();
    const result = await machine.store.records(keySpaces.siteDeliveryResults).get('CS100001/PS1');
    assert.equal(result?.jobId, 'CS1-00000002');
  });

  it('stops sending what has been superseded', async () => {
    machine.fileBytes.set('CS100001', 64 * mib);
    machine.site().isSilent = true;
    await machine.order({});
    await site.becomes(({ state }) => state === 'sending');
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
