import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import type { SiteContent } from '../../shared/domain/hierarchy-package.ts';
import type { PackageInstruction } from '../../shared/domain/site-instruction.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { receivedFileReferences } from './received-file-references.ts';
import {
  type FakePackageFile,
  packageHashOf,
  type ReceiverLife,
  TestReceiver,
  until,
} from './testing/test-receiver.ts';

const minuteMs = 60_000;

describe('Despooler', () => {
  let receiver: TestReceiver;
  let life: ReceiverLife;

  beforeEach(async () => {
    receiver = await TestReceiver.create();
    life = await receiver.start();
  });
  afterEach(() => receiver[Symbol.asyncDispose]());

  const take = async (
    facts: Partial<PackageInstruction> & Pick<FakePackageFile, 'fails'> = {},
  ): Promise<PackageInstruction> => {
    const order = await receiver.order(facts);
    await life.intake.take(receiver.sign(order), 'CS1');
    return order;
  };
  const isDone = async () => (await receiver.waitingJobs()).length === 0;
  const view = (packageId = 'CS100001') =>
    life.despooler.list().find((one) => one.packageId === packageId);
  const stateOf = async (packageId?: string) => (await receiver.content(packageId))?.state;

  it('stores the version, and tells the source site, Distribution Manager and people (REP-6)', async () => {
    await receiver.metadata();
    await take();
    await until(isDone);
    assert.equal(receiver.library.packages.get('CS100001')?.sourceVersion, 1);
    const content = await receiver.content();
    assert.deepEqual(
      { ...content, changedAtMs: 0 },
      {
        packageId: 'CS100001',
        siteCode: 'PS1',
        state: 'stored',
        storedVersion: 1,
        storedHash: packageHashOf('CS100001', 1),
        reason: '',
        refusedJobId: '',
        needsFull: false,
        changedAtMs: 0,
      },
    );
    assert.deepEqual(await receiver.news('package'), ['CS100001']);
    const [told] = await receiver.statusMessages(4400);
    assert.deepEqual(told?.insertionStrings, ['CS100001', '1', 'CS1']);
    await until(() => life.despooler.list().length === 0);
  });

  it('says that content is arriving while it unpacks, and what is stored until then', async () => {
    receiver.library.packages.set('CS100001', await version(1));
    await receiver.metadata({ sourceVersion: 2 });
    let seen: unknown;
    receiver.onUnpack = async () => {
      const { state, storedVersion } = (await receiver.content()) ?? {};
      seen = [state, storedVersion, view()?.state];
    };
    await take({ sourceVersion: 2 });
    await until(isDone);
    assert.deepEqual(seen, ['arriving', 1, 'running']);
    assert.equal((await receiver.content())?.storedVersion, 2);
  });

  it('waits for metadata that is slower than content, and is woken by it (REP-6)', async () => {
    await take();
    await until(() => view()?.state === 'waiting');
    assert.match(view()?.reason ?? '', /has not arrived from site CS1 yet/);
    await until(async () => (await receiver.statusMessages(4401)).length === 1);
    assert.equal(await stateOf(), undefined, 'nothing is said to arrive');
    await receiver.metadata();
    await until(isDone);
    assert.equal(await stateOf(), 'stored');
  });

  it('is not woken by what is told of other packages', async () => {
    await take();
    await until(() => view()?.state === 'waiting');
    const waits = () =>
      receiver.own.log.lines.filter(
        ({ msg, packageId }) => msg === 'Instruction waits' && packageId === 'CS100001',
      ).length;
    const before = waits();
    await receiver.metadata({ packageId: 'CS100002' });
    await take({ packageId: 'CS100002' });
    await until(async () => (await stateOf('CS100002')) === 'stored');
    assert.equal(waits(), before);
    assert.equal(view()?.state, 'waiting');
  });

  it('waits for the metadata of the very version, or a later one', async () => {
    await receiver.metadata({ sourceVersion: 1 });
    await take({ sourceVersion: 2 });
    await until(() => view()?.state === 'waiting');
    await receiver.metadata({ sourceVersion: 3 });
    await until(isDone);
    assert.equal((await receiver.content())?.storedVersion, 2);
  });

  it('looks by itself after five minutes when no event told of the metadata (REP-6)', async () => {
    await take();
    await until(() => view()?.state === 'waiting');
    await receiver.metadata({}, false);
    await receiver.clock.advance(5 * minuteMs - 1);
    assert.equal(await stateOf(), undefined);
    await receiver.clock.advance(1);
    await until(isDone);
    assert.equal(await stateOf(), 'stored');
    assert.equal((await receiver.statusMessages(4401)).length, 1, 'told once');
  });

  it('does not wait for ever: content whose metadata never comes expires', async () => {
    const expiresAtMs = receiver.clock.nowMs() + 6 * minuteMs;
    await take({ expiresAtMs });
    await until(() => view()?.state === 'waiting');
    await receiver.clock.advance(5 * minuteMs);
    await until(() => view()?.state === 'waiting');
    await receiver.clock.advance(5 * minuteMs);
    await until(isDone);
    const { state, refusedJobId } = (await receiver.content()) ?? {};
    assert.deepEqual([state, refusedJobId], ['none', 'CS1-CS100001.1'], 'a new order may come');
  });

  it('passes on what is for another site, unopened, once (REP-4, REP-6)', async () => {
    const order = await take({ finalSiteCode: 'SS1', fails: 'MANIFEST_INVALID' });
    await until(isDone);
    const job = await receiver.store.records(keySpaces.miniJobs).get(order.jobId);
    const { forwarded = '', ...rest } = job ?? {};
    assert.deepEqual(rest, order);
    assert.ok(Buffer.from(forwarded, 'base64').includes(Buffer.from('CS100001')));
    assert.deepEqual(await receiver.news('mini-job'), [order.jobId]);
    assert.equal(receiver.library.commitCount, 0);
    assert.equal(await stateOf(), undefined);
    // The Scheduler has noted something on it meanwhile.
    const jobs = receiver.store.records(keySpaces.miniJobs);
    await receiver.store.write([jobs.put(order.jobId, { ...job!, priority: 1 })], { sync: false });
    await take({ finalSiteCode: 'SS1', fails: 'MANIFEST_INVALID' });
    await until(isDone);
    assert.equal((await jobs.get(order.jobId))?.priority, 1);
  });

  it('works on three at once, and on a package one after another (REP-6)', async () => {
    const gates: (() => void)[] = [];
    receiver.onUnpack = () => new Promise((open) => gates.push(open));
    for (const packageId of ['CS100001', 'CS100002', 'CS100003', 'CS100004']) {
      await receiver.metadata({ packageId, sourceVersion: 2 });
      await take({ packageId });
    }
    await take({ sourceVersion: 2, baseVersion: 1 });
    await until(() => receiver.unpacking.length === 3);
    await receiver.clock.advance(minuteMs);
    assert.deepEqual(receiver.unpacking.toSorted(), ['CS100001', 'CS100002', 'CS100003']);
    assert.equal(life.despooler.list().filter(({ state }) => state === 'ready').length, 2);
    for (let opened = 0; opened < 5; opened++) {
      await until(() => gates.length > 0);
      gates.shift()?.();
      assert.ok(new Set(receiver.unpacking).size === receiver.unpacking.length);
    }
    await until(isDone);
    assert.equal((await receiver.content())?.storedVersion, 2);
  });

  it('unpacks more at once as soon as its limits are raised (REP-6, ADM-3)', async () => {
    const gates: (() => void)[] = [];
    receiver.onUnpack = () => new Promise((open) => gates.push(open));
    Object.assign(receiver.limits, { packagesMax: 1 });
    for (const packageId of ['CS100001', 'CS100002']) {
      await receiver.metadata({ packageId });
      await take({ packageId });
    }
    await until(() => gates.length === 1 && view('CS100002')?.state === 'ready');
    Object.assign(receiver.limits, { packagesMax: 2 });
    receiver.settings.tell();
    await until(() => gates.length === 2);
    for (const open of gates) open();
    await until(isDone);
  });

  it('begins with what is urgent, then with what came first', async () => {
    const order: string[] = [];
    const gates: (() => void)[] = [];
    receiver.onUnpack = (file) => {
      order.push(file.packageId);
      return new Promise((open) => gates.push(open));
    };
    await life.stop();
    life = await receiver.start({ packagesMax: 1 });
    for (const [packageId, priority] of [
      ['CS100001', 2],
      ['CS100002', 3],
      ['CS100003', 2],
      ['CS100004', 1],
    ] as const) {
      await receiver.metadata({ packageId });
      await take({ packageId, priority });
      await receiver.clock.advance(1);
    }
    for (let opened = 0; opened < 4; opened++) {
      await until(() => gates.length > 0);
      gates.shift()?.();
    }
    await until(isDone);
    assert.deepEqual(order, ['CS100001', 'CS100004', 'CS100003', 'CS100002']);
  });

  for (const fails of [
    'MANIFEST_INVALID',
    'CONTENT_HASH_MISMATCH',
    'FILE_HASH_MISMATCH',
  ] as const) {
    it(`refuses what cannot be unpacked, and says so to the source site: ${fails} (REP-7)`, async () => {
      await receiver.metadata();
      const order = await take({ fails });
      await until(isDone);
      const content = await receiver.content();
      assert.equal(content?.state, 'refused');
      assert.equal(content?.refusedJobId, order.jobId);
      assert.equal(content?.needsFull, false);
      assert.notEqual(content?.reason, '');
      assert.equal(receiver.library.commitCount, 0);
      assert.equal((await receiver.statusMessages(4405)).length, 1);
      await take({ jobId: 'CS1-again' });
      await until(isDone);
      assert.equal(await stateOf(), 'stored', 'the good one sent after it goes through');
    });
  }

  it('asks for a full package file when the base of a delta is not whole here', async () => {
    receiver.library.packages.set('CS100001', await version(1));
    await receiver.metadata({ sourceVersion: 2 });
    await take({ sourceVersion: 2, baseVersion: 1, fails: 'DELTA_BASE_MISSING' });
    await until(isDone);
    const content = await receiver.content();
    assert.deepEqual([content?.state, content?.needsFull], ['refused', true]);
  });

  describe('of the version that is stored here, and is damaged (PKG-8)', () => {
    const said = (facts: Partial<SiteContent>) => receiver.say({ storedVersion: 1, ...facts });

    beforeEach(async () => {
      receiver.library.packages.set('CS100001', await version(1));
      await receiver.metadata();
    });

    it('unpacks a full package file again, and is whole then', async () => {
      await said({ needsFull: true, reason: 'damaged' });
      const seen: unknown[] = [];
      receiver.onUnpack = async () => {
        const { state, needsFull } = (await receiver.content()) ?? {};
        seen.push([state, needsFull]);
      };
      await take();
      await until(isDone);
      assert.deepEqual(seen, [['arriving', true]], 'a crash in between leaves that it is damaged');
      assert.equal(receiver.library.commitCount, 1);
      const { state, needsFull, reason } = (await receiver.content()) ?? {};
      assert.deepEqual([state, needsFull, reason], ['stored', false, '']);
    });

    it('still needs it when that could not be unpacked', async () => {
      await said({ needsFull: true, reason: 'damaged' });
      await take({ fails: 'CONTENT_INCOMPLETE' });
      await until(isDone);
      const { state, needsFull } = (await receiver.content()) ?? {};
      assert.deepEqual([state, needsFull], ['stored', true]);
    });

    it('unpacks nothing when it is whole', async () => {
      await said({});
      await take();
      await until(isDone);
      assert.equal(receiver.library.commitCount, 0);
    });
  });

  for (const fails of ['CONTENT_INCOMPLETE', 'CONTENT_NOT_HELD', 'FILE_NOT_HELD'] as const) {
    it(`asks for the same again when this site has lost what it needs: ${fails}`, async () => {
      await receiver.metadata();
      const { jobId } = await take({ fails });
      await until(isDone);
      const { state, refusedJobId, needsFull } = (await receiver.content()) ?? {};
      assert.deepEqual([state, refusedJobId, needsFull], ['none', jobId, false]);
    });
  }

  it('asks for the same again when the disk has damaged the file, and drops it', async () => {
    await receiver.metadata();
    let path = '';
    receiver.onUnpack = () => writeFile(path, 'damaged');
    const order = await receiver.order({ fails: 'PACKAGE_FILE_INVALID' });
    path = receiver.packageFiles.pathOf(order.file.fileHash);
    await life.intake.take(receiver.sign(order), 'CS1');
    await until(isDone);
    assert.equal(await stateOf(), 'none');
    assert.equal(receiver.packageFiles.has(order.file.fileHash), false);
    receiver.onUnpack = async () => {};
    await take({ jobId: 'CS1-again', fails: 'PACKAGE_FILE_INVALID' });
    await until(isDone);
    assert.equal(await stateOf(), 'refused', 'and not when it came so');
  });

  it('refuses content that is not what the source site published under that version (REP-7)', async () => {
    await receiver.metadata({ packageHash: packageHashOf('CS100001', 9) });
    await take();
    await until(isDone);
    assert.equal(await stateOf(), 'refused');
    assert.equal(receiver.library.commitCount, 0);
  });

  it('waits for room, tells of it once, and goes on by itself', async () => {
    await receiver.metadata();
    let isFull = true;
    receiver.onUnpack = async () => {
      if (isFull) throw full();
    };
    await take();
    await until(() => view()?.state === 'waiting');
    assert.match(view()?.reason ?? '', /bytes free/);
    await receiver.clock.advance(5_000);
    await until(() => view()?.state === 'waiting');
    await until(async () => (await receiver.statusMessages(4406)).length === 1);
    isFull = false;
    await receiver.clock.advance(10_000);
    await until(isDone);
    assert.equal(await stateOf(), 'stored');
  });

  it('lets a delta wait until all before it are stored', async () => {
    await receiver.metadata({ sourceVersion: 2 });
    let isFull = true;
    const unpacked: number[] = [];
    receiver.onUnpack = async ({ sourceVersion }) => {
      if (isFull) throw full();
      unpacked.push(sourceVersion);
    };
    await take();
    await until(() => view()?.state === 'waiting');
    await take({ sourceVersion: 2, baseVersion: 1 });
    await until(() => life.despooler.list().length === 2);
    isFull = false;
    await receiver.clock.advance(5_000);
    await until(isDone);
    assert.deepEqual(unpacked, [1, 2]);
  });

  it('drops quietly what a later version has overtaken', async () => {
    await receiver.metadata({ sourceVersion: 2 });
    let isFull = true;
    receiver.onUnpack = async () => {
      if (isFull) throw full();
    };
    await take();
    await until(() => view()?.state === 'waiting');
    isFull = false;
    await take({ sourceVersion: 2 });
    await until(async () => (await receiver.content())?.storedVersion === 2);
    await receiver.clock.advance(5_000);
    await until(isDone);
    assert.deepEqual([await stateOf(), receiver.library.commitCount], ['stored', 1]);
    assert.equal((await receiver.statusMessages(4405)).length, 0);
  });

  it('drops what is for a package that is deleted, whatever it waits for', async () => {
    await take();
    await until(() => view()?.state === 'waiting');
    await receiver.metadata({ state: 'deleted' });
    await until(isDone);
    assert.equal(receiver.library.commitCount, 0);
    assert.equal(await stateOf(), undefined);
  });

  it('does not leave "arriving" behind for a package that is deleted meanwhile', async () => {
    await receiver.metadata();
    receiver.onUnpack = async () => {
      await receiver.metadata({ state: 'deleting' });
      throw full();
    };
    await take();
    await until(() => view()?.state === 'waiting');
    assert.equal(await stateOf(), 'arriving');
    await receiver.clock.advance(5_000);
    await until(isDone);
    assert.equal(await stateOf(), 'none');
  });

  it('says that a package file is gone, so that it is sent again', async () => {
    const order = await receiver.order();
    await life.intake.take(receiver.sign(order), 'CS1');
    await until(() => view()?.state === 'waiting');
    await receiver.loseFile(order.file.fileHash);
    await receiver.metadata();
    await until(isDone);
    const { state, refusedJobId } = (await receiver.content()) ?? {};
    assert.deepEqual([state, refusedJobId], ['none', order.jobId]);
  });

  it('needs the package file as long as its instruction waits', async () => {
    const order = await take();
    const needed = [];
    for await (const hash of receivedFileReferences(receiver.store)) needed.push(hash);
    assert.deepEqual(needed, [order.file.fileHash]);
  });

  it('stops while it unpacks, and does it again after the next start', async () => {
    await receiver.metadata();
    let isUnpacking = false;
    let open = () => {};
    receiver.onUnpack = () => {
      isUnpacking = true;
      return new Promise((resolve) => {
        open = resolve;
      });
    };
    await take();
    await until(() => isUnpacking);
    const stopped = life.stop();
    open();
    await stopped;
    assert.equal(receiver.library.commitCount, 0);
    receiver.onUnpack = async () => {};
    life = await receiver.start();
    await until(isDone);
    assert.equal(receiver.library.commitCount, 1);
  });

  const version = async (sourceVersion: number) => receiver.versionOf('CS100001', sourceVersion);
  const full = () => receiver.diskFull();
});
