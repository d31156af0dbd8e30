import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { FakeAdmin } from './testing/fake-admin.ts';
import { nothingRetried } from './testing/fake-answers.ts';
import { thenMs } from './testing/fake-moment.ts';
import { aJob, aSendRequest } from './testing/job-answers.ts';
import { aMessage } from './testing/message-answers.ts';
import { aStatus } from './testing/package-answers.ts';
import { runWaybill } from './testing/run-waybill.ts';
import { aSite } from './testing/site-answers.ts';

describe('waybill status and retry (ADM-1)', () => {
  it('sends the selection', async () => {
    const { admin } = await runWaybill('status PS100001 --dp PS1DP2 --failed');
    const expected = { packageId: 'PS100001', dpId: 'PS1DP2', failedOnly: true };
    assert.deepEqual(admin.requestOf('listPackageStatus'), expected);
    const { admin: other } = await runWaybill('retry --dp PS1DP2');
    const retried = { packageId: '', dpId: 'PS1DP2', failedOnly: true };
    assert.deepEqual(other.requestOf('retryFailed'), retried);
  });

  it('shows state, versions, age and reason, and how to retry', async () => {
    const admin = new FakeAdmin().stream('listPackageStatus', () => [
      aStatus({ state: 'PACKAGE_STATUS_STATE_CONTENT_UPDATING', installedVersion: 2, percent: 40 }),
      aStatus({
        dpId: 'PS1DP2',
        state: 'PACKAGE_STATUS_STATE_INSTALL_FAILED',
        installedVersion: 0,
        reason: 'no room',
      }),
    ]);
    const { stdout } = await runWaybill('status', { admin });
    assert.deepEqual(stdout.split('\n'), [
      'package   on      state              version  done  since      reason',
      'PS100001  PS1DP1  content updating     2 → 3  40 %  3 min ago',
      'PS100001  PS1DP2  install failed    none → 3        3 min ago  no room',
      '',
      '1 failed. "waybill retry" runs them again.',
      '',
    ]);
  });

  it('counts what was cancelled by itself, and says that a retry runs that, too (PKG-9)', async () => {
    const failed = { state: 'PACKAGE_STATUS_STATE_INSTALL_FAILED' } as const;
    const cancelled = 'Cancelled by an administrator';
    const rows = [
      aStatus({ ...failed, reason: `${cancelled}; PS1DP1 has not confirmed it yet` }),
      aStatus({ ...failed, dpId: '', reason: `Site CS1 could not send it: ${cancelled}` }),
    ];
    const admin = new FakeAdmin().stream('listPackageStatus', () => rows);
    const none = await runWaybill('status', { admin });
    const retry = '"waybill retry" runs all of them again; --package and --dp select.';
    assert.ok(none.stdout.endsWith(`\n\n2 cancelled. ${retry}\n`), none.stdout);
    rows.push(aStatus({ ...failed, dpId: 'PS1DP2', reason: 'no room' }));
    const one = await runWaybill('status', { admin });
    assert.ok(one.stdout.endsWith(`\n\n1 failed, 2 cancelled. ${retry}\n`), one.stdout);
  });

  it('says why a transfer waits, in the words of "waybill jobs" (PTM-1)', async () => {
    const onItsWay = { state: 'PACKAGE_STATUS_STATE_INSTALL_RETRYING', reason: 'lost' } as const;
    const unreachable = 'distribution point PS1DP5 at a:1 cannot be reached: nothing listens there';
    const waiting = { state: 'JOB_STATE_PENDING' } as const;
    const admin = new FakeAdmin()
      .stream('listPackageStatus', () => [
        aStatus({ ...onItsWay, dpId: 'PS1DP1' }),
        aStatus({ ...onItsWay, dpId: 'PS1DP2' }),
        aStatus({ ...onItsWay, dpId: 'PS1DP3' }),
        aStatus({ dpId: 'PS1DP4' }),
        aStatus({ ...onItsWay, dpId: 'PS1DP5', reason: unreachable }),
      ])
      .stream('listJobs', () => [
        aJob({
          ...{ ...waiting, dpId: 'PS1DP1', waitingReason: 'window-closed' },
          reason: 'Its window opens at 2026-09-15 18:00:00 UTC',
        }),
        aJob({
          ...{ dpId: 'PS1DP2', state: 'JOB_STATE_SUSPENDED', waitingReason: 'suspended' },
          reason: 'Suspended by an administrator',
        }),
        aJob({ ...waiting, dpId: 'PS1DP3', waitingReason: 'slot', reason: '' }),
        aJob({ ...waiting, dpId: 'PS1DP4', waitingReason: 'slot', reason: '' }),
        aJob({ ...waiting, dpId: 'PS1DP5', waitingReason: 'dp-unreachable', reason: unreachable }),
      ]);
    const { stdout } = await runWaybill('status', { admin });
    assert.match(stdout, /PS1DP1 .* ago +window closed: opens at 2026-09-15 18:00:00 UTC$/m);
    assert.match(stdout, /PS1DP2 .* ago +suspended$/m);
    assert.match(stdout, /PS1DP3 .* ago +lost$/m);
    assert.match(stdout, /PS1DP4 .* ago$/m);
    assert.match(stdout, /PS1DP5 .* ago +DP unreachable: nothing listens there$/m);
    const { stdout: listed } = await runWaybill('jobs', { admin });
    assert.match(listed, /PS1DP5 .* DP unreachable: nothing listens there$/m);
    const json = JSON.parse((await runWaybill('status --json', { admin })).stdout);
    assert.equal(json[1].jobReason, 'suspended');
  });

  for (const [which, jobs] of [
    ['is at work', [aJob({ remainingBytes: '0' })]],
    ['has just ended', []],
  ] as const) {
    it(`says of a job that ${which} that the reason is of the try before`, async () => {
      const reason = 'No source of PS1DP1 holds package PS100001 yet';
      const admin = new FakeAdmin()
        .stream('listPackageStatus', () => [
          aStatus({ state: 'PACKAGE_STATUS_STATE_INSTALL_RETRYING', percent: 100, reason }),
        ])
        .stream('listJobs', () => jobs);
      const { stdout } = await runWaybill('status', { admin });
      assert.match(stdout, / 100 % .* ago +goes on now; before: No source of PS1DP1 holds /);
    });
  }

  it('shows no reason of a site that cannot be asked, and fails not', async () => {
    const awaited = { state: 'PACKAGE_STATUS_STATE_INSTALL_PENDING' } as const;
    const admin = new FakeAdmin()
      .stream('listPackageStatus', () => [aStatus(awaited)])
      .stream('listJobs', () => {
        throw new WaybillError({
          code: 'DEADLINE_EXCEEDED',
          peer: 'x',
          method: 'y',
          deadlineMs: 1,
        });
      });
    assert.equal((await runWaybill('status', { admin })).exitCode, 0);
  });

  it('says why what another site waits for is not on its way (REP-4)', async () => {
    const reason = 'Window closed; it opens 2026-03-15 00:00:00 UTC';
    const waiting = {
      siteCode: 'PS2',
      state: 'PACKAGE_STATUS_STATE_INSTALL_PENDING',
      installedVersion: 0,
      reason: 'content has not arrived from site PS1 yet',
    } as const;
    const admin = new FakeAdmin()
      .stream('listPackageStatus', () => [aStatus({ ...waiting, dpId: '' }), aStatus()])
      .stream('listSendRequests', () => [
        aSendRequest({ packageId: 'PS100001', finalSiteCode: 'PS2', reason }),
        aSendRequest({ packageId: 'PS100001', finalSiteCode: 'PS3', reason }),
      ]);
    const { stdout } = await runWaybill('status', { admin });
    assert.match(
      stdout,
      /\n\nPS100001 for site PS2, send request 0000002ACS1 of site PS1: Window closed; it opens .*\.\n$/,
    );
    const json = JSON.parse((await runWaybill('status --json', { admin })).stdout);
    assert.deepEqual(
      json.map((row: { sendReason: string }) => row.sendReason),
      [reason, ''],
    );
  });

  it('says what is tried again', async () => {
    const { stdout } = await runWaybill('retry');
    assert.equal(stdout, 'Reading again: PS100002.\nTrying again on PS1DP2.\n');
  });

  it('names the site where it was the site that had failed', async () => {
    const ofSite = { dpIds: ['PS2DP1'], packageIds: [], siteCodes: ['PS2'], siteDpIds: ['PS2DP1'] };
    const retried = (answer: Partial<typeof ofSite>) =>
      new FakeAdmin().answer('retryFailed', () => ({ ...ofSite, ...answer }));
    const { stdout } = await runWaybill('retry', { admin: retried({}) });
    assert.equal(stdout, 'Bringing it again to site PS2, for PS2DP1.\n');
    const both = { dpIds: ['PS1DP1', 'PS2DP1'], siteCodes: ['PS2', 'PS3'] };
    assert.match(
      (await runWaybill('retry', { admin: retried(both) })).stdout,
      /^Bringing it again to sites PS2, PS3, for PS2DP1\.\nTrying again on PS1DP1\.\n$/,
    );
    const json = await runWaybill('retry --json', { admin: retried({}) });
    assert.deepEqual(JSON.parse(json.stdout).siteCodes, ['PS2']);
  });

  it('says when nothing has failed', async () => {
    const admin = new FakeAdmin()
      .answer('retryFailed', () => nothingRetried)
      .stream('listPackageStatus', () => []);
    assert.equal((await runWaybill('retry', { admin })).stdout, 'Nothing has failed.\n');
    assert.equal((await runWaybill('status --failed', { admin })).stdout, 'Nothing has failed.\n');
  });
});

