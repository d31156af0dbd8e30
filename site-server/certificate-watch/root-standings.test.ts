import assert from 'node:assert/strict';
import type { CertificateDue, KnownCertificate } from '../../shared/domain/known-certificate.ts';
import {
  type RootStanding,
  type StandingReport,
  standingNamesMax,
} from '../../shared/domain/root-standing.ts';
import { SiteTree } from '../../shared/domain/site-tree.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { until } from '../despooler/testing/test-receiver.ts';
import { RootStandings } from './root-standings.ts';

type Known = KnownCertificate & { readonly due?: CertificateDue };

describe('who stands on an older root (SEC-1, F21)', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  const clock = new FakeClock();
  let held: { generation: number; roots: readonly string[] };
  let known: Known[];
  let reports: StandingReport[];
  let log: CapturedLog;
  let reportFailure: Error | undefined;
  let onRoots: () => void;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.path, logger }));
    held = { generation: 2, roots: ['new', 'old'] };
    known = [];
    reports = [];
    log = new CapturedLog();
    reportFailure = undefined;
  });
  afterEach(async () => {
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  const standings = (isTop: boolean) => {
    const place = { kind: 'primary', address: '', description: '' } as const;
    return new RootStandings({
      ...{ siteCode: 'PS1', store, clock, logger: log.logger },
      trustedRoots: {
        get held() {
          return held;
        },
        onChange: (listener) => {
          onRoots = listener;
          return () => {};
        },
      },
      watch: {
        known: async () => known,
        pointsGivenNewest: async () => new Set(['dp/GIVEN']),
        dueOf: (one) => (one as Known).due ?? 'old-root',
      },
      sites: {
        tree: new SiteTree([
          { ...place, siteCode: 'PS1', parentSiteCode: '' },
          { ...place, siteCode: 'SS1', parentSiteCode: 'PS1' },
          { ...place, siteCode: 'SS2', parentSiteCode: 'PS1' },
        ]),
      },
      ...(isTop && {
        writeReport: async (report: StandingReport) => {
          if (reportFailure) throw reportFailure;
          reports.push(report);
        },
      }),
    });
  };
  const certificate = (holder: string, more: Partial<Known> = {}): Known => ({
    ...{ kind: 'identity', holder, identityUri: '', issuerSiteCode: 'PS1', rootKeyId: '' },
    ...{ isOnNewestRoot: false, reason: '', toldAtMs: 0, notBeforeMs: 0, notAfterMs: 1 },
    ...more,
  });
  const rows = () => store.records(keySpaces.rootStandings);
  const said = () => rows().get('PS1');

  it('is said of those whom this site vouches for, and of itself', async () => {
    known = [
      certificate('root', { kind: 'root' }),
      certificate('site/PS1', { kind: 'site-authority', issuerSiteCode: '' }),
      ...[certificate('site/PS1'), certificate('dp/B'), certificate('dp/A')],
      certificate('dp/NEW', { isOnNewestRoot: true }),
      certificate('dp/GIVEN'),
      certificate('dp/ELSEWHERE', { issuerSiteCode: 'SS1' }),
      certificate('site/SS1', { issuerSiteCode: 'SS1' }),
      certificate('admin/gone', { due: 'revoked' }),
      certificate('admin/old', { due: 'expired' }),
    ];
    await standings(false).look();
    const behind = ['dp/A', 'dp/B', 'site/PS1'];
    const expected: RootStanding = { siteCode: 'PS1', generation: 2, behind, behindCount: 3 };
    assert.deepEqual(await said(), expected);
    assert.deepEqual(reports, []);
  });

  it('is said when the roots change, and each minute after that', async () => {
    held = { generation: 1, roots: ['old'] };
    const site = standings(false);
    await site.start();
    assert.equal(await said(), undefined);
    held = { generation: 2, roots: ['new', 'old'] };
    onRoots();
    await until(async () => (await said())?.generation === 2);
    known = [certificate('dp/A')];
    await until(async () => {
      await clock.advance(60_000);
      return (await said())?.behindCount === 1;
    });
    await site.stop();
  });

  it('is put together a minute later where the report cannot be written now', async () => {
    const top = standings(true);
    for (const code of ['ENOSPC', 'ENOENT']) {
      reportFailure = Object.assign(new Error(code), { code });
      await top.look();
    }
    await top.start();
    await until(() => log.messages(40).length > 2);
    reportFailure = undefined;
    await until(async () => {
      await clock.advance(60_000);
      return reports.length > 0;
    });
    await top.stop();
  });

  it('is put together once in a while, however often a site below says something', async () => {
    const top = standings(true);
    await top.start();
    await until(() => reports.length === 1 && clock.sleeperCount === 1);
    for (let behindCount = 1; behindCount <= 50; behindCount++) {
      const row: RootStanding = { siteCode: 'SS1', generation: 2, behind: [], behindCount };
      await store.write([rows().put('SS1', row)], { sync: false });
      await clock.advance(0);
    }
    assert.equal(reports.length, 1);
    await clock.advance(5_000);
    await until(() => reports.length === 2 && clock.sleeperCount === 1);
    assert.equal(reports[1]?.standings.find((one) => one.siteCode === 'SS1')?.behindCount, 50);
    await top.stop();
  });

  it('is said again only when it is another', async () => {
    const site = standings(false);
    let writes = 0;
    await site.look();
    const end = store.onWritten(() => writes++);
    await site.look();
    assert.equal(writes, 0);
    known = [certificate('dp/A')];
    await site.look();
    assert.equal(writes, 1);
    end();
  });

  it('is not said while there is only one root', async () => {
    held = { generation: 3, roots: ['new'] };
    known = [certificate('dp/A')];
    await standings(true).look();
    assert.equal(await said(), undefined);
    assert.deepEqual(reports, []);
  });

  it('names so many, and counts the others', async () => {
    known = Array.from({ length: standingNamesMax + 7 }, (_, index) => certificate(`dp/${index}`));
    await standings(false).look();
    const { behind, behindCount } = (await said())!;
    assert.deepEqual([behind.length, behindCount], [standingNamesMax, standingNamesMax + 7]);
  });

  it('is put together at the top, with the sites that have not said it of these roots', async () => {
    const row = (siteCode: string, generation: number): RootStanding => ({
      ...{ siteCode, generation, behind: ['dp/X'], behindCount: 1 },
    });
    const all = [row('SS1', 2), row('SS2', 1), row('GONE', 2)];
    await store.write(
      all.map((one) => rows().put(one.siteCode, one)),
      { sync: false },
    );
    await standings(true).look();
    assert.deepEqual(reports, [
      {
        ...{ seenAtMs: clock.nowMs(), generation: 2, silent: ['SS2'] },
        standings: [row('SS1', 2)],
      },
    ]);
  });
});
