import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { RouteSettings } from '../../shared/rpc/generated/waybill/v1/RouteSettings.ts';
import { FakeAdmin, Feed } from './testing/fake-admin.ts';
import { thenMs } from './testing/fake-moment.ts';
import { aSendRequest } from './testing/job-answers.ts';
import { aMessage } from './testing/message-answers.ts';
import { aPackage, aStatus } from './testing/package-answers.ts';
import { Run, runWaybill } from './testing/run-waybill.ts';
import { aChildSite, aDistributionPoint, aRoute, aSiteRecord } from './testing/site-answers.ts';

type Sent = ReturnType<typeof aSendRequest>;

/** A site with development certificates. */
function withoutAuthority(): FakeAdmin {
  return new FakeAdmin().answer('createEnrollment', () => {
    const reason = 'it has no authority';
    throw new WaybillError({ code: 'ENROLLMENT_OFF', siteCode: 'PS1', reason });
  });
}

describe('waybill site (ADM-3)', () => {
  it('lists sites, and how it stands with neighbours', async () => {
    const admin = new FakeAdmin().stream('listSites', () => [
      aSiteRecord({ siteCode: 'CS1', kind: 'SITE_KIND_CENTRAL_ADMINISTRATION' }),
      aChildSite(),
      aChildSite({
        siteCode: 'PS3',
        replication: {
          ...{ connected: false, reason: 'nothing listens there' },
          ...{ changesBehind: '0', behindMs: '0', heardAtMs: '0' },
        },
      }),
    ]);
    const { stdout } = await runWaybill('site list', { admin });
    assert.deepEqual(stdout.split('\n'), [
      'site  kind     parent  address                DPs  replication        heard',
      'CS1   central          site.example.org:8530    1',
      'PS2   primary  CS1     ps2.example.org:8530     4  12 changes behind  3 min ago',
      'PS3   primary  CS1     ps2.example.org:8530     4  not connected',
      'PS3 not connected: nothing listens there.',
      '',
    ]);
    for (const line of stdout.split('\n')) assert.ok(line.length <= 80, line);
  });

  it('shows versions where they differ', async () => {
    const admin = new FakeAdmin().stream('listSites', () => [
      aSiteRecord(),
      aChildSite({ agentVersion: '0.2.0' }),
    ]);
    const { stdout } = await runWaybill('site list', { admin });
    assert.match(stdout, /heard +version\n.*0\.1\.0\n.*0\.2\.0\n/);
  });

  it('shows one of them, with its signing keys', async () => {
    const { stdout } = await runWaybill('site show PS2');
    assert.match(stdout, /^site {9}PS2\nkind {9}primary\nparent {7}CS1\n/);
    assert.match(stdout, /^signing key {2}0123456789abcdef$/m);
    const { exitCode, stderr } = await runWaybill('site show XXX');
    assert.equal(exitCode, 1);
    assert.match(stderr, /There is no site XXX/);
  });

  it('sends what was said of a site, and nothing else', async () => {
    const line = 'site add PS2 --kind primary --parent CS1 --address ps2:8530 --description Far';
    const { admin, stdout } = await runWaybill(line, { admin: withoutAuthority() });
    assert.deepEqual(admin.requestOf('addSite'), {
      siteCode: 'PS2',
      kind: 'SITE_KIND_PRIMARY',
      parentSiteCode: 'CS1',
      address: 'ps2:8530',
      description: 'Far',
    });
    assert.match(stdout, /configuration names parent CS1/);
    const { admin: other } = await runWaybill('site set PS2 --address ps2:8531');
    const changed = { siteCode: 'PS2', parentSiteCode: '', address: 'ps2:8531' };
    assert.deepEqual(other.requestOf('setSite'), changed);
  });

  for (const [line, expected] of [
    ['site add ps2 --kind primary --address a:1', /expected a site code such as PS1/],
    ['site add PS2 --kind third --address a:1', /--kind: expected one of/],
    ['site add PS2 --kind primary', /address/],
    ['site set PS2', /expected something to set/],
    ['route set CS1 PS2', /expected something to set: --address, --limit or --schedule/],
    ['route set CS1 PS2 --address none --address a:1', /"none" or addresses, not both/],
    ['route set CS1 --address a:1', /./],
    ['send list --to ps2', /expected a site code such as PS1/],
  ] as const) {
    it(`refuses ${line}`, async () => {
      const { admin, exitCode, stderr } = await runWaybill(line);
      assert.equal(exitCode, 2);
      assert.match(stderr, expected);
      assert.deepEqual(admin.calls, []);
    });
  }
});

