import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Network } from './network.ts';
import { programs, runProgram, runWaybill } from './programs.ts';
import { writeFiles } from './source-files.ts';
import { Transcript } from './transcript.ts';

describe('the command line, against a real site (ADM-1, ADM-2, ADM-4, ADM-5, ADM-6, PTM-9)', () => {
  let network: Network;
  let source: string;

  before(async () => {
    network = await Network.start({ distributionPoints: ['PS1DP1'] });
    source = join(network.directory, 'office');
    await writeFiles(source, { 'setup.exe': 'setup', 'docs/readme.txt': 'read me' });
  });

  after(() => network.stop());

  async function session(transcript: Transcript, commands: readonly string[]): Promise<void> {
    for (const command of commands) {
      const words = command.replace('SOURCE', source).split(' ');
      transcript.add(words, await runWaybill(network, words));
    }
  }

  it("says in a package's life what its transcript has", async () => {
    const transcript = new Transcript('package-life', [[source, '<source>']]);
    await session(transcript, [
      'site',
      'package list',
      'package create --name Office --source SOURCE',
      'package distribute PS100001 --all --wait',
      'status',
      'jobs',
      'jobs --history',
      'package show PS100001',
    ]);
    await writeFile(join(source, 'docs/readme.txt'), 'read me again');
    await session(transcript, [
      'package update PS100001 --wait',
      'package update PS100001 --wait',
      'package redistribute PS100001 --all --wait',
      'package remove PS100001 --all --wait',
      'package delete PS100001 --yes --wait',
      'status',
      'package list',
      'messages',
      'logs',
      'logs pkgxfermgr --lines 2',
      'audit',
    ]);
    await transcript.hold();
  });

  it('gives programs the same as JSON', async () => {
    const transcript = new Transcript('json', [[source, '<source>']]);
    await session(transcript, [
      'site --json',
      'dp check PS1DP1 --json',
      'dp list --json',
      'package create --name Office --source SOURCE --json',
      'package distribute PS100002 --all --wait --json',
      'package list --json',
      'status --json',
      'jobs --history --limit 1 --json',
      'messages --package PS100002 --limit 1 --json',
      'audit --limit 1 --json',
      'package show PS100009 --json',
    ]);
    await transcript.hold();
  });

  it('ends with 1 and says so when no site answers', async () => {
    const options = network.cliOptions.map((word) => {
      return word === network.site.address ? '127.0.0.1:9' : word;
    });
    const { exitCode, stderr } = await runProgram(programs.waybill, ['status', ...options]);
    assert.equal(exitCode, 1);
    assert.match(
      stderr,
      /a site server at 127\.0\.0\.1:9 cannot be reached: nothing listens there/,
    );
  });
});
