import assert from 'node:assert/strict';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import {
  openTestMachine,
  type TestMachine,
  TestSite,
} from '../distribution-manager/testing/test-site.ts';

describe('Distribution point checker', () => {
  let machine: TestMachine;
  let site: TestSite;
  let dp: DistributionPoint;
  const { signal } = new AbortController();

  beforeEach(async () => {
    machine = await openTestMachine();
    site = await TestSite.start(machine);
    dp = await site.addDistributionPoint('DP1');
  });

  afterEach(async () => {
    await site[Symbol.asyncDispose]();
    await machine[Symbol.asyncDispose]();
  });

  it('passes a DP that answers as it should, and keeps what it says (DM-4)', async () => {
    machine.answers.set('DP1', { freeBytes: 77, agentVersion: '1.2.3' });
    const { failure, health } = await site.checker.check(dp, signal);
    assert.equal(failure, undefined);
    assert.equal(health.reachability, 'reachable');
    assert.equal(health.freeBytes, 77);
    assert.equal(health.agentVersion, '1.2.3');
    assert.deepEqual(await site.hierarchy.healthOf('DP1'), health);
  });

  const misfits = [
    ['another DP', { dpId: 'DP2' }, /says it is distribution point DP2/],
    ['a DP of another site', { siteCode: 'PS2' }, /belongs to site PS2/],
    ['one that names no version', { agentVersion: '' }, /names no version/],
  ] as const;
  for (const [what, answer, reason] of misfits) {
    it(`does not take ${what} for the one that is meant (DM-4)`, async () => {
      machine.answers.set('DP1', answer);
      const { failure, health } = await site.checker.check(dp, signal);
      assert.equal(failure?.waitingReason, 'dp-unreachable');
      assert.match(failure.reason, reason);
      assert.equal(health.reachability, 'unreachable');
    });
  }

  it('keeps why a DP cannot be reached, without its name: that stands beside it', async () => {
    machine.answers.set('DP1', 'unreachable');
    const { failure, health } = await site.checker.check(dp, signal);
    assert.equal(health.reason, 'connection refused');
    assert.match(failure?.reason ?? '', /^DP1 at .* cannot be reached: connection refused$/);
  });

  it('gives up on a DP that does not answer, at its deadline', async () => {
    machine.answers.set('DP1', 'silent');
    const checking = site.checker.check(dp, signal);
    await machine.clock.advance(4_999);
    assert.equal((await site.hierarchy.healthOf('DP1')).reachability, 'unknown');
    await machine.clock.advance(1);
    assert.match((await checking).failure?.reason ?? '', /within 5000 ms/);
  });

  it('ends when nobody waits any more, and holds that against nobody', async () => {
    machine.answers.set('DP1', 'silent');
    const controller = new AbortController();
    const checking = site.checker.check(dp, controller.signal);
    controller.abort();
    await assert.rejects(checking, { name: 'AbortError' });
    assert.equal((await site.hierarchy.healthOf('DP1')).reachability, 'unknown');
  });

  it('asks a DP once for several jobs at a time', async () => {
    await Promise.all([site.checker.checkForJob(dp, signal), site.checker.checkForJob(dp, signal)]);
    assert.equal(machine.checkedDpIds.length, 1);
    await site.checker.checkForJob(dp, signal);
    assert.equal(machine.checkedDpIds.length, 2);
  });

  it('goes on for those who still wait when one wants it no more, whose check it was', async () => {
    machine.answers.set('DP1', 'silent');
    const controller = new AbortController();
    const [first, second] = [controller.signal, signal].map((one) =>
      site.checker.checkForJob(dp, one),
    );
    controller.abort();
    await assert.rejects(first ?? assert.fail(), { name: 'AbortError' });
    await machine.clock.advance(5_000);
    assert.match((await second)?.failure?.reason ?? '', /within 5000 ms/);
    assert.equal(machine.checkedDpIds.length, 1);
  });

  it('takes the word of a failure for ten seconds, unless the DP is back or has moved', async () => {
    machine.answers.set('DP1', 'unreachable');
    const fails = async (of = dp) =>
      (await site.checker.checkForJob(of, signal)).failure !== undefined;
    assert.ok(await fails());
    machine.answers.delete('DP1');
    assert.ok(await fails());
    assert.equal(machine.checkedDpIds.length, 1);
    assert.equal(await fails({ ...dp, address: 'moved:1' }), false, 'moved');
    machine.answers.set('DP1', 'unreachable');
    assert.ok(await fails());
    await site.hierarchy.recordReachability('DP1');
    machine.answers.delete('DP1');
    assert.equal(await fails(), false, 'back');
    machine.answers.set('DP1', 'unreachable');
    assert.ok(await fails());
    machine.answers.delete('DP1');
    await machine.clock.advance(10_000);
    assert.equal(await fails(), false, 'asked again');
  });
});
