import assert from 'node:assert/strict';
import { afterEnrollment } from './told-enrollment.ts';

describe('what is told once somebody is enrolled', () => {
  async function told(
    isNew: boolean,
    { isToStart = false, running }: { isToStart?: boolean; running?: string } = {},
  ) {
    const lines: string[] = [];
    const end = { isNew, notAfterMs: Date.UTC(2027, 1, 24, 19, 39, 55) };
    const isGoingOn = await afterEnrollment(end, {
      ...{ what: 'Distribution point PS1DP1', unit: 'waybill-dp.service' },
      ...{ isToStart, isOfService: false, byHand: 'waybill-dp --config dp.yaml' },
      tell: (line) => lines.push(line),
      runningAs: async () => running,
    });
    assert.equal(isGoingOn, isToStart && (isNew || running === undefined));
    return lines;
  }

  it('says until when, as every other sentence does, and how it is started', async () => {
    const next = 'Start it with: waybill-dp --config dp.yaml';
    const until = 'until 2027-02-24 19:39:55 UTC';
    assert.deepEqual(await told(true), [`Distribution point PS1DP1 is enrolled, ${until}.`, next]);
    assert.deepEqual(await told(false), [
      `Distribution point PS1DP1 was enrolled before, ${until}; --force takes the new token all the same.`,
      next,
    ]);
  });

  it('says in one sentence that it runs already, and starts no second one', async () => {
    const running = 'process 4711';
    const until = 'until 2027-02-24 19:39:55 UTC';
    assert.deepEqual(await told(false, { isToStart: true, running }), [
      `Distribution point PS1DP1 was enrolled before, ${until}, and runs already, as process 4711; --force takes the new token all the same.`,
    ]);
    // Whoever was enrolled just now is to begin with that; what is in his way says so itself.
    assert.deepEqual(await told(true, { isToStart: true, running }), [
      `Distribution point PS1DP1 is enrolled, ${until}.`,
    ]);
  });
});
