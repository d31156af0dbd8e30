import assert from 'node:assert/strict';
import { writeRootsFile } from '../../shared/certificates/trusted-roots.ts';
import { type ErrorDetails, WaybillError } from '../../shared/domain/errors.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { FakeAdmin } from './testing/fake-admin.ts';
import { aPackage } from './testing/package-answers.ts';
import { Run, runWaybill } from './testing/run-waybill.ts';

describe('a command line that cannot be (ADM-6)', () => {
  for (const [line, complaint] of [
    ['', 'expected a command; see "waybill --help"'],
    ['pakage list', '"pakage" is no command; did you mean "package"?; see "waybill --help"'],
    ['package', 'expected a word after "package"; see "waybill package --help"'],
    ['package lst', '"lst" is no command; did you mean "list"?; see "waybill package --help"'],
    ['package list PS100001', 'unexpected word "PS100001"; see "waybill package list --help"'],
    ['package create --name T', 'expected --source; see "waybill package create --help"'],
    ['package create --source /a --name', '--name: expected a value; see'],
    ['package create --source /a --name A --name B', '--name: expected one value, got 2'],
    [
      'package create --source a/b --name T',
      '--source: expected an absolute path on the site server',
    ],
    ['package create --source /a --name " "', '--name: expected a text that is not empty, got " "'],
    ['package create --source /a --name T --program x', '--program: expected a name and a command'],
    [
      'package create --source /a --name T --priority 1',
      '--priority: expected one of high, normal',
    ],
    ['package update', 'expected <package-id> after "waybill package update"; see'],
    ['package update ps1', '<package-id>: expected a package ID such as PS100001, got "ps1"'],
    ['package set PS100001 --icon a --remove-icon', '--remove-icon and --icon exclude each other'],
    [
      'package distribut PS100001 --all',
      '"distribut" is no command; did you mean "distribute"?; see "waybill package --help"',
    ],
    ['package list --bogus', 'unknown option --bogus; see "waybill package list --help"'],
    ['package distribute PS100001 --al', 'unknown option --al; did you mean --all?; see "waybill'],
    ['package update PS100001 --previw', 'unknown option --previw; did you mean --preview?; see'],
    ['status --jsn', 'unknown option --jsn; did you mean --json?; see "waybill status --help"'],
    ['status --no-jsn', 'unknown option --no-jsn; see "waybill status --help"'],
    ['status -x', 'unknown option -x; see "waybill status --help"'],
    ['jobs --limit 0', '--limit: expected a whole number from 1 to 10000, got "0"'],
    ['jobs wach', '"wach" is no command; did you mean "watch"?; see "waybill jobs --help"'],
    ['xyz', '"xyz" is no command; see "waybill --help"'],
    ['completon', '"completon" is no command; did you mean "completion"?; see "waybill --help"'],
    ['dp remove X', '"remove" is no command; did you mean "delete"?; see "waybill dp --help"'],
    ['dp rm X', '"rm" is no command; did you mean "delete"?; see "waybill dp --help"'],
    ['dp create X', '"create" is no command; did you mean "add"?; see "waybill dp --help"'],
    ['package add', '"add" is no command; did you mean "create"?; see "waybill package --help"'],
    ['dp ls', '"ls" is no command; did you mean "list"?; see "waybill dp --help"'],
    ['jobs rm 17', '"rm" is no command; did you mean "cancel"?; see "waybill jobs --help"'],
    ['dp constructor', '"constructor" is no command; see "waybill dp --help"'],
    ['dp foo', '"foo" is no command; see "waybill dp --help"'],
    ['status --dp ../x', '--dp: expected a distribution point'],
    ['site --server nowhere', '--server: expected host:port, the port from 1 to 65535'],
  ] as const) {
    it(`waybill ${line}: ${complaint}`, async () => {
      const { exitCode, stdout, stderr, admin } = await runWaybill(line);
      assert.equal(exitCode, 2);
      assert.equal(stdout, '');
      assert.ok(stderr.startsWith(`waybill: ${complaint}`), stderr);
      assert.equal(stderr.indexOf('\n'), stderr.length - 1);
      assert.deepEqual(admin.calls, []);
    });
  }

  for (const [line, method, field, name] of [
    ['jobs suspend 17', 'suspendJobs', 'job_serials', '<jobs>'],
    ['jobs move 17 --before 4', 'moveJobs', 'before_job_serial', '--before'],
    ['send suspend 0000002ACS1', 'steerSendRequests', 'request_ids', '<requests>'],
    ['package export PS100001 --to /a/b', 'exportPackage', 'path', '--to'],
    ['package export PS100001 --to /a/b --since 2', 'exportPackage', 'base_version', '--since'],
    ['package import /a/b', 'importPackage', 'path', '<file>'],
  ] as const) {
    it(`waybill ${line}: a refusal names ${name}`, async () => {
      const admin = new FakeAdmin().stream(method, () => {
        const facts = { field, expected: 'something else', actual: '1' };
        throw new WaybillError({ code: 'REQUEST_INVALID', ...facts });
      });
      const { exitCode, stderr } = await runWaybill(line, { admin });
      assert.equal(exitCode, 1);
      assert.equal(stderr, `waybill: ${name}: expected something else, got 1\n`);
    });
  }

  it('with --json is an object', async () => {
    const { exitCode, stderr } = await runWaybill('package update --json');
    assert.equal(exitCode, 2);
    assert.equal(JSON.parse(stderr).error.code, 'USAGE');
  });
});

