import assert from 'node:assert/strict';
import { byScale, testSeed } from '../test-scale.ts';
import { brokenFrom } from './broken-targets.ts';
import { type FuzzTarget, inputsOf } from './fuzz-target.ts';
import { keptInputs } from './kept-inputs.ts';
import { parsedInputs } from './parsed-inputs.ts';
import { fuzzTargets } from './targets.ts';
import { runWatched } from './watched-run.ts';

const inputCount = byScale({ short: 1_000, long: 20_000 });

/** Whether a target's parsers take any of its right inputs, or refuse none: what is made of others they refuse at once. */
async function takesRightInputs(target: FuzzTarget, seeds: readonly Buffer[]): Promise<boolean> {
  Object.assign(parsedInputs, { takenCount: 0, refusedCount: 0 });
  for (const input of seeds) await target.parse(input, seeds);
  return parsedInputs.takenCount > 0 || parsedInputs.refusedCount === 0;
}

describe('parsers and what nobody should send (F19, F41)', () => {
  for (const target of fuzzTargets) {
    it(`${target.name}: takes its right inputs, and what it failed on once without a fault`, async () => {
      const seeds = await target.seeds();
      assert.ok(await takesRightInputs(target, seeds), 'none of them is right any more');
      for (const { file, input } of await keptInputs(target.name)) {
        await assert.doesNotReject(async () => target.parse(input, seeds), file);
      }
    });

    it(`${target.name}: refuses or takes ${inputCount} inputs, seed ${testSeed}`, async () => {
      const seeds = await target.seeds();
      const inputOf = inputsOf(target, seeds, testSeed);
      for (let index = 0; index < inputCount; index++) {
        await assert.doesNotReject(
          async () => target.parse(inputOf(index), seeds),
          `input ${index}`,
        );
      }
    });
  }

  it('in a process of their own: bounded, and watched', async () => {
    const seeds = [Buffer.from('waybill://site/PS1')];
    const run = { name: 'identity', seeds, seed: testSeed, first: 0, end: 200 };
    const { failure, peakRssBytes } = await runWatched(run);
    assert.equal(failure, undefined);
    assert.ok(peakRssBytes >= 0);
  });

  it('in a process of their own: a fault is told with the number of its input', async () => {
    const run = { name: 'none of them', seeds: [], seed: testSeed, first: 7, end: 200 };
    const { failure } = await runWatched(run);
    assert.equal(failure?.index, 7);
    assert.match(failure.reason, /There is no parser/);
  });

  for (const [name, reason] of [
    ['hangs', /no end within 1000 ms of CPU time/],
    ['holds memory', /memory grew by \d{9} bytes/],
    // Whose collector may be what does not end, on a slow machine, before it gives up.
    ['holds objects', /heap out of memory|no end within 1000 ms of CPU time/],
    ['throws', /TypeError: this is not what it says/],
  ] as const) {
    it(`in a process of their own: one that ${name} is ended, and the input told`, async () => {
      const run = { name, seeds: [Buffer.from('any')], seed: testSeed, first: 0, end: 10_000 };
      const { failure } = await runWatched(run);
      assert.match(failure?.reason ?? 'none', reason);
      assert.ok(failure && failure.index >= brokenFrom);
    });
  }

  it('in a process of their own: one that never settles is ended, too', async () => {
    const run = { name: 'never settles', seeds: [Buffer.from('any')], seed: testSeed };
    const { failure } = await runWatched({ ...run, first: 0, end: 100, silenceMsMax: 2_000 });
    assert.match(failure?.reason ?? 'none', /ended with 13|no end within 2000 ms/);
    assert.equal(failure?.index, brokenFrom);
  });
});