describe('waybill about what does not exist (bad input)', () => {
  const nothing = () =>
    new FakeAdmin()
      .answer('retryFailed', () => nothingRetried)
      .stream('listPackageStatus', () => [])
      .stream('listStatusMessages', () => []);

  for (const words of [
    'status PS1000FF',
    'retry --package PS1000FF',
    'messages --package PS1000FF',
  ]) {
    it(`${words} says that there is no such package`, async () => {
      const admin = nothing().answer('getPackage', ({ packageId = '' }) => {
        throw new WaybillError({ code: 'PACKAGE_UNKNOWN', packageId });
      });
      const { exitCode, stdout, stderr } = await runWaybill(words, { admin });
      assert.equal(exitCode, 1);
      assert.equal(stdout, '');
      assert.match(stderr, /PS1000FF/);
    });
  }

  for (const words of ['status --dp PS1DP9', 'retry --dp PS1DP9', 'messages --dp PS1DP9']) {
    it(`${words} says that there is no such distribution point`, async () => {
      const { exitCode, stdout, stderr } = await runWaybill(words, { admin: nothing() });
      assert.equal(exitCode, 1);
      assert.equal(stdout, '');
      assert.match(stderr, /PS1DP9/);
    });
  }

  it('says nothing of the kind about what exists', async () => {
    const { exitCode, stdout } = await runWaybill('status PS100001 --dp PS1DP1', {
      admin: nothing(),
    });
    assert.equal(exitCode, 0);
    assert.equal(stdout, 'No package is on its way or installed.\n');
  });

  it('says below the top that this is not of the whole hierarchy (ADM-2)', async () => {
    const site = { ...aSite, siteCode: 'SS1', parentSiteCode: 'PS1' };
    const admin = nothing().answer('getSite', () => site);
    const { stdout } = await runWaybill('status --failed', { admin });
    assert.match(
      stdout,
      /^Nothing has failed\.\nSite SS1 knows of itself and of the sites below it/,
    );
    const retried = await runWaybill('retry', { admin });
    assert.match(retried.stdout, /^Nothing has failed\.\nSite SS1 .*"waybill retry --all-sites"/s);
    const json = await runWaybill('status --json', { admin });
    assert.deepEqual(JSON.parse(json.stdout), []);
  });
});

