import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { FakeAdmin } from './testing/fake-admin.ts';
import { thenMs } from './testing/fake-moment.ts';
import { Run, runWaybill } from './testing/run-waybill.ts';
import { aChildSite, aSite, aSiteRecord } from './testing/site-answers.ts';
import { aCreatedEnrollment, anAdministrator, anEnrollment } from './testing/trust-answers.ts';

const dpCommand = 'sudo waybill-dp enroll PS1DP1 --server site.example.org:8532 --server-site PS1';

function refusing(code: 'off' | 'unknown-dp'): () => never {
  return () => {
    throw new WaybillError(
      code === 'off'
        ? { code: 'ENROLLMENT_OFF', siteCode: 'PS1', reason: 'it has no authority' }
        : { code: 'DISTRIBUTION_POINT_UNKNOWN', dpId: 'PS1DP1' },
    );
  };
}

describe('what prints the one command for a new machine (SEC-2)', () => {
  it('dp add does, and the token that it asks for, each on a line of its own', async () => {
    const { admin, stdout } = await runWaybill('dp add PS1DP1 --address dp1:8531 --valid-for 2h');
    const request = { identityUri: 'waybill://dp/PS1DP1', validForMs: 7_200_000 };
    assert.deepEqual(admin.requestOf('createEnrollment'), request);
    assert.deepEqual(stdout.split('\n').slice(1), [
      'Run this on the new machine, once, within 1 h:',
      '',
      `  ${dpCommand}`,
      '',
      'It asks for this token; keep it to yourself until then:',
      '',
      'wbt1_secret',
      '',
    ]);
  });

  it('dp add breaks a command that is longer than a line of a terminal as a shell reads it', async () => {
    const enrollmentAddress = 'a-long-name.site.example.org:8532';
    const admin = new FakeAdmin().answer('createEnrollment', ({ identityUri = '' }) => ({
      ...aCreatedEnrollment(identityUri),
      enrollmentAddress,
    }));
    const { stdout } = await runWaybill('dp add PS1DP1 --address dp1:8531', { admin });
    const [, , , command, options, after] = stdout.split('\n');
    assert.deepEqual(
      [command, options, after],
      [
        '  sudo waybill-dp enroll PS1DP1 \\',
        `    --server ${enrollmentAddress} --server-site PS1`,
        '',
      ],
    );
  });

  it('dp add has it in its JSON', async () => {
    const { stdout } = await runWaybill('dp add PS1DP1 --address dp1:8531 --json');
    const { dpId, enrollment } = JSON.parse(stdout);
    assert.equal(dpId, 'PS1DP1');
    assert.deepEqual(
      {
        ...{ command: enrollment.command, asking: enrollment.askingCommand },
        ...{ token: enrollment.token, until: enrollment.expiresAtMs },
      },
      {
        ...{ command: `echo wbt1_secret | ${dpCommand}`, asking: dpCommand },
        ...{ token: 'wbt1_secret', until: thenMs + 3_780_000 },
      },
    );
  });

  for (const [line, command] of [
    ['dp enroll PS1DP1', 'sudo waybill-dp enroll PS1DP1 --force'],
    ['dp add PS1DP1 --address dp1:8531', 'sudo waybill-dp enroll PS1DP1 --force'],
    ['site enroll SS1', 'sudo waybill-site enroll SS1 --force'],
    ['admin add bob --role full', 'waybill enroll bob --force'],
    ['client enroll pc1', 'waybill enroll pc1 --client --force'],
  ] as const) {
    it(`${line} has it replace a certificate where the site knows of one`, async () => {
      const answer = ({ identityUri = '' }) => ({
        ...aCreatedEnrollment(identityUri),
        wasEnrolled: true,
      });
      const whole = `${command} --server site.example.org:8532 --server-site PS1`;
      const admin = new FakeAdmin().answer('createEnrollment', answer);
      const { stdout } = await runWaybill(line, { admin });
      assert.ok(stdout.replaceAll(/ \\\n */g, ' ').includes(`\n  ${whole}\n`), stdout);
      const asJson = await runWaybill(`${line} --json`, { admin });
      const record = JSON.parse(asJson.stdout);
      const { enrollment: made = record } = record;
      assert.deepEqual(
        [made.askingCommand, made.command, made.wasEnrolled],
        [whole, `echo wbt1_secret | ${whole}`, true],
      );
    });
  }

  it('dp add says what it said before at a site without an authority', async () => {
    const admin = new FakeAdmin().answer('createEnrollment', refusing('off'));
    const { exitCode, stdout, stderr } = await runWaybill('dp add PS1DP1 --address dp1:8531', {
      admin,
    });
    assert.deepEqual([exitCode, stderr], [0, '']);
    assert.match(stdout, /is added\. Next: waybill dp check PS1DP1\n$/);
  });

  it('dp add tells a token that could not be made, and that the DP is added', async () => {
    const admin = new FakeAdmin().answer('createEnrollment', refusing('unknown-dp'));
    const { exitCode, stdout, stderr } = await runWaybill('dp add PS1DP1 --address dp1:8531', {
      admin,
    });
    assert.equal(exitCode, 0);
    assert.match(stdout, /is added\.\n$/);
    assert.match(stderr, /no token was made: .* Later: waybill dp enroll PS1DP1\n$/);
  });

  it('dp add asks the site of the DP, until it has heard of it', async () => {
    let asked = 0;
    const otherSite = new FakeAdmin().answer('createEnrollment', ({ identityUri = '' }) => {
      asked += 1;
      if (asked < 3) refusing('unknown-dp')();
      return aCreatedEnrollment(identityUri);
    });
    const admin = new FakeAdmin().stream('listSites', () => [aSiteRecord(), aChildSite()]);
    const run = new Run({ admin, otherSite });
    const ended = run.run('dp add PS1DP1 --address dp1:8531 --site PS2');
    while (asked < 3) await run.clock.advance(100);
    assert.equal(await ended, 0);
    assert.ok(run.stdout.text.includes(dpCommand));
    assert.deepEqual(run.openedSites[0], { siteCode: 'PS2', address: 'ps2.example.org:8530' });
  });

  it('a token that would do harm in a shell is not printed', async () => {
    for (const changes of [
      { token: 'wbt1_$(reboot)' },
      { enrollmentAddress: 'site;reboot' },
      { enrollmentAddress: '' },
    ]) {
      const admin = new FakeAdmin().answer('createEnrollment', ({ identityUri = '' }) => ({
        ...aCreatedEnrollment(identityUri),
        ...changes,
      }));
      const { exitCode, stdout } = await runWaybill('dp enroll PS1DP1', { admin });
      assert.deepEqual([exitCode, stdout], [1, '']);
    }
  });

  it('site enroll asks the top, whose root signs sites', async () => {
    const otherSite = new FakeAdmin();
    const admin = new FakeAdmin()
      .answer('getSite', () => ({ ...aSite, parentSiteCode: 'CS1' }))
      .stream('listSites', () => [
        aSiteRecord({ parentSiteCode: 'CS1' }),
        aSiteRecord({ siteCode: 'CS1', address: 'cs1:8530' }),
      ]);
    const run = new Run({ admin, otherSite });
    assert.equal(await run.run('site enroll SS1'), 0);
    assert.deepEqual(run.openedSites, [{ siteCode: 'CS1', address: 'cs1:8530' }]);
    const { identityUri } = otherSite.requestOf('createEnrollment') as { identityUri: string };
    assert.equal(identityUri, 'waybill://site/SS1');
    assert.match(
      run.stdout.text,
      /\n {2}sudo waybill-site enroll SS1 --server site\.example\.org:8532/,
    );
  });

  it('admin add does, with role and scope in the identity', async () => {
    const line = 'admin add bob --role operator --scope group=Lab --scope site=PS1';
    const { admin, stdout } = await runWaybill(line);
    const { identityUri } = admin.requestOf('createEnrollment') as { identityUri: string };
    assert.equal(identityUri, 'waybill://admin/operator/bob?site=PS1&group=Lab');
    assert.match(stdout, /\n {2}waybill enroll bob --server site\.example/);
    assert.ok(stdout.endsWith('\nwbt1_secret\n'));
  });

  for (const [line, complaint] of [
    ['admin add bob', 'expected --role'],
    ['admin add bob --role king', '--role: expected one of full, operator, read-only'],
    ['admin add a/b --role full', '<name>: expected a name'],
    ['admin add bob --role full --scope PS1', '--scope: expected site=CODE or group=NAME'],
    ['enrollment revoke 12', '<token-id>: expected the ID of a token'],
    ['dp enroll PS1DP1 --valid-for long', '--valid-for: expected how long'],
    ['dp add PS1DP3 --address dp3:8531 --valid-for 40d', 'or 2h; at most 30d, got'],
    [
      'site add PS2 --kind primary --address ps2:8530 --valid-for 31d',
      '--valid-for: expected how long, such as 30s, 10m or 2h; at most 30d, got',
    ],
  ] as const) {
    it(`refuses "${line}" before anything is sent`, async () => {
      const { admin, exitCode, stderr } = await runWaybill(line);
      assert.equal(exitCode, 2);
      assert.ok(stderr.includes(complaint), stderr);
      assert.deepEqual(admin.calls, []);
    });
  }
});

