import assert from 'node:assert/strict';
import type { PackageAssignment, PackageDefinition } from './hierarchy-package.ts';
import {
  foreignPackageFate,
  handledCountOf,
  toDefinition,
  toForeignPackage,
  wishEffect,
  withDefinition,
  withoutContent,
  withRequestsTaken,
} from './hierarchy-package-work.ts';
import type { PackageProperties } from './package.ts';
import { isSnapshotDue, newestVersionOf, withVersionPublished } from './package-processing.ts';
import type { PackageStatus } from './package-status.ts';
import { toSiteStatus } from './package-status-moves.ts';
import type { PackageServer, SitePackage } from './site-package.ts';

const packageId = 'CS100001';
const properties: PackageProperties = {
  ...{ name: 'A', version: '', manufacturer: '', language: '', description: '' },
  ...{ priority: 2, programs: [], iconName: '', iconBase64: '' },
};
const published: SitePackage = {
  ...{ packageId, properties, sourceSiteCode: 'CS1', sourceVersion: 3, packageHash: 'h3' },
  sources: [{ directory: '/a', contentName: packageId }],
  ...{ state: 'published', reason: '', acceptedRequestCount: 4, handledRequestCount: 4 },
  ...{ sourceUnchanged: false, createdAtMs: 1, updatedAtMs: 2 },
};
const definition: PackageDefinition = toDefinition(published);
const facts = { packageId, sourceSiteCode: 'CS1', nowMs: 9 };
const nothing = { definition: undefined, published: undefined, row: undefined };
const silent = { ...nothing, isWanted: false, isDeletionAsked: false, isSourceGone: false };

function foreign(changes: Partial<SitePackage> = {}): SitePackage {
  const row = toForeignPackage({ ...silent, definition, published }, facts);
  assert.ok(row);
  return { ...row, ...changes };
}

describe('What the hierarchy says of a package of another site', () => {
  const leaving = { ...published, state: 'deleting' } as const;
  for (const [what, rows, expected] of [
    ['published', { published }, 'keep'],
    ['defined and not heard of yet', { definition }, 'keep'],
    ['being deleted', { definition, published: leaving }, 'leave'],
    ['told of by nobody', { row: foreign() }, 'forget'],
    ['published by a site that is gone', { definition, published, isSourceGone: true }, 'forget'],
    ['read back after damage', { row: foreign({ isUnconfirmed: true }) }, 'keep'],
    [
      'read back after damage, and asked to go',
      { row: foreign({ isUnconfirmed: true }), isDeletionAsked: true },
      'forget',
    ],
  ] as const) {
    it(`${what}: ${expected}`, () => {
      assert.equal(foreignPackageFate({ ...silent, ...rows }), expected);
    });
  }

  for (const [isWanted, sourceVersion, state] of [
    [false, 0, 'published'],
    [true, 0, 'pending'],
    [true, 2, 'pending'],
    [false, 2, 'published'],
    [true, 3, 'published'],
  ] as const) {
    it(`version ${sourceVersion} of 3 here, wanted: ${isWanted}, is ${state} (DM-3)`, () => {
      const row = foreign({ sourceVersion });
      const next = toForeignPackage({ ...silent, definition, published, row, isWanted }, facts);
      assert.equal(next?.state, state);
      const reason = state === 'pending' ? 'content has not arrived from site CS1 yet' : '';
      assert.equal(next.reason, reason);
      assert.equal(next.sourceVersion, sourceVersion, 'only an arrival changes what is here');
      assert.equal(newestVersionOf(next), 3);
      assert.equal(isSnapshotDue(next), false, 'its source is read at its own site only');
    });
  }

  it('is the same row when nothing is new', () => {
    const row = foreign();
    assert.equal(toForeignPackage({ ...silent, definition, published, row }, facts), row);
  });

  it('is on the site once it has arrived, and awaited until the newest has', () => {
    const contents = ['x', packageId].map((name) => ({
      ...{ contentId: `${name}.2`, contentHash: 'c', signatureHash: 's', manifestBytes: 1 },
      ...{ signatureBytes: 0, entryCount: 1, fileCount: 1, sizeBytes: 1 },
    }));
    const version = { packageId, sourceVersion: 2, packageHash: 'h2', contents, properties };
    const arrived = { version, coveredRequestCount: 0 };
    const older = withVersionPublished(foreign(), arrived, 9);
    assert.equal(older.state, 'pending');
    assert.deepEqual(
      older.sources.map(({ contentName, directory }) => [contentName, directory]),
      [
        ['x', ''],
        [packageId, '/a'],
      ],
    );
    const newest = withVersionPublished(
      foreign(),
      { ...arrived, version: { ...version, sourceVersion: 3 } },
      9,
    );
    assert.equal(newest.state, 'published');
    assert.equal(toSiteStatus(newest)?.state, 'installed');
    assert.equal(toSiteStatus(older)?.state, 'content-updating');
    assert.equal(toSiteStatus(older)?.targetVersion, 3);
    assert.equal(toSiteStatus(foreign()), undefined, 'neither wanted nor here');
  });

  it('is awaited again when its content has gone from under those who want it', () => {
    const row = foreign({ sourceVersion: 3, packageHash: 'h3' });
    assert.equal(withoutContent(row, { isWanted: true, nowMs: 9 }).state, 'pending');
    const bare = withoutContent(row, { isWanted: false, nowMs: 9 });
    assert.deepEqual([bare.state, bare.sourceVersion, bare.packageHash], ['published', 0, '']);
    const leaves = withoutContent({ ...row, state: 'deleting' }, { isWanted: false, nowMs: 9 });
    assert.equal(leaves.state, 'deleting');
  });
});

