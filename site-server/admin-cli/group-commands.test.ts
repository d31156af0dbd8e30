import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import { FakeAdmin } from './testing/fake-admin.ts';
import { aPackage } from './testing/package-answers.ts';
import { runWaybill } from './testing/run-waybill.ts';
import { aDistributionPoint, aGroup } from './testing/site-answers.ts';

describe('waybill group (ADM-3, ADM-6)', () => {
  it('lists groups, and says how to make the first', async () => {
    const { stdout } = await runWaybill('group');
    assert.match(stdout, /group +DPs +packages +description\nOffices +2 +1 +Offices in the north/);
    const admin = new FakeAdmin().stream('listGroups', () => []);
    assert.match((await runWaybill('group list', { admin })).stdout, /"waybill group add" makes/);
  });

  it('shows who is in it and what it has, also as JSON', async () => {
    const { stdout, admin } = await runWaybill('group show Offices');
    assert.match(stdout, /DPs +PS1DP1, PS2DP1\npackages +PS100001\n/);
    assert.deepEqual(admin.requestOf('listGroups'), { groupName: 'Offices' });
    const json = await runWaybill('group show Offices --json');
    assert.deepEqual(JSON.parse(json.stdout), aGroup());
  });

  it('makes, changes and deletes one', async () => {
    const added = await runWaybill('group add Offices --dp PS1DP1 --dp PS2DP1');
    assert.deepEqual(added.admin.requestOf('addGroup'), {
      ...{ groupName: 'Offices', description: '', dpIds: ['PS1DP1', 'PS2DP1'] },
    });
    assert.equal(added.stdout, 'Group Offices is made, with 2 distribution points.\n');
    const set = await runWaybill('group set Offices --description North');
    assert.deepEqual(set.admin.requestOf('setGroup'), {
      ...{ groupName: 'Offices', description: 'North' },
    });
    const deleted = await runWaybill('group delete Offices');
    assert.equal(deleted.stdout, 'Group Offices is deleted; its DPs keep what they have.\n');
  });

  it('lets DPs join and leave', async () => {
    const joined = await runWaybill('group join Offices PS1DP3 PS2DP2');
    assert.deepEqual(joined.admin.requestOf('joinGroup'), {
      ...{ groupName: 'Offices', dpIds: ['PS1DP3', 'PS2DP2'] },
    });
    const expected = 'PS1DP3, PS2DP2 are in group Offices, and get its 1 package.\n';
    assert.equal(joined.stdout, expected);
    const left = await runWaybill('group leave Offices PS1DP3');
    assert.deepEqual(left.admin.requestOf('leaveGroup'), {
      ...{ groupName: 'Offices', dpIds: ['PS1DP3'], drop: false },
    });
    assert.match(left.stdout, /is no longer in group Offices; what it has stays/);
    const dropped = await runWaybill('group leave Offices PS1DP3 --drop');
    assert.deepEqual(dropped.admin.requestOf('leaveGroup'), {
      ...{ groupName: 'Offices', dpIds: ['PS1DP3'], drop: true },
    });
    assert.match(dropped.stdout, /the packages of the group leave/);
  });

  it('says who was in it already, and gets nothing anew', async () => {
    const one = await runWaybill('group join Offices PS1DP1');
    assert.equal(one.stdout, 'PS1DP1 is in group Offices already.\n');
    const both = await runWaybill('group join Offices PS1DP1 PS1DP3');
    const joined = 'PS1DP3 is in group Offices, and gets its 1 package.\n';
    assert.equal(both.stdout, `PS1DP1 is in group Offices already.\n${joined}`);
  });

  it('names who is not in it by the word that was typed', async () => {
    const expected = 'distribution points that are in group Offices';
    const admin = new FakeAdmin().answer('leaveGroup', () => {
      throw requestInvalid('dp_ids', { expected, actual: 'PS1DP4' });
    });
    const { stderr } = await runWaybill('group leave Offices PS1DP4', { admin });
    assert.equal(stderr, `waybill: <dp-id>: expected ${expected}, got PS1DP4\n`);
  });

  for (const [line, refusal] of [
    ['group add "a/b"', /<group>: expected the name of a group: 1 to 63/],
    ['group join Offices', /Not enough non-option arguments|expected/],
    ['group join Offices PS1DP1 PS1DP1', /each of them once, got PS1DP1 twice/],
    ['group set Offices', /expected something to set: --description; "waybill group join"/],
    ['group join Offices PS1/DP1', /<dp-id>: expected a distribution point/],
  ] as const) {
    it(`refuses "${line}"`, async () => {
      const { exitCode, stderr, admin } = await runWaybill(line);
      assert.equal(exitCode, 2);
      assert.match(stderr, refusal);
      assert.deepEqual(admin.calls, []);
    });
  }

  it('says that there is no such group', async () => {
    const admin = new FakeAdmin().answer('joinGroup', () => {
      throw new WaybillError({ code: 'GROUP_UNKNOWN', groupName: 'Offices' });
    });
    const { exitCode, stderr } = await runWaybill('group join Offices PS1DP1', { admin });
    assert.equal(exitCode, 1);
    assert.match(stderr, /There is no group Offices. "waybill group list" shows/);
  });
});

describe('groups in other commands (PKG-4, PKG-7, ADM-1)', () => {
  it('are told apart from names and sites, and together with them', async () => {
    const line = 'package distribute PS100001 --dp PS1DP1 --group Offices --group North';
    const { admin, stdout } = await runWaybill(line);
    assert.deepEqual(admin.requestOf('distributePackage'), {
      ...{ packageId: 'PS100001', dpIds: ['PS1DP1'], allDps: false },
      groupNames: ['Offices', 'North'],
    });
    const given = 'Package PS100001 is given to groups Offices, North.\n';
    assert.equal(stdout, `${given}Package PS100001 goes to PS1DP1, PS1DP2.\n`);
    const removed = await runWaybill('package remove PS100001 --group Offices');
    assert.match(removed.stdout, /^Package PS100001 is taken off group Offices\.\n/);
    const both = await runWaybill('package remove PS100001 --group Offices --all');
    assert.equal(both.exitCode, 2);
  });

  it('select rows of status, and what is tried again', async () => {
    const { admin } = await runWaybill('status --group Offices --failed');
    const about = { packageId: '', dpId: '', failedOnly: true, groupName: 'Offices' };
    assert.deepEqual(admin.requestOf('listPackageStatus'), about);
    const retried = await runWaybill('retry --group Offices');
    assert.deepEqual(retried.admin.requestOf('retryFailed'), about);
  });

  it('stand with packages and DPs', async () => {
    const groupNames = ['North', 'Offices'];
    const admin = new FakeAdmin()
      .answer('getPackage', () => aPackage({ groupNames }))
      .stream('listPackages', () => [aPackage({ groupNames })])
      .stream('listDistributionPoints', () => [aDistributionPoint({ groupNames })]);
    for (const line of ['package show PS100001', 'package list', 'dp show PS1DP1']) {
      const { stdout } = await runWaybill(line, { admin });
      assert.match(stdout, /North, Offices/, line);
    }
  });
});