describe('waybill route (ADM-3)', () => {
  it('sets addresses in their order, and deletes a route by setting none', async () => {
    const { admin, stdout } = await runWaybill('route set CS1 PS2 --address b:1 --address a:2');
    const route = { fromSiteCode: 'CS1', toSiteCode: 'PS2', addresses: ['b:1', 'a:2'] };
    assert.deepEqual(admin.requestOf('setRoute'), route);
    assert.equal(stdout, 'Site CS1 reaches site PS2 at b:1, then a:2.\n');
    const { admin: other } = await runWaybill('route delete CS1 PS2');
    assert.deepEqual(other.requestOf('setRoute'), { ...route, addresses: [] });
    for (const [line, complaint] of [
      ['route delete PS1 ZZ1', /There is no site ZZ1/],
      ['route delete PS2 PS1', /No route is set from site PS2 to site PS1/],
    ] as const) {
      const { admin: asked, exitCode, stderr } = await runWaybill(line);
      assert.equal(exitCode, 1);
      assert.match(stderr, complaint);
      assert.ok(!asked.calls.some(({ method }) => method === 'setRoute'));
    }
    const { stdout: list } = await runWaybill('route', {
      admin: new FakeAdmin().stream('listRoutes', () => [aRoute()]),
    });
    assert.match(list, /^CS1 {3}PS2 {2}ps2\.example\.org:8530, 192\.0\.2\.9:8530$/m);
  });

  it('sets limits without addresses, and addresses without limits (REP-4)', async () => {
    const line = 'route set CS1 PS2 --limit 5MB/s --schedule "mon-fri 08-18 closed, else open"';
    const { admin } = await runWaybill(line);
    const { addresses, ownAddress, controls } = admin.requestOf('setRoute') as RouteSettings;
    assert.deepEqual([addresses, ownAddress], [undefined, undefined]);
    assert.equal(controls?.limit?.bytesPerSecond, 5_000_000);
    assert.equal(controls?.schedule?.hours?.[8], 'WINDOW_LEVEL_CLOSED');
    const own = await runWaybill('route set CS1 PS2 --address none');
    const route = { fromSiteCode: 'CS1', toSiteCode: 'PS2', ownAddress: true };
    assert.deepEqual(own.admin.requestOf('setRoute'), route);
    assert.equal(own.stdout, 'Site CS1 reaches site PS2 at its own address.\n');
  });

  it('says when a limit holds for nothing, since content goes another way (REP-4)', async () => {
    const controls = {
      schedule: null,
      limit: { kind: 'bytesPerSecond', bytesPerSecond: '5000000' } as const,
    };
    const between = (changes: Parameters<typeof aRoute>[0]) =>
      new FakeAdmin()
        .answer('setRoute', () => aRoute({ fromSiteCode: 'PS1', controls, ...changes }))
        .stream('listSites', () => [
          aSiteRecord({ siteCode: 'CS1', kind: 'SITE_KIND_CENTRAL_ADMINISTRATION' }),
          aSiteRecord({ siteCode: 'PS1', parentSiteCode: 'CS1' }),
          aChildSite(),
        ]);
    const told = async (changes: Parameters<typeof aRoute>[0]) => {
      const admin = between(changes);
      return (await runWaybill('route set PS1 PS2 --limit 5MB/s', { admin })).stdout;
    };
    assert.match(
      await told({ addresses: [] }),
      /^But what it sends to PS2 goes by site CS1: limit the way from PS1 to CS1, or name an address of PS2\.$/m,
    );
    assert.doesNotMatch(await told({}), /But/, 'with an address it goes straight there');
    assert.doesNotMatch(await told({ fromSiteCode: 'CS1', addresses: [] }), /But/);
  });

  it('shows limits and schedules', async () => {
    const limit = { kind: 'bytesPerSecond', bytesPerSecond: '5000000' } as const;
    const hours = Array<'WINDOW_LEVEL_CLOSED'>(168).fill('WINDOW_LEVEL_CLOSED');
    const controls = { limit, schedule: { timeZone: 'UTC', hours } };
    const limited = new FakeAdmin()
      .stream('listRoutes', () => [aRoute({ addresses: [], controls })])
      .stream('listSites', () => [aSiteRecord({ siteCode: 'CS1' }), aChildSite()]);
    const { stdout } = await runWaybill('route list', { admin: limited });
    assert.match(stdout, /^CS1 {3}PS2 {2}its own address {2}5 MB\/s {2}closed$/m);
    const show = await runWaybill('route show CS1 PS2', { admin: limited });
    assert.match(show.stdout, /^schedule {3}closed \(UTC\)$/m);
    assert.match(show.stdout, /^mon {2}\.{6} \.{6} \.{6} \.{6}$/m);
    const unknown = await runWaybill('route show CS1 PS9', { admin: limited });
    assert.match(unknown.stderr, /There is no site PS9/);
  });
});

