import assert from 'node:assert/strict';
import type { PackageStatus } from '../domain/package-status.ts';
import type { SitePackage } from '../domain/site-package.ts';
import { CapturedLog } from '../testing/captured-log.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { mapHeldContents } from './held-contents.ts';
import { joinKey, keySpaces } from './key-space.ts';
import { StateStore } from './state-store.ts';

const installed = (packageId: string, dpId: string, installedVersion: number) =>
  ({ packageId, dpId, installedVersion, changedAtMs: 7 }) as PackageStatus;

function sitePackage(packageId: string, sourceVersion: number, contents: [string, string][]) {
  const sources = contents.map(([contentName, contentId]) => ({
    directory: '/source',
    contentName,
    content: { contentId },
  }));
  return { packageId, sourceVersion, sources } as unknown as SitePackage;
}

describe('layout 2: contents that were installed before', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.path, logger }));
  });
  afterEach(async () => {
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  const locations = async () => {
    const found: string[] = [];
    for await (const [key, row] of store.records(keySpaces.contentDpMap).list()) {
      found.push(`${key} ${row.packageId} ${row.sourceVersion} ${row.state} ${row.sinceMs}`);
    }
    return found;
  };

  it('come into the content DP map, also after a crash in between (PULL-2)', async () => {
    const packages = store.records(keySpaces.packages);
    const statuses = store.records(keySpaces.packageStatus);
    const rows = [
      installed('PS100001', 'A', 2),
      installed('PS100001', 'B', 1),
      installed('PS100001', 'C', 0),
      installed('PS100001', '', 2),
      installed('PS100002', 'A', 3),
      installed('PS100002', 'B', 2),
    ];
    const application: [string, string][] = [
      ['Content_x', 'Content_x.1'],
      ['Content_y', 'Content_y.3'],
    ];
    await store.write(
      [
        packages.put('PS100001', sitePackage('PS100001', 2, [['PS100001', 'PS100001.2']])),
        packages.put('PS100002', sitePackage('PS100002', 3, application)),
        ...rows.map((row) => statuses.put(joinKey(row.packageId, row.dpId), row)),
      ],
      { sync: false },
    );
    const expected = [
      'Content_x.1/A PS100002 3 held 7',
      'Content_y.3/A PS100002 3 held 7',
      'PS100001.1/B PS100001 1 held 7',
      'PS100001.2/A PS100001 2 held 7',
    ];
    let batchCount = 0;
    const crashing = {
      records: store.records.bind(store),
      write: async (...batch: Parameters<StateStore['write']>) => {
        batchCount += 1;
        await store.write(...batch);
        throw new Error('killed');
      },
    } as unknown as StateStore;
    await assert.rejects(mapHeldContents(crashing), /killed/);
    assert.equal(batchCount, 1);
    await mapHeldContents(store);
    assert.deepEqual(await locations(), expected);
    await mapHeldContents(store);
    assert.deepEqual(await locations(), expected);
  });
});