describe('waybill jobs (ADM-2, PTM-1)', () => {
  it('shows place, progress, rate, ETA, and why a job waits', async () => {
    const { stdout, admin } = await runWaybill('jobs --package PS100001 --limit 5');
    const expected = { packageId: 'PS100001', dpId: '', history: false, limit: 5 };
    assert.deepEqual(admin.requestOf('listJobs'), expected);
    const [heading = '', running = '', waiting = ''] = stdout.split('\n');
    assert.match(heading, /^place +job +package +version +to +action +state/);
    assert.match(running, /in progress +normal +25 % +3 GiB +45\.2 MB\/s +71 s +1$/);
    assert.match(waiting, /^ +1 +18 .* within 2 min +DP unreachable: nothing listens there$/);
  });

  it('says which jobs a pull DP has, and when the site asks for them (PULL-3)', async () => {
    const restartAtMs = String(thenMs + 63 * 60_000);
    const withDp = aJob({ sendAction: 'PullQueryResultAction', pollCount: 1, restartAtMs });
    const admin = new FakeAdmin().stream('listJobs', () => [withDp]);
    const { stdout } = await runWaybill('jobs', { admin });
    assert.match(stdout, /with the DP +normal +25 % .* 45\.2 MB\/s +71 s +1 +asks in 1 h$/m);
    const [json] = JSON.parse((await runWaybill('jobs --json', { admin })).stdout);
    assert.equal(json.state, 'in-progress');
    assert.equal(json.sendAction, 'PullQueryResultAction');
    assert.equal(json.pollCount, 1);
  });

  for (const [waitingReason, reason, shown] of [
    [
      'no-source',
      'No source of PS1DP2 holds package PS100001 yet. It goes on by itself when one does',
      'no source has it yet',
    ],
    [
      'no-source',
      'No source gives what is missing of package PS100001: PS1DP1 is gone. It goes on by itself when one does',
      'no source has it yet: PS1DP1 is gone',
    ],
    ['capacity', '', 'the DP has as many jobs as it takes'],
    [
      'capacity',
      'PS1DP2 has as many jobs as it takes, 50; this one goes on when one of them ends',
      'the DP has as many jobs as it takes: 50',
    ],
    ['rate', 'The limit of the link london holds it back', 'rate: limit of the link london'],
    [
      'window-closed',
      'Its window opens at 2026-03-29 01:00:00 UTC',
      'window closed: opens at 2026-03-29 01:00:00 UTC',
    ],
  ] as const) {
    it(`says why a job waits: ${shown} (PTM-1, PTM-5, PTM-6, PULL-2)`, async () => {
      const admin = new FakeAdmin().stream('listJobs', () => [
        aJob({ state: 'JOB_STATE_PENDING', waitingReason, reason }),
      ]);
      const { stdout } = await runWaybill('jobs', { admin });
      assert.ok(stdout.trimEnd().endsWith(`  ${shown}`), stdout);
    });
  }

  it('history shows when and how long', async () => {
    const ended = aJob({
      state: 'JOB_STATE_COMPLETE',
      endedAtMs: String(thenMs + 95_000),
      remainingBytes: '0',
    });
    const admin = new FakeAdmin().stream('listJobs', () => [ended]);
    const { stdout } = await runWaybill('jobs list --history', { admin });
    assert.match(stdout, /complete +2026-03-14 09:28:28 +95 s +4 GiB +1 GiB +1$/m);
  });
});