describe('What other sites say of a package of this site', () => {
  it('names and directories as they were said last; one directory for each source', () => {
    const renamed = { properties: { ...properties, name: 'B' }, directories: ['/b'] };
    const next = withDefinition(published, renamed);
    assert.equal(next.properties.name, 'B');
    assert.equal(next.sources[0]?.directory, '/b');
    const two = withDefinition(published, { ...renamed, directories: ['/b', '/c'] });
    assert.equal(two.sources[0]?.directory, '/a');
    assert.equal(withDefinition(published, definition), published);
  });

  it('takes requests of each site once, and knows when they are handled', () => {
    const of = (siteCode: string, updateCount: number) => {
      return { packageId, siteCode, updateCount, isDeletion: false };
    };
    const once = withRequestsTaken(published, [of('PS1', 2), of('PS2', 1)], 9);
    assert.equal(once.acceptedRequestCount, 7);
    assert.equal(once.state, 'pending');
    assert.equal(withRequestsTaken(once, [of('PS1', 2), of('PS2', 1)], 9), once);
    const taken = once.requestsTaken?.PS1;
    assert.equal(handledCountOf(taken, 5), 0);
    assert.equal(handledCountOf(taken, 6), 2);
    const again = withRequestsTaken({ ...once, handledRequestCount: 7 }, [of('PS1', 3)], 9);
    assert.equal(handledCountOf(again.requestsTaken?.PS1, 7), 2, 'what was handled stays so');
    assert.equal(handledCountOf(again.requestsTaken?.PS1, 8), 3);
    assert.equal(handledCountOf(undefined, 8), 0);
  });
});

describe('A wish for a DP of this site', () => {
  const server = (changes: Partial<PackageServer> = {}): PackageServer => ({
    ...{ packageId, dpId: 'DP1', intent: 'installed', action: 'none' },
    ...{ changedAtMs: 1, wishId: 'w1', ...changes },
  });
  const wish = (action: PackageAssignment['action'], wishId = 'w2'): PackageAssignment => ({
    ...{ packageId, dpId: 'DP1', siteCode: 'PS1', action, wishId, wishedAtMs: 5 },
    intent: action === 'remove' ? 'removed' : 'installed',
  });
  const failed = { state: 'install-failed' } as PackageStatus;
  const installed = { state: 'installed' } as PackageStatus;

  for (const [what, asked, rows, action, isWork] of [
    ['adds what is not there', wish('add'), {}, 'add', true],
    ['remembers an add where it is', wish('add'), { server: server() }, 'none', false],
    ['adds again what failed', wish('add'), { server: server(), status: failed }, 'add', true],
    [
      'adds what is being removed',
      wish('add'),
      { server: server({ intent: 'removed', action: 'remove' }) },
      'add',
      true,
    ],
    [
      'keeps a repair that is due',
      wish('add'),
      { server: server({ action: 'redistribute' }), status: failed },
      'redistribute',
      true,
    ],
    [
      'repairs',
      wish('redistribute'),
      { server: server(), status: installed },
      'redistribute',
      true,
    ],
    ['removes', wish('remove'), { server: server(), status: installed }, 'remove', true],
  ] as const) {
    it(what, () => {
      const effect = wishEffect(asked, {
        server: undefined,
        status: undefined,
        ...rows,
        isLeaving: false,
      });
      assert.equal(effect?.server.action, action);
      assert.equal(effect.isWork, isWork);
      assert.equal(effect.server.wishId, 'w2');
      const { server: acted } = effect;
      const again = wishEffect(asked, { server: acted, status: undefined, isLeaving: false });
      assert.equal(again, undefined, 'once');
    });
  }

  for (const [what, asked, rows] of [
    ['removes nothing where nothing is', wish('remove'), { server: undefined, isLeaving: false }],
    [
      'adds nothing of a package that is leaving',
      wish('add'),
      { server: undefined, isLeaving: true },
    ],
    ['was acted on', wish('add', 'w1'), { server: server(), isLeaving: false }],
  ] as const) {
    it(what, () => {
      assert.equal(wishEffect(asked, { ...rows, status: undefined }), undefined);
    });
  }
});
