import assert from 'node:assert/strict';
import { afterEnrollment } from './told-enrollment.ts';

describe('what is told once somebody is enrolled', () => {
  async function told(isNew: boolean) {
    const lines: string[] = [];
    const end = { isNew, notAfterMs: Date.UTC(2027, 1, 24, 19, 39, 55) };
    const isGoingOn = await afterEnrollment(end, {
      ...{ what: 'Distribution point PS1DP1', unit: 'waybill-dp.service' },
      ...{ isToStart: false, isOfService: false, byHand: 'waybill-dp --config dp.yaml' },
      tell: (line) => lines.push(line),
    });
    assert.equal(isGoingOn, false);
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
});