describe('Ctrl-C (ADM-6)', () => {
  it('is told as such whatever breaks because of it, with no stack', async () => {
    const run = new Run();
    run.admin.stream('listPackages', () => {
      run.interrupt();
      throw new Error('the socket is gone');
    });
    assert.equal(await run.run('package list'), 1);
    assert.match(run.stderr.text, /^waybill: Interrupted\. What the site server .*goes on.*\n$/);
    assert.doesNotMatch(run.stderr.text, /socket/);
  });
});

describe('a token in a command line (SEC-2)', () => {
  const token = `wbt1_${'Ab9-'.repeat(20)}`;
  for (const line of [
    `enroll bob ${token} --server a:1`,
    `enroll ${token} --server a:1`,
    `enroll bob --token ${token}`,
    `enroll bob --server ${token}`,
    `${token}`,
    `enrollment revoke ${token}`,
    `dp list --${token}`,
  ]) {
    it(`is not repeated: waybill ${line.replace(token, 'TOKEN')}`, async () => {
      const { exitCode, stdout, stderr } = await runWaybill(line);
      assert.equal(exitCode, 2);
      assert.doesNotMatch(stdout + stderr, /b9/i);
      assert.match(stderr, /a token goes to standard input/);
      const json = await runWaybill(`${line} --json`);
      assert.doesNotMatch(json.stdout + json.stderr, /b9/i);
      assert.equal(JSON.parse(json.stderr).error.code, 'USAGE');
    });
  }
});

