import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { FakeAdmin, Feed } from './testing/fake-admin.ts';
import { thenMs } from './testing/fake-moment.ts';
import { aJob, aWaitingJob } from './testing/job-answers.ts';
import { aMessage } from './testing/message-answers.ts';
import { aPackage, aStatus } from './testing/package-answers.ts';
import { Run, runWaybill } from './testing/run-waybill.ts';
import {
  aChildSite,
  aDistributionPoint,
  aGroup,
  aSite,
  aSiteRecord,
} from './testing/site-answers.ts';

type Status = ReturnType<typeof aStatus>;

describe('waybill package distribute, redistribute, remove (PKG-4, PKG-6, PKG-7)', () => {
  it('sends the named DPs once each', async () => {
    const line = 'package distribute PS100001 --dp PS1DP1 --dp PS1DP2 --dp PS1DP1';
    const { admin, stdout } = await runWaybill(line);
    assert.deepEqual(admin.requestOf('distributePackage'), {
      packageId: 'PS100001',
      dpIds: ['PS1DP1', 'PS1DP2'],
      allDps: false,
    });
    assert.equal(stdout, 'Package PS100001 goes to PS1DP1, PS1DP2.\n');
  });

  it('--all names no DP', async () => {
    const { admin } = await runWaybill('package remove PS100001 --all');
    const expected = { packageId: 'PS100001', dpIds: [], allDps: true };
    assert.deepEqual(admin.requestOf('removePackage'), expected);
  });

  for (const which of ['', '--all --dp PS1DP1']) {
    it(`refuses "${which}": either DPs or all of them`, async () => {
      const { admin, exitCode, stderr } = await runWaybill(`package distribute PS100001 ${which}`);
      assert.equal(exitCode, 2);
      assert.match(stderr, /^waybill: expected either --dp, --site or --group .* or --all/);
      assert.deepEqual(admin.calls, []);
    });
  }

  it('says when there is nothing to do', async () => {
    const admin = new FakeAdmin().answer('distributePackage', () => ({
      dpIds: [],
      packageIds: [],
    }));
    const { exitCode, stdout } = await runWaybill('package distribute PS100001 --all --wait', {
      admin,
    });
    assert.equal(exitCode, 0);
    assert.match(stdout, /^Package PS100001: nothing to do, they all have it/);
  });
});

describe('of groups', () => {
  const nothing = () => ({ dpIds: [], packageIds: [] });

  it('says on which DPs it stays since another of their groups has it', async () => {
    const admin = new FakeAdmin()
      .answer('removePackage', nothing)
      .stream('listGroups', () => [aGroup({ dpIds: ['PS1DP1'] })]);
    const { stdout } = await runWaybill('package remove PS100001 --group Offices', { admin });
    assert.match(
      stdout,
      /is taken off group Offices\.\nPackage PS100001: it stays on PS1DP1, since another of their groups has it\.\n$/,
    );
  });

  it('says that a group does not have it, and not that it was taken off', async () => {
    const admin = new FakeAdmin()
      .answer('removePackage', nothing)
      .stream('listGroups', () => [aGroup({ packageIds: [] })])
      .stream('listPackageStatus', () => [aStatus({ dpId: 'PS1DP1' })]);
    const { exitCode, stdout } = await runWaybill('package remove PS100001 --group Offices', {
      admin,
    });
    assert.equal(exitCode, 0);
    assert.equal(
      stdout,
      'Package PS100001: group Offices does not have it.\nPackage PS100001: nothing to do.\n',
    );
  });

  for (const [line, method, expected] of [
    ['distribute', 'distributePackage', /no distribution point is in the group yet; who joins/],
    ['redistribute', 'redistributePackage', /no distribution point is in the group yet\.\n/],
    ['remove', 'removePackage', /no distribution point is in the group yet\.\n/],
  ] as const) {
    it(`package ${line} says that nobody is in the group`, async () => {
      const admin = new FakeAdmin()
        .answer(method, nothing)
        .stream('listGroups', () => [aGroup({ dpIds: [] })]);
      const { stdout } = await runWaybill(`package ${line} PS100001 --group Offices`, { admin });
      assert.match(stdout, expected);
    });
  }
});

