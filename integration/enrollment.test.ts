import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { chmod, chown, mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeEnrollmentToken, parseEnrollmentToken } from '../shared/domain/enrollment-token.ts';
import { Administrator } from './administrator.ts';
import { EnrolledHierarchy, type PrintedCommand } from './enrolled-hierarchy.ts';
import { freePort } from './free-port.ts';
import { extractPackage, programs, runProgram } from './programs.ts';
import { writeNoise } from './source-files.ts';
import { hasTerminals, runOnEndedTerminal, TerminalProgram } from './terminal.ts';
import { treeDifference } from './tree-difference.ts';

const mib = 1024 * 1024;

describe('a site that enrolls its machines and people (SEC-2)', function () {
  this.timeout(180_000);
  let net: EnrolledHierarchy;

  before(async () => {
    net = await EnrolledHierarchy.start('PS1');
  });

  after(() => net?.[Symbol.asyncDispose]());

  /** Adds a DP that nobody starts. */
  async function added(dpId: string, more: readonly string[] = []): Promise<PrintedCommand> {
    return net.printed(['dp', 'add', dpId, '--address', '127.0.0.1:9', ...more]);
  }

  /** A DP that is enrolled, and that nobody starts. */
  async function enrolled(dpId: string): Promise<void> {
    const end = await net.enroll(await added(dpId), dpId);
    assert.equal(end.exitCode, 0, end.stderr);
  }

  /** Makes somebody an administrator, who enrolls. */
  async function enrolledAdministrator(name: string, role: string): Promise<PrintedCommand> {
    const printed = await net.printed(['admin', 'add', name, '--role', role]);
    const end = await enrollPerson(printed, name, printed.token);
    assert.equal(end.exitCode, 0, end.stderr);
    const words = /is enrolled, until .*\. waybill asks 127\.0\.0\.1:\d+ from now on/;
    assert.match(end.stdout, words);
    return printed;
  }

  async function enrollPerson({ command }: PrintedCommand, name: string, input: string) {
    const { home } = await net.person(name);
    const [, ...words] = command.split(' ');
    return runProgram(programs.waybill, words, { home, input });
  }

  async function lastAudited(): Promise<string> {
    return (await net.enrollmentsAudited()).at(-1) ?? 'nothing';
  }

  it('brings content to a DP that was added and enrolled by one command each', async () => {
    await net.enrolledDp('PS1DP1');
    // Nobody has asked for it: the site finds out by itself that it is there.
    await net.until('PS1DP1 being known', async () => {
      const point = await net.asked<{ reachability: string }>(['dp', 'show', 'PS1DP1']);
      return point.reachability === 'reachable';
    });
    const source = net.at('source');
    await writeNoise(`${source}/setup.bin`, { bytes: 3 * mib, seed: 5 });
    const alice = await Administrator.of({ admin: () => net.admin('PS1') });
    const packageId = await alice.create(source);
    await alice.install(packageId, 'PS1DP1');
    const places = { directory: net.directory, dp: (dpId: string) => net.agent(dpId) };
    const out = await extractPackage(places, 'PS1DP1', packageId);
    assert.equal(await treeDifference(source, out), '');
  });

  it('a token alone lets a machine go on as the agent, in the foreground', async () => {
    const address = `127.0.0.1:${await freePort()}`;
    const { command, token } = await net.printed(['dp', 'add', 'PS1DP2', '--address', address]);
    const [, ...words] = command.split(' ');
    const where = ['--data', net.at('PS1DP2'), '--config', net.at('PS1DP2.yaml')];
    await giveToService(net.at('PS1DP2'));
    const child = spawn(process.execPath, [programs.waybillDp, ...words, ...where], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    try {
      child.stdin.end(`${token}\n`);
      let said = '';
      for await (const part of child.stdout) {
        said += String(part);
        if (said.includes('"Listening"')) break;
      }
      assert.match(said, /^Distribution point PS1DP2 is enrolled, until /);
      const { uid } = await stat(net.at('PS1DP2'));
      // What it makes as it runs, too: a service of its own user is to go on with it.
      for (const name of ['identity/agent.pem', 'state-store', 'content-library']) {
        assert.equal((await stat(net.at('PS1DP2', name))).uid, uid, name);
      }
      await net.reached('PS1DP2');
      // The same once more, while it runs.
      const again = await runProgram(programs.waybillDp, [...words, ...where], { input: token });
      assert.deepEqual([again.exitCode, again.stderr], [0, '']);
      const runs = new RegExp(
        `^.* was enrolled before, .*, and runs already, as process ${child.pid};.*\n$`,
      );
      assert.match(again.stdout, runs);
    } finally {
      const exit = once(child, 'exit');
      child.kill('SIGKILL');
      await exit;
    }
  });

  it('keeps keys to their owner, and what is not secret readable', async () => {
    await enrolled('PS1DP20');
    const modeOf = async (...names: string[]) => (await stat(net.at(...names))).mode & 0o777;
    assert.equal(await modeOf('PS1DP20', 'identity'), 0o700);
    assert.equal(await modeOf('PS1DP20', 'identity', 'agent.pem'), 0o600);
    assert.equal(await modeOf('PS1DP20.yaml'), 0o644);
    await assert.rejects(stat(net.at('PS1DP20', 'identity', 'next.key')), { code: 'ENOENT' });
  });

  it('waits for no answer on a terminal whose input has ended', async function () {
    // Terminals are made by `script`, which a small machine may lack.
    if (!hasTerminals()) return this.skip();
    const { home } = await net.person('alice');
    const deleting = await runOnEndedTerminal(programs.waybill, ['dp', 'delete', 'PS1DP1'], home);
    assert.equal(deleting.exitCode, 2, deleting.stdout);
    assert.match(
      deleting.stdout,
      /confirm: .*expected an answer or --yes, and the input has ended/s,
    );
    await net.asked(['dp', 'show', 'PS1DP1']);
    const words = ['enroll', 'PS1DP90', '--server', '127.0.0.1:9'];
    const where = ['--data', net.at('PS1DP90'), '--config', net.at('PS1DP90.yaml')];
    const enrolling = await runOnEndedTerminal(programs.waybillDp, [...words, ...where], home);
    assert.equal(enrolling.exitCode, 2, enrolling.stdout);
    assert.match(enrolling.stdout, /Token: .*expected a token, and the input has ended/s);
    await assert.rejects(stat(net.at('PS1DP90.yaml')), { code: 'ENOENT' });
  });

  it('leaves the terminal as it was when the token is typed, and Ctrl-C ends the agent', async function () {
    if (!hasTerminals()) return this.skip();
    const { home } = await net.person('alice');
    const { command, token } = await added('PS1DP91');
    const [, ...words] = command.split(' ');
    const listen = ['--listen', `127.0.0.1:${await freePort()}`];
    const where = ['--data', net.at('PS1DP91'), '--config', net.at('PS1DP91.yaml'), ...listen];
    await using terminal = new TerminalProgram(programs.waybillDp, [...words, ...where], home);
    await terminal.shown('Token: ');
    await net.until('keys being read', async () => terminal.settings().includes('-echo'));
    terminal.type(`${token}\r`);
    await terminal.shown('Process is ready');
    assert.ok(!terminal.said.includes(token));
    for (const setting of ['isig', 'icanon', 'echo']) {
      assert.ok(terminal.settings().includes(setting), setting);
    }
    terminal.type('\u0003');
    assert.equal(await terminal.ended(), 0, terminal.said);
  });

  it('a stolen token that is used twice gives nothing, and is in the audit trail (F24)', async () => {
    const printed = await added('PS1DP3');
    const first = await net.enroll(printed, 'PS1DP3');
    assert.equal(first.exitCode, 0, first.stderr);
    const thief = await net.enroll(printed, 'thief');
    assert.equal(thief.exitCode, 1);
    assert.match(thief.stderr, /was used before, with another key/);
    await assert.rejects(stat(net.at('thief', 'identity', 'agent.pem')), { code: 'ENOENT' });
    await assert.rejects(stat(net.at('thief.yaml')), { code: 'ENOENT' });
    assert.match(await lastAudited(), /^ENROLLMENT_REFUSED token=\w+ holder=dp\/PS1DP3 used$/);
  });

  it('a stolen token that is late gives nothing, and is in the audit trail (F24)', async () => {
    const printed = await added('PS1DP4', ['--valid-for', '1s']);
    await sleep(1_100);
    const late = await net.enroll(printed, 'PS1DP4');
    assert.equal(late.exitCode, 1);
    assert.match(late.stderr, /the time of the token is over; have a new token made/);
    assert.match(await lastAudited(), /^ENROLLMENT_REFUSED token=\w+ holder=dp\/PS1DP4 late$/);
  });

  it('a stolen token gives nothing to another name, and is in the audit trail (F24)', async () => {
    const { command, token } = await added('PS1DP5');
    const other = { command: command.replace('PS1DP5', 'PS1DP1'), token };
    const thief = await net.enroll(other, 'thief');
    assert.equal(thief.exitCode, 1);
    assert.match(thief.stderr, /the token is for another name/);
    const audited = /^ENROLLMENT_REFUSED token=\w+ holder=dp\/PS1DP1 other-name$/;
    assert.match(await lastAudited(), audited);
  });

  it('a mistyped token, another hierarchy and a server that is not there are told apart', async () => {
    const { command, token, server } = await added('PS1DP6');
    const { token: parsed } = parseEnrollmentToken(token);
    assert.ok(parsed);
    const foreign = encodeEnrollmentToken({ ...parsed, rootKeyHash: new Uint8Array(32) });
    const port = await freePort();
    for (const [what, line, exitCode, words] of [
      [
        'mistyped',
        `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`,
        1,
        /character that is not/,
      ],
      ['empty', '', 2, /expected a token, and the input has ended/],
      [
        'wrong CA',
        foreign,
        1,
        /its root is another one, "Waybill root PS1 1"\. If .* a new token made.*\. Nothing was sent/,
      ],
    ] as const) {
      const end = await net.enroll({ command, token: line }, 'PS1DP6');
      assert.equal(end.exitCode, exitCode, what);
      assert.match(end.stderr, words);
      assert.ok(!(end.stdout + end.stderr).includes(token.slice(5, 40)), what);
    }
    const away = { command: command.replace(server, `127.0.0.1:${port}`), token };
    assert.match((await net.enroll(away, 'PS1DP6')).stderr, /cannot be reached: nothing listens/);
    const end = await net.enroll({ command, token }, 'PS1DP6');
    assert.equal(end.exitCode, 0, end.stderr);
  });

  it('writes over no other certificate and no other configuration', async () => {
    await enrolled('PS1DP21');
    const before = await readFile(net.at('PS1DP21', 'identity', 'agent.pem'));
    const printed = await added('PS1DP7');
    const [program = '', ...words] = printed.command.split(' ');
    assert.equal(program, 'waybill-dp');
    const run = (data: string, config: string) => {
      const where = ['--data', net.at(data), '--config', net.at(config), '--no-start', '--force'];
      return runProgram(programs.waybillDp, [...words, ...where], { input: printed.token });
    };
    const overData = await run('PS1DP21', 'PS1DP7.yaml');
    assert.match(
      overData.stderr,
      /agent\.pem is there already: it is the certificate of dp\/PS1DP21/,
    );
    const overConfig = await run('PS1DP7', 'PS1DP21.yaml');
    assert.match(overConfig.stderr, /it is the configuration of PS1DP21/);
    assert.deepEqual([overData.exitCode, overConfig.exitCode], [1, 1]);
    assert.deepEqual(await readFile(net.at('PS1DP21', 'identity', 'agent.pem')), before);
  });

  it('enrolls a machine anew with --force alone, under its own name', async () => {
    await enrolled('PS1DP22');
    const before = await readFile(net.at('PS1DP22', 'identity', 'agent.pem'), 'utf8');
    const again = await net.printed(['dp', 'enroll', 'PS1DP22']);
    // The site knows that there is a certificate: what it prints has --force.
    const unforced = { ...again, command: again.command.replace(' --force', '') };
    assert.notEqual(unforced.command, again.command);
    assert.match((await net.enroll(unforced, 'PS1DP22')).stdout, /was enrolled before/);
    const forced = await net.enroll(again, 'PS1DP22');
    assert.equal(forced.exitCode, 0, forced.stderr);
    const after = await readFile(net.at('PS1DP22', 'identity', 'agent.pem'), 'utf8');
    assert.notEqual(after, before);
    assert.equal(new X509Certificate(after).subject, 'CN=dp/PS1DP22');
  });

  it('goes on after a kill at any moment, with the same key and one certificate', async () => {
    const printed = await added('PS1DP8');
    const [, ...words] = printed.command.split(' ');
    const where = ['--data', net.at('PS1DP8'), '--config', net.at('PS1DP8.yaml'), '--no-start'];
    let killCount = 0;
    for (let afterMs = 100; ; afterMs = Math.ceil(afterMs * 1.25)) {
      const child = spawn(process.execPath, [programs.waybillDp, ...words, ...where], {
        stdio: ['pipe', 'ignore', 'inherit'],
      });
      child.stdin.on('error', () => {});
      child.stdin.end(`${printed.token}\n`);
      const timer = setTimeout(() => child.kill('SIGKILL'), afterMs);
      const [exitCode] = await once(child, 'exit');
      clearTimeout(timer);
      if (exitCode === 0) break;
      assert.equal(exitCode, null, 'it was killed, or came to its end');
      killCount += 1;
    }
    assert.ok(killCount > 3);
    const audited = (await net.enrollmentsAudited()).filter((one) => one.includes('PS1DP8'));
    const keys = new Set(audited.map((one) => /key=(\w+)/.exec(one)?.[1]));
    assert.equal(keys.size, 1, audited.join('\n'));
    assert.equal(audited.filter((one) => !one.includes(' again ')).length, 1);
    const pem = await readFile(net.at('PS1DP8', 'identity', 'agent.pem'), 'utf8');
    assert.equal(new X509Certificate(pem).subject, 'CN=dp/PS1DP8');
  });

  it('enrolls an administrator, who may what his role says', async () => {
    const printed = await enrolledAdministrator('bob', 'read-only');
    const sites = await net.asked<{ siteCode: string }[]>(['site', 'list'], 'bob');
    assert.deepEqual(
      sites.map(({ siteCode }) => siteCode),
      ['PS1'],
    );
    const refused = await net.waybill(['dp', 'enroll', 'PS1DP1', '--json'], 'bob');
    assert.equal(JSON.parse(refused.stderr).error.code, 'PEER_NOT_ALLOWED');
    const again = await enrollPerson(printed, 'bob', '');
    assert.match(again.stdout, /^bob was enrolled before/);
    const asEve = { ...printed, command: printed.command.replace(' bob ', ' eve ') };
    const eve = await enrollPerson(asEve, 'bob', '');
    assert.match(eve.stderr, /it is the certificate of admin\/bob/);
    const all = await net.asked<{ name: string; enrolledAtMs: number }[]>(['admin', 'list']);
    for (const name of ['alice', 'bob']) {
      assert.ok(
        all.some((one) => one.name === name && one.enrolledAtMs > 0),
        name,
      );
    }
  });

  it('gives nothing for a token that was revoked, or made for a DP that is gone', async () => {
    const printed = await added('PS1DP9');
    const [token] = await net.asked<{ tokenId: string; identity: string }[]>([
      'enrollment',
      'list',
    ]);
    assert.equal(token?.identity, 'waybill://dp/PS1DP9');
    await net.asked(['enrollment', 'revoke', token.tokenId]);
    assert.match((await net.enroll(printed, 'PS1DP9')).stderr, /the token was revoked/);
    const next = await net.printed(['dp', 'enroll', 'PS1DP9']);
    await net.asked(['dp', 'delete', 'PS1DP9', '--yes']);
    assert.match((await net.enroll(next, 'PS1DP9')).stderr, /the token was revoked/);
  });

  it('a DP that was deleted is out for good, and in again when it is enrolled anew (F23)', async () => {
    const dp = await net.enrolledDp('PS1DP11');
    await net.asked(['dp', 'delete', 'PS1DP11', '--yes']);
    const again = ['dp', 'add', 'PS1DP11', '--address', dp.address];
    const printed = await net.printed(again);
    const isReached = async () => {
      const end = await net.waybill(['dp', 'check', 'PS1DP11', '--json']);
      return JSON.parse(end.stdout).reachability === 'reachable';
    };
    assert.equal(await isReached(), false);
    const end = await net.enroll(printed, 'PS1DP11');
    assert.equal(end.exitCode, 0, end.stderr);
    await dp.kill();
    await dp.start();
    await net.reached('PS1DP11');
  });

  it('an administrator who was deleted is out, with what he had (F23)', async () => {
    await enrolledAdministrator('carol', 'full');
    await net.asked(['site', 'list'], 'carol');
    await net.asked(['admin', 'delete', 'carol', '--yes']);
    const refused = await net.waybill(['site', 'list', '--json'], 'carol');
    assert.equal(refused.exitCode, 1);
    const all = await net.asked<{ name: string }[]>(['admin', 'list']);
    assert.ok(!all.some(({ name }) => name === 'carol'));
    // Nobody with full rights is left but she who asks.
    for (const words of [
      ['admin', 'delete', 'alice', '--yes'],
      ['certs', 'revoke', 'admin/alice', '--yes'],
    ]) {
      const last = await net.waybill([...words, '--json']);
      assert.equal(JSON.parse(last.stderr).error.code, 'ADMINISTRATOR_LAST');
    }
    await net.asked(['site', 'list']);
  });

  it('has no secret of a token in its logs, its store or its audit trail', async () => {
    const printed = await added('PS1DP10');
    const end = await net.enroll(printed, 'PS1DP10');
    assert.equal(end.exitCode, 0, end.stderr);
    const { token } = parseEnrollmentToken(printed.token);
    assert.ok(token);
    const secret = Buffer.from(token.secret);
    const texts = [printed.token.slice(5, 45), secret.toString('hex'), secret.toString('base64')];
    assert.deepEqual(await filesWith(texts, net.directory), []);
    // So it is looked for where it would be.
    assert.ok((await filesWith([token.tokenId], net.directory)).length > 0);
  });
});

/** The data directory of a service that has a user of its own, where this test may make one. */
async function giveToService(directory: string): Promise<void> {
  await mkdir(directory, { mode: 0o700 });
  if (process.getuid?.() !== 0) return;
  await chmod(dirname(directory), 0o711);
  await chown(directory, 65_534, 65_534);
}

/** The files under a directory in which one of these texts stands. */
async function filesWith(texts: readonly string[], directory: string): Promise<string[]> {
  const found: string[] = [];
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = await readFile(path);
    if (texts.some((text) => bytes.includes(text))) found.push(path);
  }
  return found;
}
