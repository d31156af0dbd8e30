import assert from 'node:assert/strict';
import { open, readFile, writeFile } from 'node:fs/promises';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import { siteContentWork } from '../../shared/domain/site-content-work.ts';
import {
  beginningBytes,
  encodeBeginning,
  encodePrestagedHead,
  type PrestagedHead,
} from '../../shared/prestaged-file/prestaged-file-format.ts';
import { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import {
  type FakePackageFile,
  packageHashOf,
  TestReceiver,
  until,
} from '../despooler/testing/test-receiver.ts';
import type { TestIdentity } from '../site-identity/testing/test-identity.ts';
import { type ImportProgress, PackageImport } from './package-import.ts';
import { PrestagedHolds } from './prestaged-holds.ts';

type Life = Awaited<ReturnType<TestReceiver['start']>>;

const packageId = 'CS100001';
const keptMs = 30 * 86_400_000;

describe('import of a prestaged file at a site (PKG-12)', () => {
  let receiver: TestReceiver;
  let fileCount = 0;

  beforeEach(async () => {
    receiver = await TestReceiver.create();
  });
  afterEach(() => receiver[Symbol.asyncDispose]());

  /** A prestaged file, signed by the site. */
  async function prestaged(
    facts: Partial<FakePackageFile> & { readonly padding?: number } = {},
    by: TestIdentity = receiver.cs1,
  ): Promise<string> {
    const { padding = 0, ...said } = facts;
    const { sourceVersion = 1, baseVersion = 0 } = said;
    const packageHash = packageHashOf(packageId, sourceVersion);
    const file = { packageId, sourceVersion, baseVersion, packageHash, ...said };
    const bytes = Buffer.from(JSON.stringify(file).padEnd(padding));
    const fileHash = hashOf(bytes);
    const head: Omit<PrestagedHead, 'identity'> = {
      ...{ packageId, sourceVersion, baseVersion, packageHash, fileHash },
      ...{ fileBytes: bytes.length, madeAtMs: receiver.clock.nowMs() },
    };
    const { bytes: signedBytes, ...signed } = await by.keeper.signWithIdentity((identity) =>
      encodePrestagedHead({ ...head, identity }),
    );
    const path = receiver.own.place.join(`file-${++fileCount}.wbp`);
    await writeFile(path, Buffer.concat([encodeBeginning(signedBytes, signed), bytes]));
    return path;
  }

  function importer(life: Life): PackageImport {
    const { clock, library, packageFiles } = receiver;
    const { store } = life.crashing;
    const { keeper: identities, log } = receiver.own;
    const notifier = new ChangeNotifier({ store });
    const { logger } = log;
    const holds = new PrestagedHolds(
      { store, notifier, clock, logger },
      { keptMs, sweepIntervalMs: 1_000 },
    );
    return new PackageImport({
      ...{ store, notifier, library, identities, packageFiles, holds, clock, logger },
      ...{ files: life.files, despooler: life.despooler, siteCode: 'PS1' },
      lookInto: async () => 1_000,
    });
  }

  /** Imports while time goes on, unless the site is killed first. */
  async function run(
    life: Life,
    path: string,
    onProgress: (progress: ImportProgress) => void = () => {},
  ): Promise<ImportProgress> {
    let hasEnded = false;
    const end = () => {
      hasEnded = true;
    };
    const running = importer(life).run(path, onProgress, new AbortController().signal);
    running.then(end, end);
    await until(async () => {
      if (!hasEnded) await receiver.clock.advance(100);
      return hasEnded || life.crashing.hasCrashed;
    });
    if (!hasEnded) throw new Error('The site was killed');
    return running;
  }

  /** Nothing of this life is done any more, on disk or in rows. */
  async function kill(life: Life): Promise<void> {
    life.crashing.crash();
    await life.files.stop();
  }

  it('stores what it holds, says so, and keeps it', async () => {
    await receiver.metadata();
    const life = await receiver.start();
    const stages: string[] = [];
    const done = await run(life, await prestaged(), ({ stage }) => stages.push(stage));
    assert.equal(done.stage, 'stored');
    assert.equal(stages[0], 'copying');
    assert.equal((await receiver.library.getPackage(packageId))?.sourceVersion, 1);
    const content = await receiver.content();
    assert.equal(content?.state, 'stored');
    const hold = await receiver.store.records(keySpaces.prestagedPackages).get(packageId);
    assert.equal(hold?.keptUntilMs, done.keptUntilMs);
    assert.deepEqual(await receiver.waitingJobs(), []);
    // By that row its source site sends nothing, and takes back what is on its way.
    const rows = {
      ...{ sourceVersion: 1, packageHash: packageHashOf(packageId, 1), content },
      wish: { wishes: { PS1DP1: 'x' }, redistributed: new Set<string>() },
      ...{ result: undefined, failure: undefined, hasVersion: () => false },
    };
    const packageHash = packageHashOf(packageId, 1);
    const openJob = { jobId: 'CS1-1', sourceVersion: 1, baseVersion: 0, packageHash };
    const delivery = { ...openJob, packageId, siteCode: 'PS1', wishes: {}, repeatCount: 0 };
    const underWay = siteContentWork({ ...rows, delivery, openJob });
    assert.deepEqual(underWay, { kind: 'forget' });
    const atRest = siteContentWork({ ...rows, delivery: undefined, openJob: undefined });
    assert.deepEqual(atRest, { kind: 'nothing' });
  });

  it('has nothing to do for what is stored, but keeps it for longer', async () => {
    await receiver.metadata();
    const life = await receiver.start();
    const path = await prestaged();
    const { keptUntilMs } = await run(life, path);
    await receiver.clock.advance(1_000);
    const again = await run(life, path);
    assert.equal(again.stage, 'stored-before');
    assert.ok(again.keptUntilMs > keptUntilMs);
    assert.equal(receiver.library.commitCount, 1);
  });

  it('is unpacked over what is stored of the same version, and damaged (PKG-8)', async () => {
    await receiver.metadata();
    const life = await receiver.start();
    const path = await prestaged();
    await run(life, path);
    await receiver.say({ reason: 'the copy of this site is damaged' });
    assert.equal((await run(life, path)).stage, 'stored');
    assert.equal(receiver.library.commitCount, 2);
    const { reason, needsFull } = (await receiver.content()) ?? {};
    assert.deepEqual([reason, needsFull], ['', false]);
  });

  it('waits for the metadata, and is stored when that comes', async () => {
    const life = await receiver.start();
    const done = await run(life, await prestaged());
    assert.equal(done.stage, 'waiting');
    assert.match(done.reason, /has not arrived from site CS1 yet/);
    await receiver.metadata();
    await until(async () => (await receiver.content())?.state === 'stored');
  });

  it('takes what another site made once its source site has published the same', async () => {
    const life = await receiver.start();
    const path = await prestaged({}, receiver.cs2);
    assert.equal((await run(life, path)).stage, 'waiting');
    await receiver.metadata();
    await until(async () => (await receiver.content())?.state === 'stored');
  });

  it('refuses what another site made of what its source site does not speak of', async () => {
    const life = await receiver.start();
    const path = await prestaged({}, receiver.cs2);
    assert.equal((await run(life, path)).stage, 'waiting');
    await receiver.metadata({ sourceVersion: 2 });
    await until(async () => (await receiver.waitingJobs()).length === 0);
    assert.equal(await receiver.library.getPackage(packageId), undefined);
    const [report] = await receiver.statusMessages(4405);
    assert.match(report?.insertionStrings.join() ?? '', /cannot speak for this version/);
  });

  it('says why it could not be unpacked; to the source site nothing has changed', async () => {
    await receiver.metadata();
    const life = await receiver.start();
    const path = await prestaged({ fails: 'PACKAGE_FILE_INVALID' });
    await assert.rejects(run(life, path), { code: 'PRESTAGED_FILE_INVALID' });
    const content = await receiver.content();
    assert.equal(content?.state, 'none');
    assert.equal(content.needsFull, false);
  });

  it('refuses altered bytes once all have come, and keeps none of them', async () => {
    await receiver.metadata();
    const life = await receiver.start();
    const path = await prestaged();
    const bytes = await readFile(path);
    bytes.writeUInt8(bytes.readUInt8(beginningBytes + 5) ^ 1, beginningBytes + 5);
    await writeFile(path, bytes);
    await assert.rejects(run(life, path), (error: Error) => {
      assert.match(error.message, /its bytes were altered: expected hash .*, got /);
      return true;
    });
    assert.equal(await receiver.content(), undefined);
    assert.deepEqual(await receiver.waitingJobs(), []);
    assert.deepEqual(receiver.packageFiles.adopted, []);
  });

  it('goes on from where it was when its copying broke off', async () => {
    await receiver.metadata();
    const path = await prestaged({ padding: 3 * 1024 * 1024 });
    const first = await receiver.start();
    const stopping = new AbortController();
    const breaking = importer(first).run(
      path,
      ({ doneBytes }) => doneBytes > 0 && stopping.abort(),
      stopping.signal,
    );
    await assert.rejects(breaking, { name: 'AbortError' });
    await kill(first);
    const second = await receiver.start();
    const done: number[] = [];
    const { stage } = await run(second, path, ({ doneBytes }) => done.push(doneBytes));
    assert.equal(stage, 'stored');
    assert.equal(done[0], 1024 * 1024, 'what was copied');
  });

  for (const isWritten of [false, true]) {
    const which = isWritten ? 'after' : 'before';
    it(`is done when it is imported again after a crash ${which} each write`, async () => {
      let writes = 1;
      for (let isOver = false; !isOver; writes++) {
        await receiver[Symbol.asyncDispose]();
        receiver = await TestReceiver.create();
        await receiver.metadata();
        const path = await prestaged();
        const life = await receiver.start();
        life.crashing.crashAt(writes, isWritten);
        isOver = await run(life, path).then(
          () => true,
          () => false,
        );
        await kill(life);
        const { stage } = await run(await receiver.start(), path);
        assert.match(stage, /^stored/);
        await until(async () => (await receiver.waitingJobs()).length === 0);
        assert.equal((await receiver.content())?.state, 'stored');
        assert.ok(await receiver.store.records(keySpaces.prestagedPackages).get(packageId));
      }
      assert.ok(writes > 3, 'there were crashes');
    });
  }

  it('writes nothing when there is no room for a copy', async () => {
    await receiver.metadata();
    const life = await receiver.start();
    const files = {
      ...{ receive: life.files.receive, stop: async () => {} },
      offer: async () => {
        throw receiver.diskFull();
      },
    };
    const full = { ...life, files } as unknown as Life;
    await assert.rejects(run(full, await prestaged()), { code: 'DISK_FULL' });
    assert.deepEqual(await receiver.waitingJobs(), []);
    assert.equal(
      await receiver.store.records(keySpaces.prestagedPackages).get(packageId),
      undefined,
    );
  });

  it('waits for room to unpack, and goes on by itself', async () => {
    await receiver.metadata();
    const life = await receiver.start();
    receiver.onUnpack = async () => {
      throw receiver.diskFull();
    };
    const done = await run(life, await prestaged());
    assert.equal(done.stage, 'waiting');
    assert.match(done.reason, /1 bytes free; 2 are needed/);
    receiver.onUnpack = async () => {};
    await until(async () => {
      await receiver.clock.advance(1_000);
      return (await receiver.content())?.state === 'stored';
    });
  });

  it('refuses paths that are none', async () => {
    const life = await receiver.start();
    for (const path of ['relative.wbp', '', '/a\0b', `/${'x'.repeat(5_000)}`, '/folder/']) {
      await assert.rejects(run(life, path), { code: 'REQUEST_INVALID' });
    }
    await using pipe = await open(receiver.own.place.join('text'), 'w');
    await pipe.writeFile('no prestaged file');
    const text = receiver.own.place.join('text');
    await assert.rejects(run(life, text), { code: 'PRESTAGED_FILE_INVALID' });
  });
});
