import assert from 'node:assert/strict';
import type { Priority } from '../../shared/domain/package.ts';
import { turnsToEnd } from './pull-turns.ts';

const turns = (...priorities: Priority[]) =>
  priorities.map((priority, index) => ({ priority, action: { jobSerial: index + 1 } }));
const ended = (active: Priority[], due: Priority[], turnsMax: number) =>
  turnsToEnd(turns(...active), turns(...due), turnsMax).map(({ action }) => action.jobSerial);

describe('turns of a pull DP (PTM-3, PULL-10)', () => {
  const cases: [what: string, active: Priority[], due: Priority[], max: number, ended: number[]][] =
    [
      ['nobody waits', [2, 2], [], 2, []],
      ['there is a free place', [3, 3], [1], 3, []],
      ['one waits that is no more urgent', [2, 2], [2, 3], 2, []],
      ['one waits that is more urgent: the youngest makes way', [2, 2], [1, 2], 2, [2]],
      ['several wait', [3, 2, 3], [1, 1, 2], 3, [3, 1]],
      ['fewer may run than do', [1, 3, 2], [], 1, [3, 2]],
      ['fewer may run than do, and one waits', [3, 2], [1], 1, [1, 2]],
    ];
  for (const [what, active, due, max, expected] of cases) {
    it(`when ${what}`, () => assert.deepEqual(ended(active, due, max), expected));
  }
});
