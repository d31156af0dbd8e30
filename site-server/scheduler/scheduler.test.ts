import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { Priority } from '../../shared/domain/package.ts';
import type { MiniJob, SendRequest } from '../../shared/domain/send-request.ts';
import type { NotificationTopic } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change } from '../../shared/state-store/state-store.ts';
import { testPackage } from '../replication-manager/testing/random-edits.ts';
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

  it('ends such a request as soon as there is room to write its end down', async () => {
    const { store } = machine;
    const write = store.write.bind(store);
    let refusedCount = 0;
    Object.assign(store, {
      write: async (changes: readonly Change[], options: { sync: boolean }) => {
        const isEnd = changes.some(({ space }) => space === keySpaces.sendRequestHistory.name);
        if (!isEnd || refusedCount > 1) return write(changes, options);
        refusedCount += 1;
        throw full;
      },
    });
    machine.libraryVersions.set('CS100001', 5);
    await machine.order({ sourceVersion: 4 });
    await site.allEnded(1_000);
    assert.equal(refusedCount, 2);
    assert.match((await machine.history())[0]?.reason ?? '', /at version 5/);
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

  it('completes the request of a job whose version the receiver has stored already (REP-5)', async () => {
    await machine.order({});
    await becomes(job, isMade);
    const result = { jobId: job, outcome: 'delivered', contentChangedAtMs: 1 } as const;
    const results = machine.store.records(keySpaces.siteDeliveryResults);
    await machine.store.write([results.put('CS100001/PS1', result)], { sync: false });
    await machine.withdraw(job);
    await site.allEnded();
    const [request] = await machine.history();
    assert.deepEqual(
      [request?.state, request?.reason, request?.remainingBytes],
      ['complete', '', 0],
    );
  });

  it('fails a forwarded job whose file is gone, without a word to Distribution Manager', async () => {
    const file = { fileHash: 'ab'.repeat(32), fileBytes: 9 };
    await machine.order({ sourceSiteCode: 'PS9', finalSiteCode: 'SS1', file, forwarded: 'x' });
    await site.allEnded();
    const [request] = await machine.history();
    assert.match(request?.reason ?? '', /is not in this content library/);
    for await (const _ of site.notifier.pending('package')) assert.fail('nobody asked for it here');
  });

  const cameBytes = Buffer.from('as it came');
  const file = { fileHash: hashOf(cameBytes), fileBytes: cameBytes.length };
  const passedOn = { sourceSiteCode: 'PS9', packageId: 'PS900001', finalSiteCode: 'SS1', file };
  /** A job of site PS9 that waits here with its file: no site below answers. */
  async function forward(facts: Partial<MiniJob> = {}, bytes = cameBytes): Promise<MiniJob> {
    for (const siteCode of ['PS1', 'PS2']) machine.site(siteCode).isUp = false;
    const came = { ...file, fileHash: hashOf(bytes) };
    await writeFile(site.files.pathOf(came.fileHash), bytes);
    const [made] = await machine.order({ ...passedOn, file: came, forwarded: 'x', ...facts });
    return made as MiniJob;
  }
  const failure = () => machine.store.records(keySpaces.forwardingFailures).get('PS900001/CS1/SS1');
  const ends = async () =>
    (await machine.history()).map(({ jobId, state, reason }) => `${jobId} ${state}: ${reason}`);

  it('tells the source site of a job that is lost on its way, until a later one is passed on', async () => {
    await machine.order({ ...passedOn, jobId: 'PS9-00000001', forwarded: 'x' });
    await site.allEnded();
    const { reason, failedAtMs: _, ...told } = (await failure()) ?? { reason: '', failedAtMs: 0 };
    assert.deepEqual(told, {
      ...{ packageId: 'PS900001', siteCode: 'CS1', finalSiteCode: 'SS1' },
      ...{ jobId: 'PS9-00000001', mayRepeat: true },
    });
    assert.match(reason, /is not in this content library/);
    await forward({ jobId: 'PS9-00000000', packageId: 'PS900001', sourceVersion: 0 });
    await becomes('PS9-00000000', isMade);
    assert.ok(await failure(), 'an earlier one that comes late says nothing of it');
    const lost = { ...file, fileHash: 'cd'.repeat(32) };
    const late = { ...passedOn, jobId: 'PS9-000000', forwarded: 'x', file: lost };
    await machine.order({ ...late, sourceVersion: 1 });
    await machine.until(async () =>
      (await ends()).some((end) => end.includes('PS9-000000 failed')),
    );
    assert.equal((await failure())?.jobId, 'PS9-00000001', 'nor does one that is lost, too');
    await forward({ jobId: 'PS9-00000002' });
    await becomes('PS9-00000002', isMade);
    assert.equal(await failure(), undefined);
  });

  it('passes on the newest order for a site only, whichever came last', async () => {
    await forward({ jobId: 'PS9-00000001', sourceVersion: 1 });
    await becomes('PS9-00000001', isMade);
    // Each version has its own file: that of an order that is cancelled goes with it.
    const fileOf = (version: number) => Buffer.alloc(cameBytes.length, version);
    await forward({ jobId: 'PS9-00000003', sourceVersion: 3 }, fileOf(3));
    await forward({ jobId: 'PS9-00000002', sourceVersion: 2 }, fileOf(2));
    await forward({ jobId: 'PS9-00000004', finalSiteCode: 'PS2' }, fileOf(4));
    await becomes('PS9-00000003', isMade);
    await becomes('PS9-00000004', isMade);
    await machine.until(async () => (await machine.history()).length === 2);
    assert.deepEqual(await ends(), [
      'PS9-00000001 cancelled: A newer order took its place',
      'PS9-00000002 cancelled: A newer order took its place',
    ]);
    assert.equal(await failure(), undefined, 'the source site knows');
  });

  it('ends what is on its way when it expires, and asks its source site for a new order', async () => {
    await forward({ jobId: 'PS9-00000001', expiresAtMs: machine.clock.nowMs() + 3_600_000 });
    await becomes('PS9-00000001', isMade);
    await machine.clock.advance(3_600_000);
    await site.allEnded(1_000);
    assert.deepEqual(await ends(), ['PS9-00000001 cancelled: Its instruction has expired']);
    const { jobId, mayRepeat } = (await failure()) ?? {};
    assert.deepEqual([jobId, mayRepeat], ['PS9-00000001', true]);
  });

  it('ends what is on its way to a site that is no more', async () => {
    await forward({ jobId: 'PS9-00000001' });
    await becomes('PS9-00000001', isMade);
    machine.tree.sites = testSites.filter(({ siteCode }) => siteCode !== 'SS1');
    await machine.store.write([site.notifier.notification('site', 'SS1')], { sync: false });
    await site.allEnded();
    assert.match((await ends())[0] ?? '', /Site SS1 is not in the hierarchy any more/);
  });

  it('ends what is on its way of a package that is deleted, with all that was said of it', async () => {
    await machine.order({ ...passedOn, jobId: 'PS9-00000001', forwarded: 'x' });
    await site.allEnded();
    await forward({ jobId: 'PS9-00000002', finalSiteCode: 'PS2' });
    await becomes('PS9-00000002', isMade);
    assert.ok(await failure());
    const row = { ...testPackage('PS900001', ''), state: 'deleting' } as const;
    await machine.store.write(
      [
        machine.store.records(keySpaces.publishedPackages).put('PS900001', row),
        site.notifier.notification('hierarchy-package', 'PS900001'),
      ],
      { sync: false },
    );
    await site.allEnded(1_000);
    assert.equal((await ends()).at(-1), 'PS9-00000002 cancelled: Its package is deleted');
    await machine.until(async () => (await failure()) === undefined);
  });

  const rank = async (packageId: string, priority: Priority, topic: NotificationTopic) => {
    const properties = { ...testPackage(packageId, '').properties, priority };
    const definition = { packageId, sourceSiteCode: packageId.slice(0, 3), properties };
    const row = { ...definition, directories: [] };
    const put = machine.store.records(keySpaces.packageDefinitions).put(packageId, row);
    const subject = topic === 'mini-job' ? job : packageId;
    const changes = [put, site.notifier.notification(topic, subject)];
    await machine.store.write(changes, { sync: false });
  };

  it('ranks an open request anew when its package has another priority (PTM-3, REP-5)', async () => {
    await machine.order({ priority: 3 });
    await becomes(job, isMade);
    await rank('CS100001', 1, 'mini-job');
    await becomes(job, ({ priority }) => priority === 1);
    await site.requests.whenIdle();
    const { requestId, file } = await site.requestOf(job);
    assert.notEqual(file.fileHash, '', 'it keeps all else');
    const stored = await machine.store.records(keySpaces.sendRequests).get(requestId);
    assert.equal(stored?.priority, 1);
    assert.equal((await machine.store.records(keySpaces.miniJobs).get(job))?.priority, 3);
  });

  it('ranks what is forwarded, too, within a minute', async () => {
    await forward({ jobId: 'PS9-00000002', finalSiteCode: 'PS2' });
    await becomes('PS9-00000002', ({ priority }) => priority === 2);
    await rank('PS900001', 3, 'hierarchy-package');
    const beganMs = machine.clock.monotonicMs();
    await machine.until(() => site.requests.ofJob('PS9-00000002')?.priority === 3, 1_000);
    assert.ok(machine.clock.monotonicMs() - beganMs <= 61_000);
  });

  it('makes files for the first few of a site only, so that one that is away fills no disk', async () => {
    const ids = Array.from({ length: 40 }, (_, index) => `CS1-${toHex(index)}`);
    await machine.order(
      ...ids.map((jobId, index) => ({ jobId, packageId: `CS1${toHex(index).slice(3)}` })),
    );
    await machine.order({ jobId: 'CS1-FFFFFFFF', packageId: 'CS1FFFFF', finalSiteCode: 'PS2' });
    await becomes('CS1-FFFFFFFF', isMade);
    // However often the ones that have their file are tried in vain.
    await machine.clock.advance(60_000);
    for (let time = 0; time < 20; time++) await machine.clock.advance(60_000);
    const made = [...site.requests.open()].filter(isMade);
    const toPs1 = made.filter(({ finalSiteCode }) => finalSiteCode === 'PS1').length;
    assert.ok(toPs1 >= 5 && toPs1 <= 10, `${toPs1} files`);
    assert.equal(made.filter(({ finalSiteCode }) => finalSiteCode === 'PS2').length, 1);
    machine.site('PS1').isUp = true;
    site.connected('PS1');
    await machine.until(async () => (await machine.history()).length >= 40, 1_000);
  });

  it('makes more files ahead as soon as an administrator lets it (ADM-3)', async () => {
    const ids = Array.from({ length: 20 }, (_, index) => `CS1-${toHex(index)}`);
    await machine.order(
      ...ids.map((jobId, index) => ({ jobId, packageId: `CS1${toHex(index).slice(3)}` })),
    );
    const made = () => [...site.requests.open()].filter(isMade).length;
    await machine.until(() => made() >= 5);
    for (let time = 0; time < 10; time++) await machine.clock.advance(1_000);
    assert.ok(made() <= 10, `${made()} files`);
    site.setFilesAhead(20);
    await machine.until(() => made() === 20);
  });
});

const toHex = (serial: number) => serial.toString(16).toUpperCase().padStart(8, '0');