describe('waybill messages and audit (ADM-4, ADM-5)', () => {
  it('sends the selection; --since counts from now', async () => {
    const { admin } = await runWaybill(
      'messages --package PS100001 --dp PS1DP1 --severity warning --since 2h --id 2330 --limit 7',
    );
    assert.deepEqual(admin.requestOf('listStatusMessages'), {
      packageId: 'PS100001',
      dpId: 'PS1DP1',
      severity: 'SEVERITY_WARNING',
      sinceMs: thenMs + 180_000 - 7_200_000,
      messageId: 2330,
      limit: 7,
    });
  });

  it('--since takes a date with its zone', async () => {
    const { admin } = await runWaybill('audit --since 2026-03-14T09:00Z --refused');
    const sinceMs = Date.UTC(2026, 2, 14, 9);
    assert.deepEqual(admin.requestOf('listAuditRecords'), { refusedOnly: true, sinceMs, limit: 0 });
  });

  for (const since of ['yesterday', '2', '2w', '2026-13-01', '-2h']) {
    it(`refuses --since=${since}`, async () => {
      const { admin, exitCode, stderr } = await runWaybill(`messages --since=${since}`);
      assert.equal(exitCode, 2);
      assert.match(stderr, /^waybill: --since: expected how long ago, such as 30m, 2h or 7d/);
      assert.deepEqual(admin.calls, []);
    });
  }

  it('shows time, severity, number, component and sentence', async () => {
    const admin = new FakeAdmin().stream('listStatusMessages', () => [
      aMessage({ text: 'Package \u001b]0;x\u0007 is here.' }),
    ]);
    const { stdout } = await runWaybill('messages', { admin });
    assert.equal(
      stdout.split('\n')[1],
      '2026-03-14 09:26:53  information  2330  SMS_DISTRIBUTION_MANAGER  Package \\u001b]0;x\\u0007 is here.',
    );
  });

  it('audit shows who, from where, what and the result', async () => {
    const { stdout } = await runWaybill('audit');
    assert.match(
      stdout,
      /DP PS1DP1 +192\.0\.2\.7:40112 +refused +CreatePackage: PEER_NOT_ALLOWED$/m,
    );
  });
});

describe('waybill site', () => {
  it('shows which site answers', async () => {
    const { stdout } = await runWaybill('site');
    assert.match(stdout, /^site {5}PS1\nkind {5}primary\naddress {2}site\.example\.org:8530\n/);
    const { stdout: json } = await runWaybill('site --json');
    assert.deepEqual(JSON.parse(json), {
      siteCode: 'PS1',
      kind: 'primary',
      parentSiteCode: '',
      agentVersion: '0.1.0',
      startedAtMs: thenMs,
    });
  });
});

describe('lists of work on a terminal of 80 columns (ADM-2, ADM-6)', () => {
  const terminal = { columns: 80, rows: 24 };
  const surroundings = { environment: { NO_COLOR: '1' } };

  for (const [line, heading, columns] of [
    ['jobs', 'place', ['package', 'to', 'state', 'done', 'ETA', 'why it waits']],
    ['jobs --history', 'job', ['package', 'to', 'state', 'reason']],
    ['send', 'request', ['package', 'to', 'state', 'done', 'why it waits']],
    ['send --history', 'request', ['package', 'to', 'state', 'reason']],
  ] as const) {
    it(`waybill ${line} is a table`, async () => {
      const { stdout } = await runWaybill(line, { terminal, surroundings });
      const lines = stdout.split('\n');
      assert.ok(
        lines.every((one) => one.length <= 80),
        stdout,
      );
      assert.ok(lines[0]?.startsWith(heading), stdout);
      for (const title of columns) assert.ok(lines[0]?.includes(title), `${title} in ${stdout}`);
    });
  }
});
