import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import {
  type AdminScope,
  type PeerIdentity,
  toIdentityUri,
} from '../../shared/domain/peer-identity.ts';
import type { SendRequest } from '../../shared/domain/send-request.ts';
import { callPolicy } from '../../shared/rpc/call-policy.ts';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import { scopePolicy, scopeRefusalOf } from '../../shared/rpc/scope-policy.ts';
import { joinKey } from '../../shared/state-store/key-space.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { testSendRequest } from '../../shared/testing/test-send-request.ts';
import { TestHierarchy } from '../distribution-manager/testing/test-hierarchy.ts';
import type { TestSite } from '../distribution-manager/testing/test-site.ts';
import type { EnrollmentCommands } from '../enrollment/enrollment-commands.ts';
import type { OwnSite } from '../hierarchy-manager/site-directory.ts';
import { conversationOf } from './testing/admin-conversation.ts';
import { all, noSteering } from './testing/quiet-parts.ts';

const parent = { siteCode: 'CS1', address: 'CS1:8530' };
const sites: readonly OwnSite[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent },
  { siteCode: 'PS2', kind: 'primary', parent },
];
const noTargets = { dpIds: [], allDps: false, siteCodes: [], groupNames: [] };
const noPatch = { controls: null, serveControls: null, validation: null, pull: null };
const asItIs = 'DISTRIBUTION_POINT_KIND_UNSPECIFIED' as const;
const allFailed = { packageId: '', dpId: '', failedOnly: true, siteCode: '', groupName: '' };
const allJobs = {
  ...{ jobSerials: [], packageId: '', dpId: '', groupName: '', failedOnly: false },
  ...{ olderThanMs: '0', all: true, lookOnly: false },
};
const allSends = {
  ...{
    steering: 'SEND_STEERING_CANCEL' as const,
    requestIds: [],
    packageId: '',
    failedOnly: false,
  },
  ...{ destinationSiteCode: '', olderThanMs: '0', all: true, lookOnly: false },
};
const validation = { noRepair: false, ownCopy: false, bytesPerSecond: '0' };
const properties = {
  ...{ name: 'Dummy', version: '', manufacturer: '', language: '', description: '' },
  ...{ priority: 'PRIORITY_NORMAL' as const, programs: [], iconName: '', icon: Buffer.alloc(0) },
};

function callOf(scope: AdminScope | undefined): CallContext {
  const identity = { kind: 'admin', role: 'full', name: 'bob', ...(scope && { scope }) } as const;
  return { caller: { identity, address: '::1' }, signal: new AbortController().signal };
}

const tokenFor = (dpId: string) => ({ identityUri: `waybill://dp/${dpId}`, validForMs: '0' });

/** An answer of whatever kind, to its end. */
async function answered(answer: unknown): Promise<unknown> {
  return answer instanceof Promise ? answer : all(answer as AsyncIterable<unknown>);
}

