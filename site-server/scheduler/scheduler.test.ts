import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { SendRequest } from '../../shared/domain/send-request.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { SendingMachine, SendingSite, testSites } from '../sender/testing/test-sending.ts';

const full = new WaybillError({ code: 'DISK_FULL', path: '/files', freeBytes: 1, neededBytes: 9 });
const broken = new WaybillError({ code: 'CONTENT_NOT_HELD', contentId: 'CS100001.1' });

describe('Scheduler', () => {
  let machine: SendingMachine;
  let site: SendingSite;
  beforeEach(async () => {
    machine = await SendingMachine.open();
    // Nothing is sent: requests stay as the Scheduler makes them.
    for (const other of machine.sites.values()) other.isUp = false;
    site = await SendingSite.start(machine);
  });
  afterEach(async () => {
    await site.stop();
    await machine[Symbol.asyncDispose]();
  });

  async function becomes(jobId: string, isSo: (request: SendRequest) => boolean): Promise<void> {
    await machine.until(() => {
      const request = site.requests.ofJob(jobId);
      return request !== undefined && isSo(request);
    });
  }
  const job = 'CS1-00000001';
  const isMade = ({ file }: SendRequest) => file.fileHash !== '';
  const rowOf = async (jobId: string) => {
    const { requestId } = await site.requestOf(jobId);
    const [row] = await site.view
      .list({ packageId: '', siteCode: '', history: false, limit: 0 })
      [Symbol.asyncIterator]()
      .next()
      .then(({ value }) => [value as SendRequest]);
    assert.equal(row?.requestId, requestId);
    return row;
  };

  it('makes a send request of a mini-job, with its file (REP-3)', async () => {
    await machine.order({ priority: 1, createdAtMs: 7 });
    await becomes(job, isMade);
    await site.requests.whenIdle();
    const request = site.requests.ofJob(job);
    assert.match(request?.requestId ?? '', /^[0-9A-F]{8}CS1$/);
    assert.deepEqual(
      [request?.destinationSiteCode, request?.finalSiteCode, request?.priority],
      ['PS1', 'PS1', 1],
    );
    assert.equal(request?.remainingBytes, request?.file.fileBytes);
    const stored = await machine.store
      .records(keySpaces.sendRequests)
      .get(request?.requestId ?? '');
    assert.deepEqual(stored?.file, request?.file);
  });

  it('goes by the neighbour, or straight where an administrator named a route (REP-4)', async () => {
    machine.directRoutes.add('SS1');
    await machine.order({ finalSiteCode: 'SS1' });
    await becomes(job, ({ destinationSiteCode }) => destinationSiteCode === 'SS1');
    machine.directRoutes.delete('SS1');
    await machine.store.write([site.notifier.notification('site', 'SS1')], { sync: false });
    await becomes(job, ({ destinationSiteCode }) => destinationSiteCode === 'PS1');
    await machine.until(async () => {
      for await (const _ of site.notifier.pending('site')) return false;
      return true;
    });
  });

  it('waits for a way, and says so', async () => {
    machine.tree.sites = testSites.filter(({ siteCode }) => siteCode !== 'SS1');
    await machine.order({ finalSiteCode: 'SS1' });
    assert.match((await rowOf(job))?.reason ?? '', /No way to site SS1 is known/);
    assert.deepEqual(machine.made, []);
    machine.tree.sites = [...testSites];
    await machine.store.write([site.notifier.notification('site', 'SS1')], { sync: false });
    await becomes(job, (request) => request.destinationSiteCode === 'PS1' && isMade(request));
  });

  it('waits for room for the package file, however long, and says so', async () => {
    machine.makeFailures.set('CS100001', full);
    await machine.order({});
    await becomes(job, ({ reason }) => reason === full.message);
    assert.match((await rowOf(job))?.reason ?? '', /Make room/);
    await machine.clock.advance(60 * 60_000);
    machine.makeFailures.clear();
    await becomes(job, isMade);
  });

  it('ends a request whose file cannot be made, with the reason, and asks what else would do', async () => {
    machine.makeFailures.set('CS100001', broken);
    await machine.order({ baseVersion: 3, sourceVersion: 4 });
    await site.allEnded(1_000);
    const [request] = await machine.history();
    assert.deepEqual([request?.state, request?.reason], ['failed', broken.message]);
    const result = await machine.store.records(keySpaces.siteDeliveryResults).get('CS100001/PS1');
    assert.equal(result?.outcome, 'not-made');
    const asked = [];
    for await (const { subject } of site.notifier.pending('package')) asked.push(subject);
    assert.deepEqual(asked, ['CS100001']);
    const messages = await site.status.query({ countMax: 9 });
    assert.deepEqual(
      messages.map(({ messageId }) => messageId),
      [9020],
    );
  });

  it('tries once only what will not be back by itself', async () => {
    machine.libraryVersions.set('CS100001', 5);
    await machine.order({ sourceVersion: 4 });
    await site.allEnded(0);
    assert.match((await machine.history())[0]?.reason ?? '', /at version 5/);
    assert.equal(machine.made.length, 1);
  });

  it('makes one file for all sites that need the same (REP-2)', async () => {
    await machine.order(
      { finalSiteCode: 'PS1' },
      { jobId: 'CS1-00000002', finalSiteCode: 'PS2' },
      { jobId: 'CS1-00000003', finalSiteCode: 'PS3', baseVersion: 1, sourceVersion: 2 },
    );
    for (const id of [job, 'CS1-00000002', 'CS1-00000003']) await becomes(id, isMade);
    assert.deepEqual(machine.made.sort(), ['CS100001 0..1', 'CS100001 1..2']);
  });

  it('ends the request of a job that is gone, and its file is no longer needed', async () => {
    await machine.order({});
    await becomes(job, isMade);
    const file = site.requests.ofJob(job)?.file.fileHash ?? '';
    await machine.withdraw(job);
    await site.allEnded();
    const [request] = await machine.history();
    assert.equal(request?.state, 'cancelled');
    assert.match(request?.reason ?? '', /newer version/);
    // The sweep that begins its grace, and the one after it.
    await site.files.sweep();
    await machine.clock.advance(3_600_000);
    await site.files.sweep();
    assert.equal(await site.files.has(file), false);
  });

  it('fails a forwarded job whose file is gone, without a word to Distribution Manager', async () => {
    const file = { fileHash: 'ab'.repeat(32), fileBytes: 9 };
    await machine.order({ sourceSiteCode: 'PS9', finalSiteCode: 'SS1', file, forwarded: 'x' });
    await site.allEnded();
    const [request] = await machine.history();
    assert.match(request?.reason ?? '', /is not in this content library/);
    for await (const _ of site.notifier.pending('package')) assert.fail('nobody asked for it here');
  });
});