describe('waybill admin and waybill enrollment (SEC-2)', () => {
  it('list administrators with what they may change', async () => {
    const admin = new FakeAdmin().stream('listAdministrators', () => [
      anAdministrator(),
      anAdministrator({
        ...{ name: 'alice', identityUri: 'waybill://admin/full/alice' },
        enrolledAtMs: String(thenMs),
      }),
      anAdministrator({ name: 'rita', identityUri: 'waybill://admin/read-only/rita' }),
    ]);
    const { stdout } = await runWaybill('admin list', { admin });
    assert.deepEqual(stdout.split('\n'), [
      'administrator  role       changes              enrolled',
      'bob            operator   site PS1, group Lab  not yet',
      'alice          full       everything           2026-03-14 09:26:53',
      'rita           read-only  nothing              not yet',
      '',
    ]);
  });

  it('list since when the certificate of one counts no more', async () => {
    const admin = new FakeAdmin().stream('listAdministrators', () => [
      anAdministrator({ enrolledAtMs: String(thenMs), revokedAtMs: String(thenMs + 60_000) }),
      anAdministrator({ name: 'eve', enrolledAtMs: String(thenMs) }),
    ]);
    const { stdout } = await runWaybill('admin list', { admin });
    const [titles, bob, eve] = stdout.split('\n');
    assert.match(titles ?? '', /enrolled {13}revoked$/);
    assert.match(bob ?? '', / 2026-03-14 09:26:53 {2}2026-03-14 09:27:53$/);
    assert.match(eve ?? '', / 2026-03-14 09:26:53$/);
    const json = await runWaybill('admin list --json', { admin });
    const revokedAtMs = JSON.parse(json.stdout).map((one: { revokedAtMs: number }) => {
      return one.revokedAtMs;
    });
    assert.deepEqual(revokedAtMs, [thenMs + 60_000, 0]);
  });

  it('delete one after a question, and none without an answer', async () => {
    const { admin, exitCode, stderr } = await runWaybill('admin delete bob');
    assert.equal(exitCode, 2, stderr);
    assert.ok(!admin.calls.some(({ method }) => method === 'deleteAdministrator'));
    const sure = await runWaybill('admin delete bob --yes');
    assert.deepEqual(sure.admin.requestOf('deleteAdministrator'), { name: 'bob' });
  });

  it('enroll one anew as the site knows him, and nobody it does not', async () => {
    const { admin } = await runWaybill('admin enroll bob');
    const { identityUri } = admin.requestOf('createEnrollment') as { identityUri: string };
    assert.equal(identityUri, anAdministrator().identityUri);
    const other = await runWaybill('admin enroll eve --json');
    assert.equal(JSON.parse(other.stderr).error.code, 'ADMINISTRATOR_UNKNOWN');
  });

  it('list tokens within 80 columns', async () => {
    const admin = new FakeAdmin().stream('listEnrollments', () => [
      anEnrollment(),
      anEnrollment({
        ...{ tokenId: 'fedcba9876543210', state: 'ENROLLMENT_STATE_USED' },
        ...{ usedFrom: '192.0.2.7', wrongSecretCount: 2 },
      }),
    ]);
    const { stdout } = await runWaybill('enrollment', { admin });
    for (const line of stdout.split('\n')) assert.ok(line.length <= 80, line);
    assert.match(stdout, /^0123456789abcdef {2}dp\/PS1DP1 {2}unused/m);
  });

  it('enroll whoever calls it, without a site server to ask', async () => {
    const run = new Run();
    assert.equal(await run.run('enroll bob --server site:8532'), 0);
    assert.deepEqual(run.admin.calls, []);
    const identity = { kind: 'admin', role: 'read-only', name: 'bob' };
    const asked = { identity, server: 'site:8532', serverSite: undefined, isForced: false };
    assert.deepEqual(run.enrollments, [asked]);
    assert.match(
      run.stdout.text,
      /^bob is enrolled, until .* waybill asks site\.example\.org:8530/,
    );
    assert.equal(await run.run('enroll pc1 --client --server site:8532 --server-site PS1'), 0);
    assert.deepEqual(run.enrollments[1]?.identity, { kind: 'client', name: 'pc1' });
    assert.equal(run.enrollments[1]?.serverSite, 'PS1');
    assert.equal(await run.run('enroll bob --server site:8532 --server-site ps1'), 2);
    assert.equal(await run.run('enroll bob'), 2);
  });
});