describe('waybill send (ADM-2)', () => {
  for (const words of ['list', 'watch']) {
    it(`${words} refuses a site that does not exist`, async () => {
      const admin = new FakeAdmin().stream('listSendRequests', () => []);
      const { exitCode, stderr } = await runWaybill(`send ${words} --to ZZ1`, { admin });
      assert.equal(exitCode, 1);
      assert.match(stderr, /There is no site ZZ1/);
    });
  }

  it('shows what is sent where, how far it is, and why one waits', async () => {
    const { admin, stdout } = await runWaybill('send --package CS100001 --to PS1 --limit 5');
    assert.deepEqual(admin.requestOf('listSendRequests'), {
      ...{ packageId: 'CS100001', destinationSiteCode: 'PS1' },
      ...{ history: false, limit: 5 },
    });
    const [heading = '', sending = '', waiting = ''] = stdout.split('\n');
    assert.match(heading, /^request +package +version +as +to +for +state/);
    assert.match(sending, /full +PS1 +SS1 +sending +normal +25 % +3 GiB +45\.2 MB\/s +71 s +1$/);
    assert.match(waiting, /retrying .* within 2 min +site PS2 at ps2:8530 cannot be reached/);
  });

  it('history shows when and how much', async () => {
    const ended = aSendRequest({
      ...{ state: 'SEND_REQUEST_STATE_COMPLETE', remainingBytes: '0', baseVersion: 2 },
      finishedAtMs: aSendRequest().createdAtMs,
    });
    const admin = new FakeAdmin().stream('listSendRequests', () => [ended]);
    const { stdout } = await runWaybill('send list --history', { admin });
    assert.match(stdout, /delta to 2 .* complete +2026-03-14 09:26:53 +4 GiB +1 GiB +1$/m);
  });

  it('watches: a line for each change, a bar on a terminal, until Ctrl-C', async () => {
    const feed = new Feed<Sent>();
    const admin = new FakeAdmin().stream('watchSendRequests', (_request, signal) =>
      feed.read(signal),
    );
    const run = new Run({ admin });
    const ended = run.run('send watch');
    feed.push(aSendRequest());
    await run.whenWritten('sending 20 %');
    feed.push(aSendRequest({ state: 'SEND_REQUEST_STATE_FAILED', reason: 'refused' }));
    await run.whenWritten('failed, refused');
    run.interrupt();
    assert.equal(await ended, 0);
  });

  it('watches with a bar on a terminal', async () => {
    const feed = new Feed<Sent>();
    const admin = new FakeAdmin().stream('watchSendRequests', (_request, signal) =>
      feed.read(signal),
    );
    const live = new Run({ admin, terminal: { columns: 100, rows: 10 } });
    const shown = live.run('send watch');
    feed.push(aSendRequest());
    await live.whenWritten('Site PS1');
    await live.clock.advance(1_100);
    await live.whenWritten('25 %');
    live.interrupt();
    assert.equal(await shown, 0);
    assert.match(live.stdout.text, /CS100001 v3 → PS1 \(for SS1\)/);
    assert.match(live.stdout.text, /1 sending/);
  });
});

