import assert from 'node:assert/strict';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import type { PackageStatus as PackageStatusMessage } from '../../shared/rpc/generated/waybill/v1/PackageStatus.ts';
import type { TestHierarchy } from '../distribution-manager/testing/test-hierarchy.ts';
import type { TestSite } from '../distribution-manager/testing/test-site.ts';
import { GroupCommands } from './group-commands.ts';
import { PreviewAnswers } from './preview-answers.ts';
import { AskedHierarchy, everything } from './testing/asked-hierarchy.ts';
import { all, nothing, until } from './testing/quiet-parts.ts';

describe('Admin service, on groups of distribution points (ADM-3)', () => {
  let asked: AskedHierarchy;
  let hierarchy: TestHierarchy;
  let cs1: TestSite;
  let atTop: Conversation<'Admin'>;
  let atPs1: Conversation<'Admin'>;
  let context: CallContext;
  let packageId: string;

  beforeEach(async () => {
    asked = await AskedHierarchy.open();
    ({ hierarchy, cs1, atTop, atPs1, context, packageId } = asked);
  });

  afterEach(() => asked[Symbol.asyncDispose]());

  it('makes groups, says who is in which, and lists and watches status by group (ADM-1, ADM-3)', async () => {
    const added = { groupName: 'Offices', description: 'North', dpIds: ['PS1DP1'] };
    await atTop.addGroup(added, context);
    const about = { ...everything, groupName: 'Offices' };
    const watch = atTop.watchPackageStatus(about, context)[Symbol.asyncIterator]();
    const pending = until<PackageStatusMessage>(watch, ({ isAwaited }) => isAwaited === true);
    const targets = { packageId, dpIds: [], allDps: false, siteCodes: [], groupNames: ['Offices'] };
    await atTop.distributePackage(targets, context);
    assert.equal((await pending).dpId, 'PS1DP1', 'at once, though its site has not heard of it');
    const isThere = ({ state }: PackageStatusMessage) => state === 'PACKAGE_STATUS_STATE_INSTALLED';
    const installed = until<PackageStatusMessage>(watch, isThere);
    await hierarchy.rest();
    assert.equal((await installed).dpId, 'PS1DP1');
    await atPs1.joinGroup({ groupName: 'Offices', dpIds: ['PS2DP1'] }, context);
    await hierarchy.rest();
    const rows = await all(atTop.listPackageStatus(about, context));
    assert.deepEqual(
      rows.map(({ dpId }) => dpId),
      ['PS1DP1', 'PS2DP1'],
    );
    const [group] = await all(atPs1.listGroups({ groupName: '' }, context));
    const dpIds = ['PS1DP1', 'PS2DP1'];
    assert.deepEqual(group, { ...added, dpIds, packageIds: [packageId] });
    const points = await all(atTop.listDistributionPoints({ siteCode: '' }, context));
    assert.ok(points.every(({ groupNames }) => groupNames?.[0] === 'Offices'));
    const seen = await atPs1.getPackage({ packageId }, context);
    assert.deepEqual(seen.groupNames, ['Offices']);
    const unknown = { ...everything, groupName: 'Nowhere' };
    await assert.rejects(all(atTop.listPackageStatus(unknown, context)), { code: 'GROUP_UNKNOWN' });
  });

  for (const [what, request, refusal] of [
    ['a name with a blank', { groupName: 'a b', dpIds: [] }, /group_name: .* letters/],
    ['a DP twice', { groupName: 'A', dpIds: ['PS1DP1', 'PS1DP1'] }, /each of them once/],
    ['an unknown DP', { groupName: 'A', dpIds: ['NOPE'] }, /no distribution point NOPE/],
    [
      'too many DPs at once',
      { groupName: 'A', dpIds: Array.from({ length: 1_001 }, (_, index) => `DP${index}`) },
      /at most 1000/,
    ],
  ] as const) {
    it(`refuses a group with ${what}`, async () => {
      const dpIds = [...request.dpIds];
      await assert.rejects(async () => atTop.addGroup({ ...request, dpIds }, context), refusal);
    });
  }

  it('previews what goes to the members of groups, each once, and refuses one that is not there', async () => {
    const seen: string[] = [];
    const transferPreview = {
      async *distribution({ targets }: { readonly targets: readonly { dpId: string }[] }) {
        seen.push(...targets.map(({ dpId }) => dpId));
      },
      update: nothing,
    };
    const previews = new PreviewAnswers({ ...cs1, transferPreview }).methods();
    const preview = (dpIds: string[], groupName: string) =>
      all(
        previews.previewDistribution(
          {
            targets: { packageId, dpIds, allDps: false, siteCodes: [], groupNames: [groupName] },
            sourceVersion: 0,
            reckoned: [],
          },
          context,
        ),
      );
    await atTop.addGroup({ groupName: 'Offices', dpIds: ['PS1DP1', 'PS2DP1'] }, context);
    await preview(['PS1DP1'], 'Offices');
    assert.deepEqual(seen, ['PS1DP1', 'PS2DP1']);
    await assert.rejects(preview([], 'Nope'), { code: 'GROUP_UNKNOWN' });
  });

  it('takes nothing off a group that was not given the package, and off one that was elsewhere (PKG-7)', async () => {
    await atTop.addGroup({ groupName: 'Offices', dpIds: ['PS1DP1'] }, context);
    const none = { packageId, dpIds: [], allDps: false, siteCodes: [], groupNames: [] };
    await atTop.distributePackage({ ...none, dpIds: ['PS1DP1'] }, context);
    await hierarchy.rest();
    const toGroup = { ...none, groupNames: ['Offices'] };
    assert.deepEqual(await atTop.removePackage(toGroup, context), { dpIds: [] });
    await hierarchy.rest();
    const rows = () => all(atTop.listPackageStatus({ ...everything, dpId: 'PS1DP1' }, context));
    const [kept] = await rows();
    assert.equal(kept?.state, 'PACKAGE_STATUS_STATE_INSTALLED');
    await atPs1.distributePackage(toGroup, context);
    await hierarchy.rest();
    assert.deepEqual(await atTop.removePackage(toGroup, context), { dpIds: ['PS1DP1'] });
    await hierarchy.rest();
    assert.deepEqual(
      await atTop.removePackage(toGroup, context),
      { dpIds: [] },
      'it has it no more',
    );
  });

  it('refuses what a group cannot be told', async () => {
    await atTop.addGroup({ groupName: 'A', dpIds: [] }, context);
    const exists = { code: 'GROUP_EXISTS' };
    await assert.rejects(
      async () => atTop.addGroup({ groupName: 'A', dpIds: [] }, context),
      exists,
    );
    const none = { groupName: 'A', dpIds: [], drop: false };
    await assert.rejects(async () => atTop.joinGroup(none, context), /at least one/);
    await assert.rejects(async () => atTop.leaveGroup(none, context), /at least one/);
    const withDps = { groupName: 'A', dpIds: ['PS1DP1'] };
    await assert.rejects(async () => atTop.setGroup(withDps, context), /commands of their own/);
    const unknown = { code: 'GROUP_UNKNOWN' };
    await assert.rejects(
      async () => atTop.joinGroup({ ...withDps, groupName: 'B' }, context),
      unknown,
    );
    await assert.rejects(async () => atTop.deleteGroup({ groupName: 'B' }, context), unknown);
    const targets = { packageId, dpIds: [], allDps: false, siteCodes: [], groupNames: ['B'] };
    await assert.rejects(async () => atTop.distributePackage(targets, context), unknown);
    const small = new GroupCommands(
      { ...cs1, nextMs: () => 1 },
      { groupCountMax: 1, groupMemberCountMax: 1 },
    );
    await assert.rejects(small.add({ groupName: 'C', description: '' }, []), /at most 1 groups/);
    await assert.rejects(small.join('A', ['PS1DP1', 'PS2DP1']), /at most 1 distribution points/);
  });
});
