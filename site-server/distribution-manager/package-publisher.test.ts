import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { PackagePublisher } from './package-publisher.ts';
import type { TakeSnapshot } from './publishing-ports.ts';
import { fakePackageHashOf } from './testing/fake-sources.ts';
import { openTestMachine, type TestMachine, TestSite } from './testing/test-site.ts';

const diskFull = new WaybillError({
  code: 'DISK_FULL',
  path: '/library',
  freeBytes: 1,
  neededBytes: 2,
});

describe('Package publisher', () => {
  let machine: TestMachine;
  let site: TestSite;
  const { signal } = new AbortController();

  beforeEach(async () => {
    machine = await openTestMachine();
    site = await TestSite.start(machine);
    // The publisher of these tests works alone.
    await site.distributionManager.stop();
  });

  afterEach(async () => {
    await site[Symbol.asyncDispose]();
    await machine[Symbol.asyncDispose]();
  });

  function publisherWith(takeSnapshot: TakeSnapshot): PackagePublisher {
    const { store, clock, log, sources } = machine;
    const { packages, status, progress } = site;
    const { library } = sources;
    const { logger } = log;
    const parts = { store, packages, status, progress, library, clock, logger };
    return new PackagePublisher({ ...parts, takeSnapshot, packageHashOf: fakePackageHashOf });
  }

  for (const [what, failure] of Object.entries({
    'is postponed': diskFull,
    'is refused': new WaybillError({ code: 'SOURCE_EMPTY', path: '/source' }),
  })) {
    it(`does not bring back a package that is deleted while its snapshot ${what}`, async () => {
      const packageId = await site.createPackage('v1');
      const publisher = publisherWith(async () => {
        await site.packageCommands.delete(packageId);
        throw failure;
      });
      await publisher.publishDue(packageId, signal);
      assert.equal((await site.getPackage(packageId))?.state, 'deleting');
    });
  }

  it('does not make known what is published of a package that is being deleted', async () => {
    const packageId = await site.createPackage('v1');
    const publisher = publisherWith(async (request) => {
      await site.packageCommands.delete(packageId);
      return machine.sources.takeSnapshot(request);
    });
    await publisher.publishDue(packageId, signal);
    const row = await site.packages.require(packageId);
    assert.equal(row.state, 'deleting');
    assert.equal(row.sourceVersion, 0);
  });

  it('keeps what an administrator changed while the source was read', async () => {
    const packageId = await site.createPackage('v1');
    const publisher = publisherWith(async (request) => {
      await site.packageCommands.set(packageId, (before) => ({ ...before, name: 'New' }), []);
      await site.packageCommands.update(packageId);
      return machine.sources.takeSnapshot(request);
    });
    await publisher.publishDue(packageId, signal);
    const row = await site.packages.require(packageId);
    assert.equal(row.properties.name, 'New');
    assert.equal(row.sourceVersion, 1);
    assert.equal(row.handledRequestCount, 1);
    assert.equal(row.acceptedRequestCount, 2);
    assert.equal(row.state, 'pending', 'the newer request is due');
  });

  it('shows how far it is while it reads, and not afterwards', async () => {
    const packageId = await site.createPackage('v1');
    const seen: unknown[] = [];
    site.progress.onProgress((id) => seen.push(site.progress.get(id)));
    await publisherWith(machine.sources.takeSnapshot).publishDue(packageId, signal);
    assert.deepEqual(seen, [{ files: 1, bytes: 1 }]);
    assert.equal(site.progress.get(packageId), undefined);
  });

  it('leaves a request due when it is aborted', async () => {
    const packageId = await site.createPackage('v1');
    machine.sources.hold();
    const controller = new AbortController();
    const publisher = publisherWith(machine.sources.takeSnapshot);
    const publishing = publisher.publishDue(packageId, controller.signal);
    await site.until(() => machine.sources.snapshotCount === 1);
    controller.abort();
    await assert.rejects(publishing, { name: 'AbortError' });
    assert.equal((await site.packages.require(packageId)).handledRequestCount, 0);
  });
});
