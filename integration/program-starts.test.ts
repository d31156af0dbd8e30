import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { TemporaryDirectory } from '../shared/testing/temporary-directory.ts';
import { programs, runProgram } from './programs.ts';

/** Prints the machine code that a program has loaded, when it ends. */
const spy = `process.on('exit', () => {
  const { sharedObjects } = process.report.getReport();
  console.log(JSON.stringify(sharedObjects.filter((path) => path.endsWith('.node'))));
});`;

describe('programs of one file each (ADM-6)', () => {
  let directory: TemporaryDirectory;
  before(async () => {
    directory = await TemporaryDirectory.create();
    await writeFile(directory.join('spy.cjs'), spy);
  });
  after(() => directory[Symbol.asyncDispose]());

  async function machineCodeOf(program: string, words: readonly string[]): Promise<string[]> {
    const environment = { NODE_OPTIONS: `--require=${directory.join('spy.cjs')}` };
    const { exitCode, stdout } = await runProgram(program, words, { environment });
    assert.equal(exitCode, 0);
    return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
  }

  for (const words of [
    ['--version'],
    ['--help'],
    ['package', 'create', '--help'],
    ['completion'],
  ]) {
    it(`load no machine code before it is needed: waybill ${words.join(' ')}`, async () => {
      assert.deepEqual(await machineCodeOf(programs.waybill, words), []);
    });
  }

  it('load that of hashes in a site server and the agent of a DP', async () => {
    for (const program of [programs.waybillSite, programs.waybillDp]) {
      assert.match((await machineCodeOf(program, ['--version'])).join(), /blake/);
    }
  });
});
