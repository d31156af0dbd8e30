import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const execute = promisify(execFile);
/** The parser of options speaks the language of the terminal. */
const env = { ...process.env, LC_ALL: 'en_US.UTF-8' };
const root = fileURLToPath(new URL('../../', import.meta.url));
const file = fileURLToPath(new URL('../../integration/demo/help.txt', import.meta.url));

describe('npm run demo -- --help', () => {
  it('is told without a build, in the words of the demo; UPDATE_DOCS=1 writes them anew', async () => {
    const demo = fileURLToPath(new URL('demo/main.js', import.meta.url));
    const { stdout: own } = await execute(process.execPath, [demo, '--help'], { env });
    if (process.env.UPDATE_DOCS === '1') await writeFile(file, own);
    assert.equal(await readFile(file, 'utf8'), own);
    const words = ['run', '--silent', 'demo', '--', '--small', '--help'];
    const { stdout, stderr } = await execute('npm', words, { cwd: root, env });
    assert.deepEqual([stdout, stderr], [own, '']);
  });
});
