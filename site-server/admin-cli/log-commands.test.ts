import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { FakeAdmin, Feed } from './testing/fake-admin.ts';
import { thenMs } from './testing/fake-moment.ts';
import { aLogLine } from './testing/message-answers.ts';
import { Run, runWaybill } from './testing/run-waybill.ts';

describe('waybill logs (PTM-9)', () => {
  it('asks for the last lines', async () => {
    const { admin, stdout } = await runWaybill('logs pkgxfermgr --lines 5');
    const expected = { component: 'pkgxfermgr', lines: 5, follow: false };
    assert.deepEqual(admin.requestOf('readLog'), expected);
    assert.equal(
      stdout,
      '2026-03-14 09:26:53.007  INFO   package-transfer-manager  Content transferred  dpId=PS1DP1 sizeBytes=4096\n',
    );
    const { stdout: json } = await runWaybill('logs pkgxfermgr --json');
    assert.equal(json, `${aLogLine.line}\n`);
  });

  it('without a component lists the logs', async () => {
    const admin = new FakeAdmin().stream('readLog', () => [
      { line: 'distmgr' },
      { line: 'statmgr' },
    ]);
    assert.equal((await runWaybill('logs', { admin })).stdout, 'distmgr\nstatmgr\n');
    assert.equal((await runWaybill('logs --json', { admin })).stdout, '["distmgr","statmgr"]\n');
    const { exitCode, stderr } = await runWaybill('logs --follow', { admin });
    assert.equal(exitCode, 2);
    assert.match(stderr, /^waybill: --follow: expected the component/);
  });

  it('--follow goes on over a restart of the site server and tells no line twice', async () => {
    const lineOf = (msg: string) => ({ line: JSON.stringify({ level: 30, time: thenMs, msg }) });
    const before = new Feed<{ line: string }>();
    const admin = new FakeAdmin().stream('readLog', (_request, signal) => before.read(signal));
    const run = new Run({ admin });
    before.push(lineOf('one'), lineOf('two'));
    before.end(
      new WaybillError({
        code: 'PEER_UNREACHABLE',
        peer: 'a site',
        address: 'a:1',
        reason: 'gone',
      }),
    );
    const ended = run.run('logs distmgr --follow --lines 2');
    await run.whenWritten('went away', run.stderr);
    const after = new Feed<{ line: string }>();
    after.push(lineOf('one'), lineOf('two'), lineOf('three'));
    admin.stream('readLog', (_request, signal) => after.read(signal));
    await run.clock.advance(1_000);
    await run.whenWritten('three');
    run.interrupt();
    assert.equal(await ended, 0);
    const told = run.stdout.text.trimEnd().split('\n');
    assert.deepEqual(
      told.map((line) => line.split('  ').at(-1)),
      ['one', 'two', 'three'],
    );
  });
});
