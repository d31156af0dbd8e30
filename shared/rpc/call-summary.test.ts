import assert from 'node:assert/strict';
import fc from 'fast-check';
import { summaryOf } from './call-summary.ts';

describe('summary of a request for the audit trail (ADM-5)', () => {
  const cases: readonly [string, unknown, string][] = [
    ['a package', { packageId: 'PS100001' }, 'packageId=PS100001'],
    [
      'targets',
      { packageId: 'PS100001', dpIds: ['PS1DP1', 'PS1DP2'], allDps: false },
      'packageId=PS100001 dpIds="PS1DP1, PS1DP2"',
    ],
    [
      'a new package, without its icon and command lines',
      {
        properties: { name: 'Office 16', icon: Buffer.alloc(9), programs: [{ commandLine: 'x' }] },
        sourceDirectories: ['/src/office'],
      },
      'sourceDirectories=/src/office name="Office 16"',
    ],
    [
      'the action of a DP',
      { action: { packageId: 'PS100001', jobSerial: '7' }, redistribute: true },
      'redistribute=true packageId=PS100001 jobSerial=7',
    ],
    [
      'a package that two of its messages name, once',
      { action: { packageId: 'PS100001', jobSerial: '7' }, package: { packageId: 'PS100001' } },
      'packageId=PS100001 jobSerial=7',
    ],
    [
      'the opening of a stream',
      { body: 'open', open: { packageId: 'PS100001' } },
      'packageId=PS100001',
    ],
    ['nothing', {}, ''],
    ['no message', undefined, ''],
  ];
  for (const [name, request, expected] of cases) {
    it(`tells ${name}`, () => assert.equal(summaryOf(request), expected));
  }

  it('is bounded and printable, whatever is asked', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2_000 }), (text) => {
        const summary = summaryOf({ packageId: text, dpId: text, dpIds: [text, text] });
        assert.ok(summary.length <= 801);
        assert.doesNotMatch(summary, /\p{Cc}/u);
      }),
    );
  });
});
