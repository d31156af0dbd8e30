import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Network } from './network.ts';
import { programs, runProgram, runWaybill } from './programs.ts';
import { writeFiles } from './source-files.ts';
import { Transcript } from './transcript.ts';

/** An administrator's session with a site of one DP, written down as it goes. */
class Session implements AsyncDisposable {
  readonly network: Network;
  readonly source: string;
  readonly transcript: Transcript;

  private constructor(network: Network, name: string) {
    this.network = network;
    this.source = join(network.directory, 'office');
    this.transcript = new Transcript(name, [[this.source, '<source>']]);
  }

  static async open(name: string): Promise<Session> {
    const network = await Network.start({ distributionPoints: ['PS1DP1'] });
    const session = new Session(network, name);
    await writeFiles(session.source, { 'setup.exe': 'setup', 'docs/readme.txt': 'read me' });
    return session;
  }

  async type(commands: readonly string[]): Promise<void> {
    for (const command of commands) {
      const words = command.replace('SOURCE', this.source).split(' ');
      this.transcript.add(words, await runWaybill(this.network, words));
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.network.stop();
  }
}

describe('the command line, against a real site (ADM-1, ADM-2, ADM-4, ADM-5, ADM-6, PTM-9)', () => {
  it("says in a package's life what its transcript has", async () => {
    await using session = await Session.open('package-life');
    await session.type([
      'site',
      'package list',
      'package create --name Office --source SOURCE',
      'package distribute PS100001 --all --wait',
      'status',
      'jobs',
      'jobs --history',
      'package show PS100001',
    ]);
    await writeFile(join(session.source, 'docs/readme.txt'), 'read me again');
    await session.type([
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
    await session.transcript.hold();
  });

  it('gives programs the same as JSON, and ends with 1 when no site answers', async () => {
    await using session = await Session.open('json');
    await session.type([
      'site --json',
      'dp check PS1DP1 --json',
      'dp list --json',
      'package create --name Office --source SOURCE --json',
      'package distribute PS100001 --all --wait --json',
      'package list --json',
      'status --json',
      'jobs --history --json',
      'messages --package PS100001 --limit 1 --json',
      'audit --limit 1 --json',
      'package show PS100009 --json',
    ]);
    await session.transcript.hold();
    const { network } = session;
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
