/**
 * The process that parses: inputs of one target by their numbers, made of the right inputs in a file, so
 * that whoever watches can make the same. Before each it writes its number on
 * descriptor 3, so that whoever watches knows on which it hangs or dies.
 */
import { readFileSync, writeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { inputsOf } from './fuzz-target.ts';
import { fuzzTargets } from './targets.ts';

const [name, seed, first, end, seedsPath = ''] = process.argv.slice(2);
const target = fuzzTargets.find((one) => one.name === name);
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

const number = Buffer.alloc(4);
const collectEvery = 1_000;
for (let index = Number(first); index < Number(end); index++) {
  number.writeUInt32LE(index);
  writeSync(3, number);
  await target.parse(inputOf(index));
  if (index % collectEvery === 0) await collect();
}
process.exit(0);