describe('a refusal by role or scope (SEC-1)', () => {
  async function refusedBy(error: ConstructorParameters<typeof WaybillError>[0]) {
    const admin = new FakeAdmin().answer('deletePackage', () => {
      throw new WaybillError(error);
    });
    return runWaybill('package delete PS100001 --yes', { admin });
  }

  for (const [caller, method, expected, text] of [
    [
      'waybill://admin/read-only/rita',
      '/waybill.v1.Admin/DeletePackage',
      'administrators who may do the daily work',
      'you are rita, whose role is read-only; this takes an operator, or an administrator with full rights. Ask one to do it, or one with full rights for that role: "waybill admin delete rita", then "waybill admin add rita --role operator", and enroll anew. Where the site has no authority of its own, ask who made the certificates for another one',
    ],
    [
      'waybill://admin/operator/olga?site=PS1',
      '/waybill.v1.Admin/SetDistributionPoint',
      'administrators with full rights',
      'you are olga, whose role is operator; this takes an administrator with full rights. Ask one to do it, or one with full rights for that role: "waybill admin delete olga", then "waybill admin add olga --role full --scope site=PS1", and enroll anew. Where the site has no authority of its own, ask who made the certificates for another one',
    ],
    [
      'waybill://admin/operator/olga?site=PS1',
      '/waybill.v1.Admin/AddGroup',
      'administrators with full rights',
      'you are olga, whose role is operator; this takes an administrator with full rights and no scope. Ask one to do it, or one with full rights for that role: "waybill admin delete olga", then "waybill admin add olga --role full", and enroll anew. Where the site has no authority of its own, ask who made the certificates for another one',
    ],
    [
      'waybill://admin/operator/carol?group=Lab',
      '/waybill.v1.Admin/CreateEnrollment',
      'administrators with full rights',
      'you are carol, whose role is operator; this takes an administrator with full rights and no scope. Ask one to do it, or one with full rights for that role: "waybill admin delete carol", then "waybill admin add carol --role full", and enroll anew. Where the site has no authority of its own, ask who made the certificates for another one',
    ],
    [
      'waybill://dp/PS1DP1',
      '/m',
      'administrators with full rights',
      'waybill://dp/PS1DP1 may not call /m; expected administrators with full rights',
    ],
  ] as const) {
    it(`tells ${caller} what ${method} takes, and whom to ask`, async () => {
      const { exitCode, stderr } = await refusedBy({
        ...{ code: 'PEER_NOT_ALLOWED', caller, method, expected },
      });
      assert.deepEqual([exitCode, stderr], [1, `waybill: ${text}\n`]);
    });
  }

  for (const [reason, isAdvised] of [
    ['it closed the connection, as it does when it refuses our certificate', true],
    ['it refuses our certificate', true],
    ['nothing listens there', false],
  ] as const) {
    it(`says ${isAdvised ? '' : 'nothing of revoking '}when "${reason}"`, async () => {
      const peer = 'a site server';
      const { stderr } = await refusedBy({
        ...{ code: 'PEER_UNREACHABLE', peer, address: 'a:1', reason },
      });
      const advice =
        'Yours may be revoked, or over: ask another administrator, whose "waybill certs" says so';
      const told = `a site server at a:1 cannot be reached: ${reason}`;
      assert.equal(stderr, `waybill: ${told}${isAdvised ? `. ${advice}` : ''}\n`);
    });
  }

  for (const [reason, isTold] of [
    ['it closed the connection, as it does when it refuses our certificate', true],
    ['nothing listens there', false],
  ] as const) {
    it(`says ${isTold ? 'that it comes back by itself' : 'no more'} of a certificate on an old root when "${reason}"`, async () => {
      const admin = new FakeAdmin().answer('getPackage', () => {
        const place = { peer: 'a site server', address: 'a:1' };
        throw new WaybillError({ code: 'PEER_UNREACHABLE', ...place, reason });
      });
      const run = { admin, isOnOldRoot: true };
      const { stderr } = await runWaybill('package show PS100001', run);
      const advice =
        'The root was changed, and yours stands on the old one: "waybill" renews it by itself, so try again in a minute. If that does not help for ten, have a new token made and run "waybill enroll"';
      const told = `a site server at a:1 cannot be reached: ${reason}`;
      assert.equal(stderr, `waybill: ${told}${isTold ? `. ${advice}` : ''}\n`);
    });
  }

  it('tells what lies outside the scope, and what to do about it', async () => {
    const { exitCode, stderr } = await refusedBy({
      code: 'SCOPE_EXCEEDED',
      caller: 'waybill://admin/operator/olga?site=PS1',
      scope: 'site PS1',
      outside: 'package CS100001 of site CS1',
    });
    assert.equal(exitCode, 1);
    assert.match(
      stderr,
      /outside it: package CS100001 of site CS1\. Nothing was changed\. Leave that out, or ask/,
    );
  });
});