describe('waybill package distribute of what was never published', () => {
  it('says that it waits, why, and what to do', async () => {
    const failed = {
      state: 'PACKAGE_STATE_FAILED',
      sourceVersion: 0,
      reason: 'Source /srv/a is empty',
    } as const;
    const admin = new FakeAdmin().answer('getPackage', () => aPackage(failed));
    const { exitCode, stdout } = await runWaybill('package distribute PS100001 --all', { admin });
    assert.equal(exitCode, 0);
    assert.match(
      stdout,
      /It waits, since nothing of it is published: Source \/srv\/a is empty\. Correct the source, then: waybill package update PS100001\.\n$/,
    );
  });
});

describe('waiting for distribution points', () => {
  function adminWith(
    dpIds: string[],
    ...rows: Status[]
  ): { admin: FakeAdmin; status: Feed<Status> } {
    const status = new Feed<Status>();
    const jobs = new Feed<ReturnType<typeof aJob>>();
    const admin = new FakeAdmin()
      .answer('distributePackage', () => ({ dpIds, packageIds: [] }))
      .answer('redistributePackage', () => ({ dpIds, packageIds: [] }))
      .answer('removePackage', () => ({ dpIds, packageIds: [] }))
      .stream('listPackageStatus', () => [aStatus()])
      .stream('watchPackageStatus', (_request, signal) => status.read(signal))
      .stream('watchJobs', (_request, signal) => jobs.read(signal));
    status.push(...rows);
    return { admin, status };
  }
  const pendingRow = (dpId: string) =>
    aStatus({
      dpId,
      state: 'PACKAGE_STATUS_STATE_INSTALL_PENDING',
      installedVersion: 0,
      changedAtMs: '7',
    });
  const installedRow = (dpId: string) => aStatus({ dpId, changedAtMs: '8' });

  it('ends when every DP has it, verified', async () => {
    const { admin } = adminWith(
      ['PS1DP1', 'PS1DP2'],
      pendingRow('PS1DP1'),
      installedRow('PS1DP2'),
      installedRow('PS1DP1'),
    );
    const { exitCode, stdout } = await runWaybill('package distribute PS100001 --all --wait', {
      admin,
    });
    assert.equal(exitCode, 0);
    assert.match(stdout, /Package PS100001 is on, verified: PS1DP1, PS1DP2\.\n$/);
  });

  it('waits also for what an earlier request has begun', async () => {
    const { admin, status } = adminWith([], pendingRow('PS1DP2'));
    admin.stream('listPackageStatus', () => [aStatus(), pendingRow('PS1DP2')]);
    const run = new Run({ admin });
    const ended = run.run('package distribute PS100001 --all --wait');
    await run.whenWritten('PS100001 on PS1DP2: waiting');
    status.push(installedRow('PS1DP2'));
    assert.equal(await ended, 0);
    assert.match(run.stdout.text, /Package PS100001 is on, verified: PS1DP2\.\n$/);
  });

  it('a row as it was before the request is no end of it', async () => {
    const { admin, status } = adminWith(['PS1DP1'], aStatus());
    const run = new Run({ admin });
    const ended = run.run('package redistribute PS100001 --dp PS1DP1 --wait');
    await run.whenWritten('PS100001 on PS1DP1: waiting');
    status.push(installedRow('PS1DP1'));
    assert.equal(await ended, 0);
    assert.match(run.stdout.text, /waiting\nPS100001 on PS1DP1: installed\n/);
  });

  it('a removal is done when the row is gone, even before the watch began', async () => {
    let isAccepted = false;
    const { admin } = adminWith(['PS1DP2']);
    admin
      .answer('removePackage', () => {
        isAccepted = true;
        return { dpIds: ['PS1DP2'], packageIds: [] };
      })
      .stream('listPackageStatus', () => (isAccepted ? [] : [aStatus({ dpId: 'PS1DP2' })]));
    const line = 'package remove PS100001 --dp PS1DP2 --wait --json';
    const { exitCode, stdout } = await runWaybill(line, { admin });
    assert.equal(exitCode, 0);
    assert.equal(JSON.parse(stdout).status[0].state, 'removed');
  });

  it('a DP that fails makes the command fail, with its reason, after all have ended', async () => {
    const failed = aStatus({
      state: 'PACKAGE_STATUS_STATE_INSTALL_FAILED',
      reason: 'no room',
      changedAtMs: '8',
    });
    const { admin } = adminWith(['PS1DP1', 'PS1DP2'], failed, installedRow('PS1DP2'));
    const line = 'package distribute PS100001 --all --wait';
    const text = await runWaybill(line, { admin });
    assert.equal(text.exitCode, 1);
    assert.equal(text.stderr, 'waybill: Package PS100001 failed on PS1DP1 (no room)\n');
    const { admin: again } = adminWith(['PS1DP1', 'PS1DP2'], failed, installedRow('PS1DP2'));
    const json = await runWaybill(`${line} --json`, { admin: again });
    assert.deepEqual(JSON.parse(json.stderr).error.failures, [
      { dpId: 'PS1DP1', reason: 'no room' },
    ]);
  });

  it('a package of which nothing was ever published fails at once, with the reason', async () => {
    const refused = aStatus({
      dpId: '',
      state: 'PACKAGE_STATUS_STATE_INSTALL_FAILED',
      installedVersion: 0,
      reason: 'Source /srv/a is empty',
    });
    const { admin } = adminWith(['PS1DP1'], pendingRow('PS1DP1'));
    admin.stream('listPackageStatus', () => [refused, pendingRow('PS1DP1')]);
    const { exitCode, stderr } = await runWaybill('package distribute PS100001 --all --wait', {
      admin,
    });
    assert.equal(exitCode, 1);
    assert.match(stderr, /PS1DP1 \(nothing of it is published: Source \/srv\/a is empty\)/);
  });

  it('an update whose source was refused does not keep the version before from its DPs', async () => {
    const refused = aStatus({
      dpId: '',
      state: 'PACKAGE_STATUS_STATE_INSTALL_FAILED',
      installedVersion: 3,
      reason: 'Source /srv/a is empty',
    });
    const { admin } = adminWith(['PS1DP1'], refused, installedRow('PS1DP1'));
    const { exitCode } = await runWaybill('package distribute PS100001 --all --wait', { admin });
    assert.equal(exitCode, 0);
  });

  it('a package that is taken off meanwhile makes it fail', async () => {
    const { admin, status } = adminWith(['PS1DP1'], pendingRow('PS1DP1'));
    admin.stream('listPackageStatus', () => []);
    status.push(aStatus({ state: 'PACKAGE_STATUS_STATE_REMOVED', changedAtMs: '9' }));
    const { exitCode, stderr } = await runWaybill('package distribute PS100001 --all --wait', {
      admin,
    });
    assert.equal(exitCode, 1);
    assert.match(stderr, /failed on PS1DP1 \(it was taken off meanwhile\)/);
  });

  it('a DP that is down is waited for, with the reason in sight', async () => {
    const { admin, status } = adminWith(['PS1DP2'], pendingRow('PS1DP2'));
    admin.stream('watchJobs', async function* (_request, signal) {
      yield aWaitingJob();
      yield* new Feed<ReturnType<typeof aJob>>().read(signal);
    });
    const run = new Run({ admin });
    const ended = run.run('package distribute PS100001 --dp PS1DP2 --wait');
    await run.whenWritten('PS100001 on PS1DP2: waiting: DP unreachable: nothing listens there\n');
    status.push(installedRow('PS1DP2'));
    assert.equal(await ended, 0);
  });

  it('a pull DP that is being told is not "sent" anything; what keeps it is said (PULL-3)', async () => {
    const { admin, status } = adminWith(['PS1DP1'], pendingRow('PS1DP1'));
    const withDp = { sendAction: 'PullQueryResultAction' };
    admin.stream('watchJobs', async function* (_request, signal) {
      yield aJob({ state: 'JOB_STATE_STARTED' });
      yield aJob(withDp);
      yield aJob({ ...withDp, waitingReason: 'no-source', reason: '' });
      yield* new Feed<ReturnType<typeof aJob>>().read(signal);
    });
    const run = new Run({ admin });
    const ended = run.run('package distribute PS100001 --dp PS1DP1 --wait');
    await run.whenWritten('no source has it yet');
    status.push(installedRow('PS1DP1'));
    assert.equal(await ended, 0);
    assert.deepEqual(run.stdout.text.split('\n').slice(0, -2), [
      'PS100001 on PS1DP1: waiting',
      'PS100001 on PS1DP1: starting',
      'PS100001 on PS1DP1: fetching 20 %',
      'PS100001 on PS1DP1: fetching 20 %, no source has it yet',
      'PS100001 on PS1DP1: installed',
    ]);
  });

  it('goes on when the site server restarts, and says so', async () => {
    const { admin } = adminWith(['PS1DP1']);
    let watchCount = 0;
    admin.stream('watchPackageStatus', function* () {
      watchCount++;
      if (watchCount === 2) return yield installedRow('PS1DP1');
      const gone = { peer: 'a site server', address: 'a:1', reason: 'it closed the connection' };
      throw new WaybillError({ code: 'PEER_UNREACHABLE', ...gone });
    });
    const run = new Run({ admin });
    const ended = run.run('package distribute PS100001 --dp PS1DP1 --wait');
    await run.whenWritten('The site server is away; waiting for it');
    await run.clock.advance(1_000);
    assert.equal(await ended, 0);
    assert.match(run.stdout.text, /The site server is back\n/);
  });

  it('on a terminal there is a bar for each DP, which is taken away at the end', async () => {
    const { admin, status } = adminWith(['PS1DP1']);
    admin.stream('watchJobs', async function* (_request, signal) {
      yield aJob();
      yield* new Feed<ReturnType<typeof aJob>>().read(signal);
    });
    const run = new Run({ admin, terminal: { columns: 100, rows: 24 } });
    const ended = run.run('package distribute PS100001 --dp PS1DP1 --wait');
    await run.whenWritten('\n');
    await run.clock.advance(1_000);
    assert.match(
      run.stdout.text,
      /PS1DP1 {2}.*█.*░.* 25 % {2}1 GiB of 4 GiB {2}45\.2 MB\/s {2}ETA 71 s/,
    );
    status.push(installedRow('PS1DP1'));
    assert.equal(await ended, 0);
    const ending = '\u001b[J\u001b[?25hPackage PS100001 is on, verified: PS1DP1.\n';
    assert.ok(run.stdout.text.endsWith(ending));
  });
});

