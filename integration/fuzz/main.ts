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
import { fuzzTargetOf, fuzzTargets } from './targets.ts';
import { runWatched } from './watched-run.ts';

/** After so many failures of a parser the others get their turn. */
const failuresMax = 10;
/** How often it is said how far a parser is. */
const progressMs = 60_000;
/** So much of an input that broke a parser is printed. */
const shownBytesMax = 300;

const usage = 'npm run fuzz -- [--inputs COUNT] [--parser NAME] [--seed NUMBER]';
const isCount = (value: number) => Number.isSafeInteger(value) && value >= 1 && value < 2 ** 32;

const { inputs, parser, seed } = yargs(hideBin(process.argv))
  .scriptName('npm run fuzz --')
  .usage('$0 [options]\n\nGives the parsers of Waybill what nobody should send.')
  .option('inputs', { type: 'number', default: 1_000_000, describe: 'inputs of each parser' })
  .option('parser', {
    type: 'string',
    describe: `one parser instead of all: ${fuzzTargets.map(({ name }) => name).join(', ')}`,
  })
  .option('seed', { type: 'number', default: Date.now() % 1e6, describe: 'where inputs begin' })
  .example('$0 --parser manifest --inputs 10000', 'ten thousand manifests')
  .check(({ inputs: count }) => isCount(count) || '--inputs: expected a whole number from 1 on')
  .check(({ seed: one }) => Number.isSafeInteger(one) || '--seed: expected a whole number')
  .check(
    ({ parser: name }) =>
      name === undefined || fuzzTargetOf(name) !== undefined || `--parser: there is no ${name}`,
  )
  .strict()
  .fail(usageFailure('fuzz', usage))
  .parseSync();

/** All inputs of one parser. @returns how many it failed on */
async function fuzz(target: FuzzTarget): Promise<number> {
  const seeds = await target.seeds();
  const startedMs = performance.now();
  const onLook = progressOf(target.name);
  let failureCount = 0;
  let peak = 0;
  let cpuSeconds = 0;
  let first = 0;
  while (first < inputs && failureCount < failuresMax) {
    const run = { name: target.name, seeds, seed, first, end: inputs, onLook };
    const { failure, peakRssBytes, cpuMs } = await runWatched(run);
    peak = Math.max(peak, peakRssBytes);
    cpuSeconds += cpuMs / 1_000;
    first = failure ? failure.index + 1 : inputs;
    if (!failure) continue;
    failureCount += 1;
    await tell(failure, { target, seeds });
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  const end = failureCount === 0 ? 'no failure' : `${failureCount} failures`;
  const each = `${seconds.toFixed(0)} s, ${((cpuSeconds * 1e6) / first).toFixed(0)} µs of CPU each`;
  console.log(`${target.name}: ${first} inputs, ${end}, ${each}, at most ${mebibytes(peak)}`);
  return failureCount;
}

/** Keeps an input that broke a parser, and says how to have it again. */
async function tell(
  { index, reason }: { index: number; reason: string },
  { target, seeds }: { target: FuzzTarget; seeds: readonly Buffer[] },
): Promise<void> {
  const input = inputsOf(target, seeds, seed)(index);
  const path = await keepInput(target.name, input);
  const cut = input.length > shownBytesMax ? ` and ${input.length - shownBytesMax} bytes more` : '';
  const shown = input.subarray(0, shownBytesMax).toString('base64');
  console.log(`${target.name}: FAILED on input ${index} of seed ${seed}, kept as ${path}`);
  console.log(`  base64 ${shown}${cut}\n  ${reason.trim().replaceAll('\n', '\n  ')}`);
}

function progressOf(name: string): (index: number) => void {
  let toldMs = performance.now();
  return (index) => {
    if (performance.now() - toldMs < progressMs) return;
    toldMs = performance.now();
    console.log(`  ${name}: ${index} of ${inputs}`);
  };
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(0)} MiB`;
}

setPriority(19);
console.log(`Seed ${seed}, ${inputs} inputs of each parser`);
const chosen = parser === undefined ? fuzzTargets : [fuzzTargetOf(parser)];
let failed = 0;
for (const target of chosen) if (target) failed += await fuzz(target);
process.exitCode = failed === 0 ? 0 : 1;
