import assert from 'node:assert/strict';
import { parseCommandLine } from './command-line.ts';

describe('command line of npm run certs', () => {
  it('reads sites, distribution points, administrators and clients', () => {
    const args =
      '--out d --site PS1 --dp PS1DP1 --dp PS1DP2 --admin alice --role operator --client pc1 --days 2';
    assert.deepEqual(parseCommandLine(args.split(' ')), {
      directory: 'd',
      days: 2,
      identities: [
        { kind: 'site', siteCode: 'PS1' },
        { kind: 'dp', dpId: 'PS1DP1' },
        { kind: 'dp', dpId: 'PS1DP2' },
        { kind: 'admin', role: 'operator', name: 'alice' },
        { kind: 'client', name: 'pc1' },
      ],
    });
  });

  const refused: readonly [string, RegExp][] = [
    ['--site PS1', /out/],
    ['--out d', /at least one --site, --dp, --admin or --client/],
    ['--out d --site ps', /--site ps: expected three of A-Z and 0-9/],
    ['--out d --dp a/b', /--dp a\/b: expected 1 to 63 letters, digits, dots and hyphens/],
    ['--out d --site PS1 --days 0', /--days: expected a number above 0/],
    ['--out d --site PS1 --days soon', /--days: expected a number above 0/],
    ['--out d --site PS1 --role king --admin a', /role/],
    ['--out d --site PS1 --castle x', /castle/],
  ];
  for (const [args, message] of refused) {
    it(`refuses ${args}`, () => {
      assert.throws(() => parseCommandLine(args.split(' ')), message);
    });
  }
});
