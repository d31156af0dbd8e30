import assert from 'node:assert/strict';
import { readFile, truncate } from 'node:fs/promises';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { RewrittenFiles } from './rewritten-files.ts';

const a = 'a'.repeat(64);
const b = 'b'.repeat(64);
const c = 'c'.repeat(64);

describe('rewritten files', () => {
  let directory: TemporaryDirectory;
  const open = (jobSerial = 1) => RewrittenFiles.open(directory.join('PS100001'), jobSerial);

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
  });
  afterEach(() => directory[Symbol.asyncDispose]());

  it('are known again after a restart, for their job only (PKG-6)', async () => {
    const rewritten = await open();
    assert.equal(rewritten.has(a), false);
    await rewritten.add([a, b]);
    assert.equal(rewritten.has(a), true);
    const again = await open();
    assert.deepEqual([again.has(a), again.has(b), again.has(c)], [true, true, false]);
    assert.equal((await open(2)).has(a), false);
  });

  it('lose at most the file whose line a crash has cut, and the one written behind it', async () => {
    await (await open()).add([a, b]);
    const path = directory.join('PS100001', 'rewritten.1');
    await truncate(path, 65 + 10);
    const cut = await open();
    assert.deepEqual([cut.has(a), cut.has(b), cut.has('b'.repeat(10))], [true, false, true]);
    await cut.add([c]);
    await cut.add([b]);
    const again = await open();
    assert.deepEqual([again.has(a), again.has(b), again.has(c)], [true, true, false]);
    assert.match(await readFile(path, 'utf8'), new RegExp(`^${a}\nb{10}${c}\n${b}\n$`));
  });
});
