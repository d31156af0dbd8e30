import assert from 'node:assert/strict';
import { byScale, testSeed } from '../test-scale.ts';
import { inputsOf } from './fuzz-target.ts';
import { keptInputs } from './kept-inputs.ts';
import { fuzzTargets } from './targets.ts';
import { runWatched } from './watched-run.ts';

const inputCount = byScale({ short: 2_000, long: 20_000 });

describe('parsers and what nobody should send (F19, F41)', () => {
  for (const target of fuzzTargets) {
    it(`${target.name}: takes its right inputs, and what it failed on once without a fault`, async () => {
      for (const input of await target.seeds()) await target.parse(input);
      for (const { file, input } of await keptInputs(target.name)) {
        await assert.doesNotReject(async () => target.parse(input), file);
      }
    });

    it(`${target.name}: refuses or takes ${inputCount} inputs, seed ${testSeed}`, async () => {
      const inputOf = inputsOf(target, await target.seeds(), testSeed);
      for (let index = 0; index < inputCount; index++) {
        await assert.doesNotReject(async () => target.parse(inputOf(index)), `input ${index}`);
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
});
