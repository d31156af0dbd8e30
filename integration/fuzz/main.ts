/**
 * `npm run fuzz`: gives each parser of ours inputs that are nearly right, in a process of its own with
 * bounds on memory and time. What breaks one is kept in `seeds/`, where the unit tests find it.
 */
import { setPriority } from 'node:os';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { usageFailure } from '../../shared/runtime/usage-failure.ts';
import { type FuzzTarget, inputsOf } from './fuzz-target.ts';
import { keepInput } from './kept-inputs.ts';
import { fuzzTargets } from './targets.ts';
import { runWatched } from './watched-run.ts';

/** After so many failures of a parser the others get their turn. */
const failuresMax = 10;

const names = fuzzTargets.map(({ name }) => name);
const usage = 'npm run fuzz -- [--inputs COUNT] [--only NAME] [--seed NUMBER]';
const isCount = (value: number) => Number.isSafeInteger(value) && value >= 1 && value < 2 ** 32;

const { inputs, only, seed } = yargs(hideBin(process.argv))
  .scriptName('npm run fuzz --')
  .usage('$0 [options]\n\nGives the parsers of Waybill what nobody should send.')
  .option('inputs', { type: 'number', default: 1_000_000, describe: 'inputs of each parser' })
  .option('only', { choices: names, describe: 'one parser instead of all' })
  .option('seed', { type: 'number', default: Date.now() % 1e6, describe: 'where inputs begin' })
  .example('$0 --only manifest --inputs 10000', 'ten thousand manifests')
  .check(({ inputs: count }) => isCount(count) || '--inputs: expected a whole number from 1 on')
  .check(({ seed: one }) => Number.isSafeInteger(one) || '--seed: expected a whole number')
  .strict()
  .fail(usageFailure('fuzz', usage))
  .parseSync();

/** All inputs of one parser. @returns how many it failed on */
async function fuzz(target: FuzzTarget): Promise<number> {
  const seeds = await target.seeds();
  const inputOf = inputsOf(target, seeds, seed);
  const startedMs = performance.now();
  let failureCount = 0;
  let peak = 0;
  for (let first = 0; first < inputs && failureCount < failuresMax; ) {
    const run = { name: target.name, seeds, seed, first, end: inputs };
    const { failure, peakRssBytes } = await runWatched(run);
    peak = Math.max(peak, peakRssBytes);
    if (!failure) break;
    failureCount += 1;
    const path = await keepInput(target.name, inputOf(failure.index));
    console.log(`  input ${failure.index} kept as ${path}\n${failure.reason}`);
    first = failure.index + 1;
  }
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(0);
  const rss = (peak / 1024 ** 2).toFixed(0);
  const end = failureCount === 0 ? 'no failure' : `${failureCount} failures`;
  console.log(`${target.name}: ${inputs} inputs, ${end}, ${seconds} s, at most ${rss} MiB`);
  return failureCount;
}

setPriority(19);
console.log(`Seed ${seed}`);
let failed = 0;
for (const target of fuzzTargets) {
  if (only === undefined || only === target.name) failed += await fuzz(target);
}
process.exitCode = failed === 0 ? 0 : 1;