describe('waiting for distribution points of other sites (ROLE-4)', () => {
  const sibling = () => aDistributionPoint({ dpId: 'PS2DP1', siteCode: 'PS2' });
  const tree = () => [
    aSiteRecord({ siteCode: 'CS1', parentSiteCode: '' }),
    aSiteRecord({ siteCode: 'PS1', parentSiteCode: 'CS1' }),
    aChildSite(),
  ];
  const row = (changes: Partial<Status> = {}) =>
    aStatus({ packageId: 'CS100001', dpId: 'PS2DP1', siteCode: 'PS2', ...changes });
  const none = (_request: unknown, signal?: AbortSignal) => new Feed<never>().read(signal);

  /** PS1, to which no status of its sibling comes. */
  function here(): FakeAdmin {
    return new FakeAdmin()
      .answer('removePackage', () => ({ dpIds: ['PS2DP1'], packageIds: [] }))
      .answer('distributePackage', () => ({ dpIds: ['PS2DP1'], packageIds: [] }))
      .stream('listPackageStatus', () => [])
      .stream('watchPackageStatus', none)
      .stream('watchJobs', none)
      .stream('listStatusMessages', () => [])
      .stream('listDistributionPoints', () => [sibling()])
      .stream('listSites', tree);
  }

  it('asks the site of a DP whose status does not come to the one that is connected', async () => {
    const status = new Feed<Status>();
    const there = here()
      .stream('listPackageStatus', () => [row()])
      .stream('watchPackageStatus', (_request, signal) => status.read(signal));
    const run = new Run({ admin: here(), otherSite: there });
    const ended = run.run('package remove CS100001 --dp PS2DP1 --wait');
    await run.whenWritten('CS100001 on PS2DP1: waiting');
    assert.deepEqual(run.openedSites[0], { siteCode: 'PS2', address: 'ps2.example.org:8530' });
    status.push(row({ state: 'PACKAGE_STATUS_STATE_REMOVED', changedAtMs: '9' }));
    assert.equal(await ended, 0);
    assert.match(run.stdout.text, /CS100001 is removed from PS2DP1\.\n$/);
  });

  it('says when the site of a DP is not connected, and goes on waiting', async () => {
    const silent = { connected: false, reason: 'x', changesBehind: '0', behindMs: '0' };
    const heardAtMs = String(thenMs - 3_600_000);
    const away = aChildSite({ replication: { ...silent, heardAtMs } });
    const above = here()
      .answer('getSite', () => ({ ...aSite, siteCode: 'CS1' }))
      .answer('distributePackage', () => ({ dpIds: ['PS2DP1'], packageIds: [] }))
      .stream('listSites', () => [aSiteRecord({ siteCode: 'CS1' }), away])
      .stream('watchPackageStatus', () => [row({ changedAtMs: '9' })]);
    const run = new Run({ admin: above });
    assert.equal(await run.run('package distribute CS100001 --dp PS2DP1 --wait'), 0);
    assert.match(
      run.stderr.text,
      /^waybill: PS2 is not connected and was last heard of 1 h 3 min ago; what is waited for at PS2 goes on once it is back\.\n/,
    );
  });

  it('is done at once where the package is installed already', async () => {
    const there = here().stream('listPackageStatus', () => [row()]);
    const run = new Run({ admin: here(), otherSite: there });
    assert.equal(await run.run('package distribute CS100001 --dp PS2DP1 --wait'), 0);
  });

  for (const [command, before, end, sentence] of [
    ['distribute', 'INSTALL_PENDING', 'INSTALLED', 'is on, verified: PS2DP1'],
    ['remove', 'REMOVAL_PENDING', 'REMOVED', 'is removed from PS2DP1'],
  ] as const) {
    it(`${command} waits for what a site has not answered, asked for again`, async () => {
      const status = new Feed<Status>();
      const state = `PACKAGE_STATUS_STATE_${before}` as const;
      const reason = 'site PS2 is not connected';
      const above = here()
        .answer('getSite', () => ({ ...aSite, siteCode: 'CS1' }))
        .answer(`${command}Package`, () => ({ dpIds: [], packageIds: [] }))
        .stream('listPackageStatus', () => [row({ state, reason, isAwaited: true })])
        .stream('watchPackageStatus', (_request, signal) => status.read(signal));
      const run = new Run({ admin: above });
      const line = `package ${command} CS100001 --dp PS2DP1`;
      const ended = run.run(`${line} --wait`);
      await run.whenWritten('CS100001 on PS2DP1: waiting: site PS2 is not connected');
      status.push(row({ state: `PACKAGE_STATUS_STATE_${end}`, changedAtMs: '9' }));
      assert.equal(await ended, 0);
      assert.ok(run.stdout.text.endsWith(`CS100001 ${sentence}.\n`), run.stdout.text);
      if (command !== 'remove') return;
      const { stdout } = await runWaybill(line, { admin: above });
      assert.equal(stdout, 'Package CS100001: removal is on its way from PS2DP1.\n');
    });
  }

  it('a refusal ends the wait for a DP of which only the wish is known', async () => {
    const state = 'PACKAGE_STATUS_STATE_INSTALL_PENDING';
    const refused = aMessage({ messageId: 9006, text: 'DP PS2DP1 cannot be done: no such source' });
    const above = here()
      .answer('getSite', () => ({ ...aSite, siteCode: 'CS1' }))
      .stream('listPackageStatus', () => [row({ state, isAwaited: true })])
      .stream('listStatusMessages', () => [refused]);
    const run = new Run({ admin: above });
    const ended = run.run('package distribute CS100001 --dp PS2DP1 --wait');
    await run.whenWritten('CS100001 on PS2DP1: waiting');
    await run.clock.advance(5_000);
    assert.equal(await ended, 1);
  });

  it('does not take what was never heard of for removed', async () => {
    const rows = [[row()], [row()], []];
    const there = here().stream('listPackageStatus', () => rows.shift() ?? []);
    const above = here()
      .answer('getSite', () => ({ ...aSite, siteCode: 'CS1' }))
      .stream('listPackageStatus', () => []);
    const run = new Run({ admin: above, otherSite: there });
    const ended = run.run('package remove CS100001 --dp PS2DP1 --wait');
    await run.whenWritten('CS100001 on PS2DP1: waiting');
    await run.clock.advance(5_000);
    await run.clock.advance(5_000);
    assert.equal(await ended, 0);
    assert.equal(run.openedSites.length, 1);
  });

  it('ends with the reason when the site could not take the DP', async () => {
    const refused = aMessage({ messageId: 9006, text: 'DP PS2DP1 cannot be done: no such source' });
    const there = here().stream('listStatusMessages', () => [refused]);
    const run = new Run({ admin: here(), otherSite: there });
    const ended = run.run('package distribute CS100001 --dp PS2DP1 --wait');
    await run.whenWritten('CS100001 on PS2DP1: waiting');
    await run.clock.advance(5_000);
    assert.equal(await ended, 1);
    assert.match(run.stderr.text, /PS2DP1 \(DP PS2DP1 cannot be done: no such source\)/);
  });
});
