import assert from 'node:assert/strict';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import type { HeldFile } from '../../shared/content-library/library-tasks.ts';
import type { Delta } from '../../shared/domain/delta.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { noiseOf } from '../../shared/testing/noise.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { TestLibrary } from '../../shared/testing/test-library.ts';
import { HierarchyPackageRows } from '../distribution-manager/hierarchy-package-rows.ts';
import { PackageStore } from '../distribution-manager/package-store.ts';
import { installedAt, KnownHoldings } from './known-holdings.ts';
import { type Holdings, lackingBytesOf } from './lacking-bytes.ts';
import { openStoredVersion, type PreviewedVersion } from './previewed-version.ts';

const { signal } = new AbortController();
const [packageId, otherId] = ['PS100001', 'PS100002'];
const shared = noiseOf(300_000, 1);
const own = noiseOf(200_000, 2);
const tree = { 'shared.bin': shared, again: { 'shared.bin': shared }, 'own.bin': own };

describe('what a DP lacks', () => {
  let directory: TemporaryDirectory;
  let test: TestLibrary;
  let previewed: PreviewedVersion;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    test = await TestLibrary.open({ directory: directory.path });
    await test.commit(packageId, 1, tree);
    await test.commit(otherId, 1, { 'theirs.bin': shared });
    const opened = await openStoredVersion(test.library, packageId, 1);
    assert.ok(opened);
    previewed = opened;
  });

  afterEach(async () => {
    await previewed[Symbol.asyncDispose]();
    await test[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  /** A DP that holds these bytes. */
  function holding(...held: readonly Uint8Array[]): Holdings {
    const hashes = held.map(hashOf);
    return {
      areHeld: async (files: readonly HeldFile[]) => files.map(({ hash }) => hashes.includes(hash)),
      hasContent: () => false,
    };
  }

  it('counts each file once, and the manifests beside', async () => {
    const lacking = await lackingBytesOf(previewed, holding(), signal);
    assert.deepEqual([lacking.bytes, lacking.fileCount], [500_000, 2]);
    const [content] = previewed.version.contents;
    assert.equal(
      lacking.manifestBytes,
      (content?.manifestBytes ?? 0) + (content?.signatureBytes ?? 0),
    );
  });

  it('leaves out what is there (PTM-4)', async () => {
    const { bytes } = await lackingBytesOf(previewed, holding(shared), signal);
    assert.equal(bytes, 200_000);
  });

  it('counts a delta instead of its file where the base is there', async () => {
    const base = noiseOf(190_000, 3);
    const delta: Delta = {
      ...{ fileHash: hashOf(own), fileBytes: own.length },
      ...{ baseHash: hashOf(base), baseBytes: base.length },
      ...{ deltaHash: hashOf(Buffer.from('delta')), deltaBytes: 1_000, deltaPieceHashes: '' },
    };
    const withDelta = { ...previewed, deltas: new Map([[delta.fileHash, delta]]) };
    const based = await lackingBytesOf(withDelta, holding(shared, base), signal);
    assert.equal(based.bytes, 1_000);
    const whole = await lackingBytesOf(withDelta, holding(shared), signal);
    assert.equal(whole.bytes, 200_000);
  });

  it('reckons by all packages that are known to be installed there, in the version that is here', async () => {
    const { store, clock, library } = test;
    const packages = new PackageStore({ store, clock });
    const hierarchyPackages = new HierarchyPackageRows({ store, siteCode: 'PS1' });
    const versions = { filesOf: async () => undefined };
    const needs = { store, library, packages, hierarchyPackages, versions };
    const statuses = store.records(keySpaces.packageStatus);
    const row = { packageId: otherId, state: 'installed', targetVersion: 1, jobSerial: 1 } as const;
    const status = { ...row, reason: '', changedAtMs: 0, verifiedHash: '' };
    await store.write(
      [
        statuses.put(joinKey(otherId, 'A'), { ...status, dpId: 'A', installedVersion: 1 }),
        statuses.put(joinKey(otherId, 'B'), { ...status, dpId: 'B', installedVersion: 7 }),
      ],
      { sync: false },
    );
    const installed = await installedAt(needs, new Set(['A', 'B', 'C']));
    const lackingAt = async (dpId: string) => {
      using known = await KnownHoldings.of(needs, packageId, installed.get(dpId) ?? []);
      return [(await lackingBytesOf(previewed, known, signal)).bytes, known.isEmpty];
    };
    assert.deepEqual(await lackingAt('A'), [200_000, false]);
    assert.deepEqual(await lackingAt('B'), [500_000, true], 'another version than the one here');
    assert.deepEqual(await lackingAt('C'), [500_000, true]);
  });
});