describe('the roots that count', () => {
  const refused: ErrorDetails = { code: 'PACKAGE_UNKNOWN', packageId: 'PS100009' };
  const unheard: ErrorDetails = {
    code: 'PEER_UNREACHABLE',
    peer: 'a site server',
    address: 'a:1',
    reason: 'refused',
  };

  for (const [what, failure, isAsked] of [
    ['that was done', undefined, true],
    ['that the site refused', refused, true],
    ['that did not reach the site', unheard, false],
  ] as const) {
    it(`are ${isAsked ? '' : 'not '}asked for after a command ${what}`, async () => {
      await using place = await TemporaryDirectory.create();
      const rootsFile = place.join('roots.crt');
      await writeRootsFile(rootsFile, { generation: 1, roots: [] });
      const admin = new FakeAdmin().answer('getPackage', () => {
        if (failure) throw new WaybillError(failure);
        return aPackage({});
      });
      const { exitCode } = await runWaybill('package show PS100001', { admin, rootsFile });
      assert.equal(exitCode === 0, failure === undefined);
      const asked = admin.calls.filter(({ method }) => method === 'getTrustBundle');
      assert.equal(asked.length, isAsked ? 1 : 0);
    });
  }
});

describe('a failure of the site server (ADM-6)', () => {
  const unknown = new FakeAdmin().answer('getPackage', () => {
    throw new WaybillError({ code: 'PACKAGE_UNKNOWN', packageId: 'PS1\u001b[2J' });
  });

  it('is a sentence, harmless on a terminal', async () => {
    const { exitCode, stdout, stderr } = await runWaybill('package show PS100009', {
      admin: unknown,
    });
    assert.equal(exitCode, 1);
    assert.equal(stdout, '');
    assert.equal(
      stderr,
      'waybill: There is no package PS1\\u001b[2J. "waybill package list" shows those there are\n',
    );
  });

  it('with --json has code, message and facts', async () => {
    const { exitCode, stderr } = await runWaybill('package show PS100009 --json', {
      admin: unknown,
    });
    assert.equal(exitCode, 1);
    const { error } = JSON.parse(stderr);
    assert.deepEqual(Object.keys(error), ['code', 'message', 'packageId']);
    assert.equal(error.code, 'PACKAGE_UNKNOWN');
  });

  it('that refuses a field names its option; with --json the field', async () => {
    const facts = { field: 'dp_ids', expected: 'another', actual: 'PS1DP1' };
    const admin = new FakeAdmin().answer('distributePackage', () => {
      throw new WaybillError({ code: 'REQUEST_INVALID', ...facts });
    });
    const line = 'package distribute PS100001 --dp PS1DP1';
    const { stderr } = await runWaybill(line, { admin });
    assert.equal(stderr, 'waybill: --dp: expected another, got PS1DP1\n');
    const { error } = JSON.parse((await runWaybill(`${line} --json`, { admin })).stderr);
    assert.equal(error.message, 'dp_ids: expected another, got PS1DP1');
    assert.equal(error.field, 'dp_ids');
  });

  for (const [method, line, field, name] of [
    ['deleteSite', 'site delete PS2 --yes', 'site_code', '<site-code>'],
    ['setSite', 'site set PS2 --kind primary', 'parent_site_code', 'parent'],
    ['setSite', 'site set PS2 --parent=CS1', 'parent_site_code', '--parent'],
    ['addDistributionPoint', 'dp add D --address a:1 --site PS2', 'site_code', '--site'],
    ['setRoute', 'route set CS1 PS2 --address a:1', 'to_site_code', '<to>'],
    ['distributePackage', 'package distribute PS100001 --dp A --dp B', 'dp_ids[1]', '--dp'],
    ['createEnrollment', 'dp enroll PS1DP1 --valid-for 20d', 'valid_for_ms', '--valid-for'],
    ['createEnrollment', 'dp enroll PS1DP1', 'identity_uri', '<dp-id>'],
    ['createEnrollment', 'site enroll CS1', 'identity_uri', '<site-code>'],
    ['createEnrollment', 'client enroll dp', 'identity_uri', '<name>'],
  ] as const) {
    it(`that refuses ${field} of "${line}" names ${name}`, async () => {
      const admin = new FakeAdmin().answer(method, () => {
        throw new WaybillError({ code: 'REQUEST_INVALID', field, expected: 'x', actual: 'y' });
      });
      const { stderr } = await runWaybill(line, { admin });
      assert.equal(stderr, `waybill: ${name}: expected x, got y\n`);
    });
  }

  it('a number that JavaScript cannot hold is refused, not rounded', async () => {
    const admin = new FakeAdmin().answer('getPackage', () =>
      aPackage({ sizeBytes: '9007199254740993' }),
    );
    const { exitCode, stderr } = await runWaybill('package show PS100001', { admin });
    assert.equal(exitCode, 1);
    assert.match(
      stderr,
      /^waybill: size_bytes: expected a whole number up to 2\^53, got 9007199254740993/,
    );
  });

  it('closes the connection whatever happens', async () => {
    await runWaybill('package show PS100009', { admin: unknown });
    assert.ok(unknown.isClosed);
  });

  it('a bug of ours shows its stack', async () => {
    const admin = new FakeAdmin().answer('getSite', () => {
      throw new TypeError('x is not a function');
    });
    const { exitCode, stderr } = await runWaybill('site', { admin });
    assert.equal(exitCode, 1);
    assert.match(stderr, /TypeError: x is not a function.*run-command-line/s);
  });
});

