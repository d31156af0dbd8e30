import assert from 'node:assert/strict';
import type { ManifestPlace } from '../../shared/content-library/changed-files.ts';
import type { ContentDescriptor } from '../../shared/domain/content.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import { SiteTree } from '../../shared/domain/site-tree.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { KeptContents, VersionRecorder } from './version-recorder.ts';

const packageId = 'PS100001';
const version = {
  ...{ packageId, sourceVersion: 3 },
  contents: [{ contentId: 'a.2' }, { contentId: 'gone' }],
} as unknown as PackageVersion;
const own = { packageId, sourceSiteCode: 'PS1', state: 'published' } as SitePackage;
const signal = new AbortController().signal;

function contentOf(contentId: string): ManifestPlace {
  return { descriptor: { contentId } as ContentDescriptor, manifestPath: contentId };
}

function keptContent() {
  return { ...contentOf('a.2'), [Symbol.asyncDispose]: async () => {} };
}

function site(siteCode: string, parentSiteCode = '') {
  const kind = parentSiteCode ? ('secondary' as const) : ('primary' as const);
  return { siteCode, kind, parentSiteCode, address: '', description: '' };
}

describe('version recorder (REP-2)', () => {
  let done: string[];
  beforeEach(() => {
    done = [];
  });

  function recorder(facts: { row?: SitePackage; sites?: number; failure?: Error }) {
    const { row, sites = 2, failure } = facts;
    const tree = new SiteTree([site('PS1'), site('SS1', 'PS1')].slice(0, sites));
    return new VersionRecorder({
      packages: { packages: { get: async () => row } } as never,
      library: {
        getPackage: async () => version,
        openContent: async (contentId: string) => {
          if (contentId === 'gone') throw new WaybillError({ code: 'CONTENT_NOT_HELD', contentId });
          return {
            ...contentOf(contentId),
            [Symbol.asyncDispose]: async () => void done.push('let go'),
          };
        },
      },
      history: {
        record: async ({ sourceVersion }, { before = [] } = {}) => {
          if (failure) throw failure;
          const from = before.map(({ descriptor }) => descriptor.contentId);
          done.push(`recorded ${sourceVersion} from ${from}`);
        },
        forget: async () => {
          done.push('forgotten');
        },
      },
      sites: { tree },
      logger: new CapturedLog().logger,
      siteCode: 'PS1',
    });
  }

  for (const [what, facts, expected] of [
    ['records the version of a package of this site', { row: own }, ['recorded 3 from a.2']],
    ['records nothing where there is one site', { row: own, sites: 1 }, []],
    [
      'records nothing of a package of another site',
      { row: { ...own, sourceSiteCode: 'CS1' } },
      [],
    ],
    [
      'forgets a package that is being deleted',
      { row: { ...own, state: 'deleting' as const } },
      ['forgotten'],
    ],
    ['forgets a package that is gone', {}, ['forgotten']],
    [
      'goes on when a version cannot be recorded: it costs a full package file',
      { row: own, failure: new WaybillError({ code: 'CONTENT_NOT_HELD', contentId: 'x' }) },
      [],
    ],
  ] as const) {
    it(what, async () => {
      const versions = recorder(facts);
      await using before = new KeptContents([keptContent()]);
      await versions.record(packageId, before, signal);
      assert.deepEqual(done, expected);
    });
  }

  it('hides no fault of ours', async () => {
    const faulty = recorder({ row: own, failure: new TypeError('a fault') });
    await assert.rejects(faulty.record(packageId, new KeptContents([]), signal), TypeError);
  });

  it('keeps what is here until it is recorded what became of it', async () => {
    const versions = recorder({ row: own });
    {
      await using before = await versions.keep(packageId);
      await versions.record(packageId, before, signal);
      assert.deepEqual(done, ['recorded 3 from a.2'], 'what is gone already is no base');
    }
    assert.deepEqual(done, ['recorded 3 from a.2', 'let go']);
  });

  it('keeps nothing where there is one site, or of a package of another site', async () => {
    const foreign = { ...own, sourceSiteCode: 'CS1' };
    for (const facts of [{ row: own, sites: 1 }, { row: foreign }, {}]) {
      await using before = await recorder(facts).keep(packageId);
      assert.deepEqual(before.contents, []);
    }
  });
});
