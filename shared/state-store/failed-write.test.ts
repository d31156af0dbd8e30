import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { CapturedLog } from '../testing/captured-log.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { keySpaces } from './key-space.ts';
import { StateStore } from './state-store.ts';

/**
 * Writes rows until several writes have failed, in a process that may not write files over 512 KiB:
 * to LevelDB the same as a disk that is full in the middle of a record.
 */
const writer = `
  const { StateStore } = await import(${JSON.stringify(new URL('./state-store.js', import.meta.url))});
  const { store } = await StateStore.open({ directory: process.argv[1], logger: {} });
  const counters = store.records({ name: 'counters' });
  const result = { written: [], failed: [], wrong: [] };
  for (let number = 0; result.failed.length < 5; number++) {
    const value = { number, bulk: String(Math.random()).repeat(300) };
    const changes = [counters.put(String(number), value), counters.put('newest', { number })];
    try {
      await store.write(changes, { sync: number % 2 === 0 });
      result.written.push(number);
    } catch {
      result.failed.push(number);
    }
    const [row, newest] = await counters.getMany([String(number), 'newest']);
    const isWritten = result.written.at(-1) === number;
    if ((row !== undefined) !== isWritten) result.wrong.push(number);
    if (newest?.number !== result.written.at(-1)) result.wrong.push(number);
  }
  // The last one failed; one more that is good, as what is undone goes with it.
  await store.write([counters.put('end', { number: 0 })], { sync: true });
  process.stdout.write(JSON.stringify(result));
  process.kill(process.pid, 'SIGKILL');
`;

describe('A StateStore whose writes fail', () => {
  it('rejects them, shows nothing of them, loses nothing else and goes on', async () => {
    await using directory = await TemporaryDirectory.create();
    const path = directory.join('state');
    const script = 'ulimit -f 1024; exec "$0" --input-type=module -e "$1" "$2"';
    const child = promisify(execFile)('sh', ['-c', script, process.execPath, writer, path]);
    const { stdout } = await child.catch((killed: { stdout: string }) => killed);
    const result = JSON.parse(stdout) as Record<'written' | 'failed' | 'wrong', number[]>;
    assert.equal(result.failed.length, 5);
    assert.deepEqual(result.wrong, []);
    // In between it went on: not all failures came one after another.
    assert((result.failed.at(-1) ?? 0) - (result.failed[0] ?? 0) > 100);

    const { store, damage } = await StateStore.open({
      directory: path,
      logger: new CapturedLog().logger,
    });
    assert.equal(damage, undefined);
    const keys: string[] = [];
    for await (const [key] of store.records(keySpaces.counters).list()) keys.push(key);
    const expected = [...result.written.map(String), 'newest', 'end'];
    assert.deepEqual(keys.sort(), expected.sort());
    await store.close();
  }).timeout(30_000);
});
