import assert from 'node:assert/strict';
import { FakeAdmin } from './testing/fake-admin.ts';
import { runWaybill } from './testing/run-waybill.ts';
import { aDistributionPoint } from './testing/site-answers.ts';

describe('two distribution points with one address (ADM-3)', () => {
  const added = aDistributionPoint({ dpId: 'PS1DP2', address: 'dp1.example.org:8531' });
  const admin = () =>
    new FakeAdmin()
      .answer('addDistributionPoint', () => added)
      .answer('setDistributionPoint', () => added)
      .stream('listDistributionPoints', () => [
        added,
        aDistributionPoint({ dpId: 'PS1DP1', address: 'DP1.example.org:8531' }),
        aDistributionPoint({ dpId: 'PS1DP3', address: 'dp1.example.org:8532' }),
        aDistributionPoint({ dpId: 'PS2DP1', address: added.address, siteCode: 'PS2' }),
      ]);
  const warning =
    'Distribution point PS1DP1 has the address dp1.example.org:8531 as well: only the one that runs there is reached.';

  for (const command of ['add', 'set']) {
    it(`are warned of by dp ${command}, which takes it`, async () => {
      const line = `dp ${command} PS1DP2 --address dp1.example.org:8531`;
      const { exitCode, stdout } = await runWaybill(line, { admin: admin() });
      assert.equal(exitCode, 0);
      assert.equal(stdout.split(warning).length, 2, stdout);
      const json = await runWaybill(`${line} --json`, { admin: admin() });
      assert.deepEqual(JSON.parse(json.stdout).warnings, [warning]);
    });
  }

  it('are not looked for when the address stays', async () => {
    const { stdout } = await runWaybill('dp set PS1DP2 --description x', { admin: admin() });
    assert.doesNotMatch(stdout, /as well/);
  });
});
