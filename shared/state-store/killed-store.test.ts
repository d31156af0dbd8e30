import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { CapturedLog } from '../testing/captured-log.ts';
import { SeededRandom } from '../testing/seeded-random.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { StateStore } from './state-store.ts';

/**
 * Opens a store and writes, ever on from a number, batches whose two rows must agree; rows so large
 * that LevelDB moves them from logs to tables all the while. Prints each number once it is written.
 */
const writer = `
  const { StateStore } = await import(${JSON.stringify(new URL('./state-store.js', import.meta.url))});
  const { store } = await StateStore.open({ directory: process.argv[1], logger: {} });
  const counters = store.records({ name: 'counters' });
  const bulk = String(Math.random()).repeat(2_000);
  for (let number = Number(process.argv[2]); ; number++) {
    await store.write(
      [counters.put('a' + number % 200, { number, bulk }), counters.put('b' + number % 200, { number })],
      { sync: number % 7 === 0 },
    );
    process.stdout.write(number + '\\n');
  }
`;

describe('A StateStore whose process is killed', () => {
  it('is never damaged, has every batch whole and none that was written lost', async () => {
    await using directory = await TemporaryDirectory.create();
    const path = directory.join('state');
    const random = new SeededRandom(20);
    let written = 0;
    for (let kills = 0; kills < 4; kills++) {
      written = await killedAfter(path, { from: written + 1, count: random.below(300) });
      const logger = new CapturedLog().logger;
      const { store, damage } = await StateStore.open({ directory: path, logger });
      assert.equal(damage, undefined);
      const rows = store.records<{ number: number }>({ name: 'counters' });
      for (let number = Math.max(1, written - 199); number <= written; number++) {
        const [a, b] = await rows.getMany([`a${number % 200}`, `b${number % 200}`]);
        assert(a && b && a.number === b.number && a.number >= number, `${number}`);
        // The last batch may have been written without a word.
        written = Math.max(written, a.number);
      }
      await store.close();
    }
  }).timeout(60_000);
});

/** The newest number the writer has printed when it is killed, after so many at least. */
async function killedAfter(path: string, writes: { from: number; count: number }): Promise<number> {
  const args = ['--input-type=module', '-e', writer, path, String(writes.from)];
  const child = spawn(process.execPath, args);
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
    if (text.split('\n').length > writes.count) child.kill('SIGKILL');
  });
  await once(child, 'close');
  const numbers = text.split('\n').slice(0, -1).map(Number);
  return numbers.at(-1) ?? writes.from - 1;
}