describe('waybill about several sites (ROLE-4)', () => {
  const both = [
    aStatus(),
    aStatus({ dpId: 'PS2DP1', siteCode: 'PS2', state: 'PACKAGE_STATUS_STATE_INSTALL_FAILED' }),
    aStatus({ dpId: '', siteCode: 'PS2' }),
  ];

  it('shows the site of a row where rows are of several, and only there', async () => {
    const admin = new FakeAdmin().stream('listPackageStatus', () => both);
    const { stdout } = await runWaybill('status', { admin });
    assert.match(stdout, /^package +site +on +state/);
    assert.match(stdout, /^PS100001 +PS2 +PS2DP1 +install failed/m);
    assert.match(stdout, /^PS100001 +PS2 +site PS2 +installed/m);
    assert.doesNotMatch((await runWaybill('status')).stdout, /site/);
    const points = [aDistributionPoint(), aDistributionPoint({ dpId: 'X', siteCode: 'PS2' })];
    const dps = new FakeAdmin().stream('listDistributionPoints', () => points);
    assert.match((await runWaybill('dp list', { admin: dps })).stdout, /^DP +site +address/);
    const messages = [aMessage(), aMessage({ siteCode: 'PS2' })];
    const told = new FakeAdmin().stream('listStatusMessages', () => messages);
    assert.match((await runWaybill('messages', { admin: told })).stdout, /^time +site +severity/);
  });

  it('says since when nothing is heard of a site, and no percentage that nobody knows', async () => {
    const silent = { connected: false, reason: 'x', changesBehind: '0', behindMs: '0' };
    const heardAtMs = String(thenMs - 21 * 86_400_000);
    const rows = [
      aStatus(),
      aStatus({
        ...{ dpId: 'PS2DP1', siteCode: 'PS2', state: 'PACKAGE_STATUS_STATE_INSTALL_PENDING' },
        percent: undefined as never,
      }),
    ];
    const admin = new FakeAdmin()
      .stream('listPackageStatus', () => rows)
      .stream('listSites', () => [
        aSiteRecord(),
        aChildSite({ parentSiteCode: 'PS1', replication: { ...silent, heardAtMs } }),
      ]);
    const { stdout } = await runWaybill('status', { admin });
    assert.match(
      stdout,
      /PS2 is not connected and was last heard of 21 d ago; what is said of PS2/,
    );
    assert.doesNotMatch(stdout, /%/);
    const json = JSON.parse((await runWaybill('status --json', { admin })).stdout);
    assert.deepEqual(
      json.map(({ percent, silentSinceMs }: Record<string, unknown>) => [percent, silentSinceMs]),
      [
        [100, null],
        [null, Number(heardAtMs)],
      ],
    );
  });

  it('takes a site out with its packages when it is told to', async () => {
    const { admin } = await runWaybill('site delete PS2 --force --yes');
    assert.deepEqual(admin.requestOf('deleteSite'), { siteCode: 'PS2', withPackages: true });
  });

  it('takes a site out only when that is confirmed', async () => {
    const { admin, exitCode, stderr } = await runWaybill('site delete PS2');
    assert.equal(exitCode, 2);
    assert.match(stderr, /^waybill: expected --yes: site delete takes PS2 out/);
    assert.deepEqual(admin.calls, []);
    const asked = (answer: string) => ({
      terminal: { columns: 80, rows: 24 },
      surroundings: { question: async () => answer },
    });
    const other = await runWaybill('site delete PS2 --force', asked('y'));
    assert.deepEqual([other.exitCode, other.admin.calls], [1, []]);
    const { admin: meant } = await runWaybill('site delete PS2', asked('PS2'));
    assert.deepEqual(meant.requestOf('deleteSite'), { siteCode: 'PS2' });
  });

  it('shows which version is stored where that is another one', async () => {
    const packages = [aPackage({ sourceSiteCode: 'CS1', storedVersion: 0 }), aPackage()];
    const admin = new FakeAdmin().stream('listPackages', () => packages);
    const { stdout } = await runWaybill('package list', { admin });
    assert.match(stdout, /source version +here +from +state/);
    assert.match(stdout, / 3 +none +CS1 +published/);
    assert.doesNotMatch((await runWaybill('package list')).stdout, /here|from/);
  });

  it('names sites as targets, and selects rows by site', async () => {
    const line = 'package distribute PS100001 --site PS2 --site PS3 --dp PS1DP1';
    const { admin } = await runWaybill(line);
    assert.deepEqual(admin.requestOf('distributePackage'), {
      packageId: 'PS100001',
      dpIds: ['PS1DP1'],
      allDps: false,
      siteCodes: ['PS2', 'PS3'],
    });
    const { admin: failed } = await runWaybill('status --failed --site PS2');
    assert.deepEqual(failed.requestOf('listPackageStatus'), {
      ...{ packageId: '', dpId: '', failedOnly: true },
      siteCode: 'PS2',
    });
    const { admin: added } = await runWaybill('dp add PS2DP1 --address a:1 --site PS2');
    const request = added.requestOf('addDistributionPoint') as { siteCode: string };
    assert.equal(request.siteCode, 'PS2');
    const { exitCode } = await runWaybill('package distribute PS100001 --all --site PS2');
    assert.equal(exitCode, 2);
  });

  it('waits for a distribution point of another site by its status', async () => {
    const feed = new Feed<ReturnType<typeof aStatus>>();
    const admin = new FakeAdmin()
      .answer('distributePackage', () => ({ dpIds: ['PS2DP1'], packageIds: [] }))
      .stream('listPackageStatus', () => [])
      .stream('watchJobs', (_request, signal) => new Feed<never>().read(signal))
      .stream('watchPackageStatus', (_request, signal) => feed.read(signal));
    const run = new Run({ admin });
    const ended = run.run('package distribute PS100001 --dp PS2DP1 --wait');
    await run.whenWritten('PS100001 on PS2DP1: waiting');
    feed.push(aStatus({ dpId: 'PS2DP1', siteCode: 'PS2', changedAtMs: '9' }));
    assert.equal(await ended, 0, run.stderr.text);
    assert.match(run.stdout.text, /is on, verified: PS2DP1/);
  });

  for (const [line, method] of [
    ['jobs --site PS2', 'listJobs'],
    ['send --site PS2', 'listSendRequests'],
    ['audit --site PS2', 'listAuditRecords'],
    ['logs distmgr --site PS2', 'readLog'],
    ['dp check PS2DP1 --site PS2', 'checkDistributionPoint'],
    ['site rotate-key --site PS2', 'rotateSigningKey'],
  ] as const) {
    it(`${line} asks that site, and makes sure that it is that site (SEC-1)`, async () => {
      const run = new Run();
      assert.equal(await run.run(line), 0, run.stderr.text);
      const asked = { siteCode: 'PS2', address: 'ps2.example.org:8530' };
      assert.deepEqual(run.openedSites, [asked]);
      assert.ok(run.otherSite.calls.some((call) => call.method === method));
      assert.ok(!run.admin.calls.some((call) => call.method === method));
      assert.ok(run.otherSite.isClosed);
    });
  }

  it('asks the connected site itself when it is named', async () => {
    const run = new Run();
    assert.equal(await run.run('jobs --site PS1'), 0);
    assert.deepEqual(run.openedSites, []);
    assert.ok(run.admin.calls.some(({ method }) => method === 'listJobs'));
  });

  it('says when nobody knows where a site is, or that there is none', async () => {
    const admin = new FakeAdmin().stream('listSites', () => [aChildSite({ address: '' })]);
    const nowhere = await runWaybill('jobs --site PS2', { admin });
    assert.equal(nowhere.exitCode, 1);
    assert.match(nowhere.stderr, /waybill site set PS2 --address/);
    const unknown = await runWaybill('jobs --site XXX');
    assert.match(unknown.stderr, /There is no site XXX/);
  });
});
