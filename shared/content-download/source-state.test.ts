import assert from 'node:assert/strict';
import { pieceBytes } from '../domain/content.ts';
import { WaybillError } from '../domain/errors.ts';
import type { PullSource } from '../domain/pull-source.ts';
import { defaultSourceRules, medianOf, SourceState } from './source-state.ts';

const source: PullSource = {
  identity: { kind: 'dp', dpId: 'PS1DP1' },
  address: 'dp1:1',
  rank: 1,
};
const random = () => 0.999_999;
const newState = () => new SourceState(source, defaultSourceRules);
const stall = (state: SourceState, ms: number, hasAlternative: boolean, nowMs = 0) =>
  state.stalled({ bytes: pieceBytes, ms, hasAlternative, nowMs, random });

describe('state of a source (PULL-7)', () => {
  it('gives an answer three times what a piece takes, half a second at least', () => {
    const state = newState();
    assert.equal(state.patienceMs(pieceBytes, undefined), 15_000);
    assert.equal(state.patienceMs(pieceBytes, 1_000), 3_000, 'as the others take');
    assert.equal(state.patienceMs(pieceBytes, 10), 500);
    state.answered(pieceBytes, 2_000);
    assert.equal(state.patienceMs(pieceBytes, 10), 6_000, 'as it took itself');
    assert.equal(state.patienceMs(pieceBytes / 2, 10), 3_000);
  });

  it('does not take small answers for a measure of large ones', () => {
    const state = newState();
    state.answered(100, 5);
    assert.equal(state.patienceMs(pieceBytes, undefined), 15_000);
    assert.equal(state.patienceMs(100, undefined), 500);
  });

  it('grows patient where nobody else brings the same, and is as before after an answer', () => {
    const state = newState();
    for (const expected of [30_000, 60_000, 120_000]) {
      stall(state, 1, false);
      assert.ok(state.isUsable(0));
      assert.equal(state.patienceMs(pieceBytes, undefined), expected);
    }
    assert.equal(state.streamLimit, 1);
    state.answered(pieceBytes, 100_000);
    assert.equal(state.patienceMs(pieceBytes, undefined), 300_000);
  });

  it('passes over for a second, doubling to a minute, one that stalls while others bring the same', () => {
    const state = newState();
    let nowMs = 0;
    for (const pauseMs of [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]) {
      stall(state, 500, true, nowMs);
      assert.equal(state.isUsable(nowMs + pauseMs - 1), false);
      nowMs += pauseMs;
      assert.equal(state.isUsable(nowMs), true);
      assert.equal(state.patienceMs(pieceBytes, 10), 500, 'nobody grows patient with it');
    }
    state.answered(pieceBytes, 10);
    stall(state, 500, true, nowMs);
    assert.equal(state.isUsable(nowMs + 1_000), true);
  });

  it('counts streams that break at once as one failure', () => {
    const state = newState();
    for (let count = 0; count < 8; count++) state.failed({ reason: 'failed', nowMs: 0, random });
    assert.equal(state.isUsable(1_000), true);
    assert.equal(state.isOnProbation, true);
    assert.equal(state.streamLimit, 1);
  });

  it('forgives failures, never a lie', () => {
    const state = newState();
    state.failed({ reason: 'failed', nowMs: 0, random });
    state.forgive();
    assert.equal(state.isUsable(0), true);
    assert.equal(state.isOnProbation, false);
    const facts = { source: 's', fileHash: 'f', reason: 'r' };
    state.lied(new WaybillError({ code: 'PULL_SOURCE_LIED', ...facts }));
    state.forgive();
    state.returned();
    assert.equal(state.isUsable(1e9), false);
  });

  for (const [where, ms, streams] of [
    ['near', 20, 8],
    ['far away', 200, 16],
  ] as const) {
    it(`opens more streams while pieces do not take longer for it, up to ${streams} to one that is ${where}`, () => {
      const state = newState();
      assert.equal(state.streamLimit, 2);
      for (let count = 0; count < 40; count++) {
        state.streamCount = state.streamLimit;
        state.answered(pieceBytes, ms);
      }
      assert.equal(state.streamLimit, streams);
    });
  }

  it('opens no more where they do', () => {
    const state = newState();
    for (let count = 0; count < 20; count++) {
      state.streamCount = state.streamLimit;
      state.answered(pieceBytes, 150 * state.streamLimit);
    }
    assert.equal(state.streamLimit, 4);
  });

  it('takes three empty answers in a row for a failure', () => {
    const state = newState();
    for (let count = 0; count < 2; count++) state.lacked({ nowMs: 0, random });
    assert.equal(state.isUsable(0), true);
    state.lacked({ nowMs: 0, random });
    assert.equal(state.isUsable(0), false);
  });

  it('has a median', () => {
    assert.equal(medianOf([]), undefined);
    assert.equal(medianOf([5]), 5);
    assert.equal(medianOf([9, 1, 5]), 5);
  });
});
