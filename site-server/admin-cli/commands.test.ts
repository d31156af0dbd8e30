import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { commandFailureCodes } from './command-failure.ts';
import { allCommands } from './commands.ts';
import { FakeAdmin, Feed } from './testing/fake-admin.ts';
import { aJob, aSendRequest } from './testing/job-answers.ts';
import { aLogLine } from './testing/message-answers.ts';
import { aStatus } from './testing/package-answers.ts';
import { Run, runWaybill } from './testing/run-waybill.ts';

/** Commands that go on until Ctrl-C; their examples are run with an interruption. */
const endless = ['jobs watch', 'send watch', 'logs'];

/** A site server that has changed everything by the time it is watched. */
function quickAdmin(): FakeAdmin {
  const admin = new FakeAdmin();
  const changed = ['PS1DP1', 'PS1DP2'].map((dpId) => aStatus({ dpId, changedAtMs: '2' }));
  return admin.stream('watchPackageStatus', () => changed);
}

describe('every command (ADM-6)', () => {
  for (const { path, example } of allCommands) {
    it(`waybill ${path}: its help has an example and --json`, async () => {
      const { exitCode, stdout } = await runWaybill(`${path} --help`);
      assert.equal(exitCode, 0);
      assert.ok(stdout.includes(example), stdout);
      assert.match(stdout, /--json/);
    });

    it(`waybill ${path}: its example runs, as text`, async () => {
      const run = new Run({ admin: quickAdmin() });
      assert.equal(await runExample(run, path, example), 0, run.stderr.text);
      assert.notEqual(run.stdout.text, '');
    });

    it(`waybill ${path}: its example with --json writes JSON and nothing else`, async () => {
      const run = new Run({ admin: quickAdmin() });
      assert.equal(await runExample(run, path, `${example} --json`), 0, run.stderr.text);
      const lines = run.stdout.text.trimEnd().split('\n');
      for (const line of lines) assert.equal(typeof JSON.parse(line), 'object', line);
    });

    it(`waybill ${path}: docs/cli.md describes it, with its example`, async () => {
      const text = await readFile(new URL('../../../docs/cli.md', import.meta.url), 'utf8');
      assert.ok(text.includes(`\n### waybill ${path}\n`), 'no heading');
      assert.ok(text.includes(example), 'no example');
    });
  }

  it('docs/cli.md explains every code that only this program has', async () => {
    const text = await readFile(new URL('../../../docs/cli.md', import.meta.url), 'utf8');
    const explained = [...text.matchAll(/^\| `([A-Z_]+)` +\|/gm)].map(([, code]) => code);
    const known = ['USAGE', 'BUG', ...commandFailureCodes];
    assert.deepEqual(explained.toSorted(), known.toSorted());
  });

  it('docs/cli.md describes no command that is not there', async () => {
    const text = await readFile(new URL('../../../docs/cli.md', import.meta.url), 'utf8');
    const described = [...text.matchAll(/^### waybill (.+)$/gm)].map(([, path]) => path);
    const known = [...allCommands.map(({ path }) => path), 'completion'];
    assert.deepEqual(described.toSorted(), known.toSorted());
  });
});

async function runExample(run: Run, path: string, line: string): Promise<number> {
  if (!endless.includes(path)) return run.run(line.replace('waybill ', ''));
  const jobs = new Feed<ReturnType<typeof aJob>>();
  const lines = new Feed<typeof aLogLine>();
  const sends = new Feed<ReturnType<typeof aSendRequest>>();
  jobs.push(aJob());
  sends.push(aSendRequest());
  lines.push(aLogLine);
  run.admin.stream('watchJobs', (_request, signal) => jobs.read(signal));
  run.admin.stream('watchSendRequests', (_request, signal) => sends.read(signal));
  run.admin.stream('readLog', (_request, signal) => lines.read(signal));
  const ended = run.run(line.replace('waybill ', ''));
  await run.whenWritten('\n');
  run.interrupt();
  return ended;
}
