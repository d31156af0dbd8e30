/**
 * The process that parses: inputs of one target by their numbers, made of the right inputs in a file, so
 * that whoever watches can make the same. Before the first
 * it writes into another what memory it has, and before each its number, so that whoever watches knows on which
 * it hangs, grows or dies.
 */
import { openSync, readFileSync, writeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { inputsOf } from './fuzz-target.ts';
import { fuzzTargetOf } from './targets.ts';

const [name, seed, first, end, seedsPath = '', numberPath = ''] = process.argv.slice(2);
const target = fuzzTargetOf(name);
if (!target) throw new Error(`There is no parser ${name}`);
const seeds = (JSON.parse(readFileSync(seedsPath, 'utf8')) as string[]).map((one) =>
  Buffer.from(one, 'base64'),
);
const inputOf = inputsOf(target, seeds, Number(seed));
/**
 * Memory outside the heap, of native hashes for one, does not make Node collect, and is given back in a
 * turn of its own: what is measured is what inputs hold, not what waits to be collected.
 */
async function collect(): Promise<void> {
  globalThis.gc?.();
  await setImmediate();
}

// Written in place: nobody is woken by it.
const place = openSync(numberPath, 'r+');
const number = Buffer.alloc(4);
const write = (value: number, position: number) => {
  number.writeUInt32LE(value);
  writeSync(place, number, 0, number.length, position);
};
write(Number(first), 0);
write(Math.floor(process.memoryUsage.rss() / 1024), 4);
const collectEvery = 1_000;
for (let index = Number(first); index < Number(end); index++) {
  write(index, 0);
  await target.parse(inputOf(index), seeds);
  if (index % collectEvery === 0) await collect();
}
process.exit(0);
