import assert from 'node:assert/strict';
import { FakeAdmin } from './testing/fake-admin.ts';
import { refusesBeforeSending } from './testing/refused-lines.ts';
import { runWaybill } from './testing/run-waybill.ts';
import { aDistributionPoint } from './testing/site-answers.ts';

describe('waybill dp (ADM-3)', () => {
  it('add sends a standard DP', async () => {
    const { admin, stdout } = await runWaybill('dp add PS1DP1 --address [::1]:8531');
    assert.deepEqual(admin.requestOf('addDistributionPoint'), {
      dpId: 'PS1DP1',
      address: '[::1]:8531',
      kind: 'DISTRIBUTION_POINT_KIND_STANDARD',
      description: '',
    });
    assert.match(stdout, /^Distribution point PS1DP1 at dp1\.example\.org:8531 is added\./);
  });

  it('set sends only what is to change', async () => {
    const { admin } = await runWaybill('dp set PS1DP1 --address dp2:8531');
    const expected = { dpId: 'PS1DP1', address: 'dp2:8531' };
    assert.deepEqual(admin.requestOf('setDistributionPoint'), expected);
    const cleared = await runWaybill('dp set PS1DP1 --description ""');
    const clearing = { dpId: 'PS1DP1', address: '', description: '' };
    assert.deepEqual(cleared.admin.requestOf('setDistributionPoint'), clearing);
  });

  refusesBeforeSending([
    [
      'dp set PS1DP1',
      'expected something to set: --address, --description, --kind, --priority, where',
    ],
    ['dp add PS1DP1 --address dp1', '--address: expected host:port, the port from'],
    [
      'dp add PS1DP1 --address dp1:70000',
      '--address: expected host:port, the port from 1 to 65535, an IPv6 host in brackets, got "dp1:70000"',
    ],
    ['dp add PS1DP1', 'expected --address'],
    ['dp add a/b --address dp1:1', '<dp-id>: expected a distribution point'],
  ]);

  it('list is a table', async () => {
    const { stdout } = await runWaybill('dp list');
    assert.deepEqual(stdout.split('\n').slice(0, 2), [
      'DP      address               kind      state      checked    packages    free       rate  agent  description',
      'PS1DP1  dp1.example.org:8531  standard  reachable  3 min ago        12  50 GiB  45.2 MB/s  0.1.0  First floor',
    ]);
  });

  it('check fails when the DP cannot be reached, and shows why', async () => {
    const admin = new FakeAdmin().answer('checkDistributionPoint', () =>
      aDistributionPoint({
        reachability: 'DISTRIBUTION_POINT_REACHABILITY_UNREACHABLE',
        reason: 'nothing listens there',
      }),
    );
    const text = await runWaybill('dp check PS1DP1', { admin });
    assert.equal(text.exitCode, 1);
    assert.match(text.stdout, /^state {5}unreachable$/m);
    assert.doesNotMatch(text.stdout, /nothing listens/, 'it is said once');
    assert.equal(
      text.stderr,
      'waybill: Distribution point PS1DP1 at dp1.example.org:8531 is unreachable: nothing listens there\n',
    );
    const json = await runWaybill('dp check PS1DP1 --json', { admin });
    assert.equal(JSON.parse(json.stdout).reachability, 'unreachable');
    assert.equal(JSON.parse(json.stderr).error.code, 'DP_UNREACHABLE');
  });
});