describe('colours', () => {
  const terminal = { columns: 120, rows: 24 };
  const styled = (text: string) => text.includes('\u001b[');

  it('are there on a terminal, and nowhere else', async () => {
    assert.equal(styled((await runWaybill('package list', { terminal })).stdout), true);
    assert.equal(styled((await runWaybill('package list')).stdout), false);
    assert.equal(styled((await runWaybill('package list --json', { terminal })).stdout), false);
  });

  for (const environment of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
    it(`not with ${JSON.stringify(environment)}`, async () => {
      const { stdout } = await runWaybill('package list', {
        terminal,
        surroundings: { environment },
      });
      assert.equal(styled(stdout), false);
    });
  }
});

describe('waybill --version, --help and completion', () => {
  it('say what they should and exit 0', async () => {
    assert.equal((await runWaybill('--version')).stdout, '0.1.0\n');
    assert.match((await runWaybill('--help')).stdout, /waybill package +Define packages/);
    assert.match(
      (await runWaybill('completion')).stdout,
      /^###-begin-waybill-completions-###|^#compdef waybill/,
    );
  });

  it('completion has a help of its own, and goes by $SHELL alone', async () => {
    for (const words of ['completion --help', '--help completion', '--json completion --help']) {
      const { stdout } = await runWaybill(words);
      assert.match(stdout, /^waybill completion\n\nPrint a completion script/);
      assert.match(stdout, /^Examples:\n {2}waybill completion >> ~\/\.bashrc$/m);
    }
    const { exitCode, stderr } = await runWaybill('completion fish');
    assert.equal(exitCode, 2);
    assert.match(stderr, /unexpected word "fish"; see "waybill completion --help"/);
  });

  it('completion knows commands and options', async () => {
    const { stdout } = await runWaybill('--get-yargs-completions waybill package distribute --');
    assert.match(stdout, /^--dp(:.*)?$/m);
    const words = await runWaybill('--get-yargs-completions waybill dp ""');
    assert.match(words.stdout, /^check(:.*)?$/m);
  });
});