describe('Admin service and administrators with a scope (SEC-1)', () => {
  let hierarchy: TestHierarchy;
  let directory: TemporaryDirectory;
  let top: TestSite;
  let atTop: Conversation<'Admin'>;
  let packageId: string;
  let steered: string[];

  beforeEach(async () => {
    hierarchy = await TestHierarchy.open(sites);
    directory = await TemporaryDirectory.create();
    top = hierarchy.of('CS1').site;
    steered = [];
    const job = testJob({ dpId: 'PS2DP1' });
    const send = testSendRequest({ packageId: 'CS100001' });
    const steering = {
      ...{ ...noSteering, select: async () => [testJob({ dpId: 'PS1DP1' }), job] },
      suspend: async () => {
        steered.push('suspend');
        return [];
      },
    };
    const sendSteering = {
      select: async (): Promise<SendRequest[]> => [send],
      steer: async () => {
        steered.push('steer');
        return [];
      },
    };
    atTop = await conversationOf(top, directory, { steering, sendSteering });
    await hierarchy.of('PS1').site.addDistributionPoint('PS1DP1');
    await hierarchy.of('PS2').site.addDistributionPoint('PS2DP1');
    await hierarchy.of('PS2').site.addDistributionPoint('PS2DP2');
    packageId = await top.createPackage('v1');
    await hierarchy.rest();
    await top.groupCommands.add({ groupName: 'Lab', description: '' }, ['PS2DP2']);
  });

  afterEach(async () => {
    await hierarchy[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  /** One that fails at PS2, which is another administrator's. */
  async function failAtPs2(): Promise<void> {
    const { statuses } = top.hierarchyPackages;
    const row = {
      ...{ packageId, dpId: 'PS2DP1', state: 'install-failed' as const, installedVersion: 0 },
      ...{ targetVersion: 1, reason: 'x', changedAtMs: 1, jobSerial: 1, verifiedHash: '' },
    };
    const key = joinKey(packageId, 'PS2', 'PS2DP1');
    await top.store.write([statuses.put(key, row)], { sync: false });
  }

  /** Of each method a call that reaches beyond `site PS1, group Lab`, in part where it can. */
  function callsBeyond(
    admin: Conversation<'Admin'>,
    bob: CallContext,
  ): Record<string, () => unknown> {
    const dpIds = ['PS1DP1', 'PS2DP1'];
    const targets = { ...noTargets, packageId, dpIds };
    const toGroup = { ...noTargets, packageId, groupNames: ['West'] };
    const dp = { dpId: 'PS2DP1', address: '', kind: asItIs, siteCode: '', ...noPatch };
    const source = { packageId };
    const place = { place: 'first', first: true } as const;
    return {
      CreatePackage: () => admin.createPackage({ properties, sourceDirectories: ['/s'] }, bob),
      SetPackage: () =>
        admin.setPackage({ ...source, properties: null, sourceDirectories: [] }, bob),
      UpdatePackage: () => admin.updatePackage(source, bob),
      DeletePackage: () => admin.deletePackage(source, bob),
      ExportPackage: () =>
        admin.exportPackage({ ...source, path: '/x', baseVersion: 0, overwrite: false }, bob),
      ImportPackage: () => admin.importPackage({ path: '/x' }, bob),
      DistributePackage: () => admin.distributePackage(targets, bob),
      'DistributePackage to a group': () => admin.distributePackage(toGroup, bob),
      'DistributePackage everywhere': () =>
        admin.distributePackage({ ...noTargets, packageId, allDps: true }, bob),
      'DistributePackage to a site': () =>
        admin.distributePackage({ ...noTargets, packageId, siteCodes: ['PS2'] }, bob),
      RedistributePackage: () => admin.redistributePackage(targets, bob),
      RemovePackage: () => admin.removePackage(targets, bob),
      'RemovePackage from a group': () => admin.removePackage(toGroup, bob),
      RetryFailed: () => admin.retryFailed(allFailed, bob),
      ValidatePackage: () => admin.validatePackage({ ...validation, targets }, bob),
      'ValidatePackage of the own copy': () =>
        admin.validatePackage({ ...validation, targets, ownCopy: true }, bob),
      AddDistributionPoint: () =>
        admin.addDistributionPoint({ ...dp, dpId: 'NEW', address: 'a:1', siteCode: 'PS2' }, bob),
      SetDistributionPoint: () => admin.setDistributionPoint({ ...dp, address: 'a:1' }, bob),
      DeleteDistributionPoint: () => admin.deleteDistributionPoint({ dpId: 'PS2DP1' }, bob),
      CreateEnrollment: () => admin.createEnrollment(tokenFor('PS2DP1'), bob),
      'CreateEnrollment in a group': () => admin.createEnrollment(tokenFor('PS2DP2'), bob),
      JoinGroup: () => admin.joinGroup({ groupName: 'Lab', dpIds }, bob),
      'JoinGroup of another group': () =>
        admin.joinGroup({ groupName: 'West', dpIds: ['PS1DP1'] }, bob),
      LeaveGroup: () => admin.leaveGroup({ groupName: 'Lab', dpIds, drop: true }, bob),
      MoveJobs: () => admin.moveJobs({ jobs: allJobs, ...place }, bob),
      SuspendJobs: () => admin.suspendJobs(allJobs, bob),
      'SuspendJobs, only looking': () => admin.suspendJobs({ ...allJobs, lookOnly: true }, bob),
      ResumeJobs: () => admin.resumeJobs(allJobs, bob),
      RunJobs: () => admin.runJobs(allJobs, bob),
      CancelJobs: () => admin.cancelJobs(allJobs, bob),
      SteerSendRequests: () => admin.steerSendRequests(allSends, bob),
    };
  }

  it('refuses whatever reaches beyond the scope, method by method, and writes nothing', async () => {
    await top.groupCommands.add({ groupName: 'West', description: '' }, ['PS1DP1', 'PS2DP1']);
    await failAtPs2();
    const bob = callOf({ siteCodes: ['PS1'], groupNames: ['Lab'] });
    const atPs2 = await conversationOf(hierarchy.of('PS2').site, directory);
    const sweep = { dpId: 'PS2DP1', dryRun: false, unassignedPackages: true };
    const calls = {
      ...callsBeyond(atTop, bob),
      SweepDistributionPoint: () => atPs2.sweepDistributionPoint(sweep, bob),
    };
    const written: string[] = [];
    for (const { store } of [top, hierarchy.of('PS2').site]) {
      const write = store.write.bind(store);
      store.write = async (changes, options) => {
        written.push(...changes.map(({ space }) => space));
        await write(changes, options);
      };
    }
    for (const [name, call] of Object.entries(calls)) {
      const answer = (async () => answered(call()))();
      await assert.rejects(answer, { code: 'SCOPE_EXCEEDED' }, name);
    }
    assert.deepEqual([written, steered], [[], []]);
    // Whoever adds a method that a scope may use shows here that it is refused beyond.
    const shown = new Set(Object.keys(calls).map((name) => name.split(/[ ,]/)[0]));
    const adminPaths = [...scopePolicy]
      .filter(([path, work]) => path.includes('.Admin/') && !work.startsWith('anything'))
      .map(([path]) => path);
    assert.deepEqual([...shown].sort(), adminPaths.map((path) => path.split('/')[2]).sort());
  });

  it('says the scope and each thing that is outside it', async () => {
    const bob = callOf({ siteCodes: ['PS1'], groupNames: ['Lab'] });
    const targets = { ...noTargets, packageId, allDps: true };
    await assert.rejects(atTop.distributePackage(targets, bob), {
      message:
        'waybill://admin/full/bob?site=PS1&group=Lab may change only what is in site PS1, group Lab; outside it: distribution point PS2DP1 of site PS2. Nothing was changed',
    });
  });

  it('lets all be done that lies in it', async () => {
    const bob = callOf({ siteCodes: ['PS1'], groupNames: ['Lab'] });
    const byName = { ...noTargets, packageId, dpIds: ['PS1DP1', 'PS2DP2'] };
    assert.deepEqual((await atTop.distributePackage(byName, bob)).dpIds, ['PS1DP1', 'PS2DP2']);
    const byGroup = { ...noTargets, packageId, groupNames: ['Lab'] };
    await atTop.distributePackage(byGroup, bob);
    await atTop.joinGroup({ groupName: 'Lab', dpIds: ['PS1DP1'] }, bob);
    const left = await atTop.leaveGroup({ groupName: 'Lab', dpIds: ['PS2DP2'], drop: false }, bob);
    assert.deepEqual(left.dpIds, ['PS1DP1']);
    const dp = { dpId: 'PS1DP1', address: 'b:2', kind: asItIs, siteCode: '', ...noPatch };
    assert.equal((await atTop.setDistributionPoint(dp, bob)).address, 'b:2');
    // He has just put it out of his own hands.
    const gone = atTop.setDistributionPoint({ ...dp, dpId: 'PS2DP2' }, bob);
    await assert.rejects(gone, { code: 'SCOPE_EXCEEDED' });
  });

  it('lets him enroll the DPs that he may add, and pass the gate for it', async () => {
    const bob = callOf({ siteCodes: ['PS1'], groupNames: ['Lab'] });
    const created: string[] = [];
    const enrollmentCommands = {
      create: async (identity: PeerIdentity, _validForMs: number, by: PeerIdentity) => {
        created.push(`${toIdentityUri(identity)} by ${toIdentityUri(by)}`);
        throw new WaybillError({ code: 'ENROLLMENT_OFF', siteCode: 'PS1', reason: 'a test' });
      },
    } as unknown as EnrollmentCommands;
    const admin = await conversationOf(hierarchy.of('PS1').site, directory, { enrollmentCommands });
    const path = '/waybill.v1.Admin/CreateEnrollment';
    assert.equal(scopeRefusalOf(bob.caller.identity, path), undefined);
    const creating = admin.createEnrollment(tokenFor('PS1DP1'), bob);
    await assert.rejects(creating, { code: 'ENROLLMENT_OFF' });
    assert.deepEqual(created, [
      'waybill://dp/PS1DP1 by waybill://admin/full/bob?site=PS1&group=Lab',
    ]);
  });

  it('holds no DP by a group that was deleted', async () => {
    const bob = callOf({ siteCodes: [], groupNames: ['Lab'] });
    const targets = { ...noTargets, packageId, dpIds: ['PS2DP2'] };
    await top.groupCommands.delete('Lab');
    await assert.rejects(atTop.distributePackage(targets, bob), { code: 'SCOPE_EXCEEDED' });
  });

  it('has no say without a scope', async () => {
    const alice = callOf(undefined);
    const targets = { ...noTargets, packageId, allDps: true };
    assert.equal((await atTop.distributePackage(targets, alice)).dpIds?.length, 3);
  });
});

describe('scope policy', () => {
  const bob = callOf({ siteCodes: ['PS1'], groupNames: [] }).caller.identity;
  const alice = callOf(undefined).caller.identity;
  const isRefused = (identity: PeerIdentity, path: string) =>
    scopeRefusalOf(identity, path) !== undefined;

  it('refuses every changing method that nobody has thought about, and lets see everything', () => {
    for (const [path, { callers, audited }] of callPolicy) {
      if (!callers.some((group) => group.startsWith('administrators'))) continue;
      const isChange = audited === 'always';
      assert.equal(isRefused(bob, path), isChange && !scopePolicy.has(path), path);
      assert.equal(isRefused(alice, path), false, path);
    }
    assert.equal(isRefused(bob, '/waybill.v1.Admin/NotThoughtOf'), true);
    assert.equal(isRefused(bob, '/waybill.v1.Admin/SetRoute'), true);
  });

  it('has no method that is not there, or that only reads', () => {
    for (const [path, work] of scopePolicy) {
      const isLook = work.startsWith('anything');
      assert.equal(callPolicy.get(path)?.audited, isLook ? 'never' : 'always', path);
    }
  });
});
