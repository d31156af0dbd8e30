import assert from 'node:assert/strict';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import type { PeerIdentity } from '../../shared/domain/peer-identity.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { StateMessage } from '../../shared/domain/state-message.ts';
import { decodeBundle } from '../../shared/package-info/package-info-bundle.ts';
import { toErrorDetail } from '../../shared/rpc/error-detail.ts';
import type { StateMessage__Output } from '../../shared/rpc/generated/waybill/v1/StateMessage.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { toVersion } from '../../shared/testing/test-library.ts';
import {
  openTestMachine,
  type TestMachine,
  TestSite,
} from '../distribution-manager/testing/test-site.ts';
import { ContentDpMap } from '../hierarchy-manager/content-dp-map.ts';
import { ContentLocator } from './content-locator.ts';
import { ManagementPoint } from './management-point.ts';

const packageId = 'PS100001';
const good: StateMessage__Output = {
  ...{ dpId: 'P1', topicType: 902, packageId, jobSerial: '1', outboxMadeAtMs: '5', serial: '1' },
  ...{ sourceVersion: 1, state: 'PULL_STATE_PROGRESS', percent: 40, doneBytes: '4' },
  ...{ totalBytes: '10', receivedBytes: '5', packageHash: Buffer.alloc(0), error: null },
  ...{ source: '', timeMs: '7' },
};
const version = toVersion(packageId, 1, [
  {
    ...{
      contentId: `${packageId}.1`,
      contentHash: '01'.repeat(32),
      signatureHash: '02'.repeat(32),
    },
    ...{ manifestBytes: 1, signatureBytes: 0, entryCount: 1, fileCount: 1, sizeBytes: 1 },
  },
]);

describe('management point', () => {
  let machine: TestMachine;
  let site: TestSite;
  let contentMap: ContentDpMap;
  let open: DistributionJob[];
  let applied: StateMessage[];
  let point: ReturnType<ManagementPoint['conversation']>;

  beforeEach(async () => {
    machine = await openTestMachine();
    site = await TestSite.start(machine);
    const { store, clock } = machine;
    const { notifier, hierarchy, packages } = site;
    for (const [dpId, address] of Object.entries({ P1: 'p1:1', P2: '192.0.2.2:1', P3: 'p3:1' })) {
      await hierarchy.add({ dpId, address, kind: 'standard', description: '' });
    }
    contentMap = new ContentDpMap({ store, notifier, clock });
    open = [testJob({ jobSerial: 1, dpId: 'P1', packageId, state: 'started', startedAtMs: 1 })];
    applied = [];
    const ofSite = { siteCode: 'PS1', siteAddress: () => 'site:8530' };
    const library = { getPackage: async () => version as never };
    const locator = new ContentLocator({ packages, library, contentMap, hierarchy, ...ofSite });
    const jobs = { get: (serial: number) => open.find(({ jobSerial }) => jobSerial === serial) };
    const stateSystem = { apply: async (message: StateMessage) => void applied.push(message) };
    point = new ManagementPoint({ store, hierarchy, jobs, stateSystem, locator }).conversation();
  });
  afterEach(async () => {
    await site[Symbol.asyncDispose]();
    await machine[Symbol.asyncDispose]();
  });

  const callerOf = (identity: PeerIdentity, address = '192.0.2.9:4711') => ({
    caller: { identity, address },
    signal: new AbortController().signal,
  });
  const p1 = callerOf({ kind: 'dp', dpId: 'P1' });
  const report = (facts: Partial<StateMessage__Output>, context = p1) =>
    point.reportState({ ...good, ...facts }, context);

  it('takes what a DP says of its own job (ROLE-3, PULL-8)', async () => {
    assert.deepEqual(await report({}), {});
    const [message] = applied;
    assert.deepEqual(message?.place, { outboxMadeAtMs: 5, serial: 1 });
    assert.deepEqual(
      [message?.state, message?.doneBytes, message?.totalBytes],
      ['progress', 4, 10],
    );
    const details = { code: 'PULL_SOURCE_LIED', source: 's', fileHash: 'f', reason: 'r' } as const;
    const source = 'waybill://dp/P2';
    const warning = { state: 'PULL_STATE_WARNING', source, serial: '2' } as const;
    await report({ ...warning, error: toErrorDetail(details) as never });
    assert.deepEqual(applied[1]?.error, details);
    assert.equal(applied[1]?.source, source);
  });

  it('takes an error it does not know as a failure of the agent', async () => {
    await report({ state: 'PULL_STATE_FAILURE', error: { code: 'OF_THE_FUTURE', facts: {} } });
    assert.equal(applied[0]?.error?.code, 'PEER_FAILED');
  });

  it('refuses who speaks for another DP, or is not of this site (SEC-1)', async () => {
    const strangers: [string, PeerIdentity][] = [
      ['P1', { kind: 'dp', dpId: 'P2' }],
      ['P9', { kind: 'dp', dpId: 'P9' }],
      ['P1', { kind: 'site', siteCode: 'PS1' }],
    ];
    for (const [dpId, identity] of strangers) {
      const refused = report({ dpId }, callerOf(identity));
      await assert.rejects(refused, { code: 'PEER_NOT_ALLOWED' });
    }
    assert.deepEqual(applied, []);
  });

  it('refuses what cannot be, field by field (SEC-4)', async () => {
    const wrong: [string, Partial<StateMessage__Output>][] = [
      ['topic_type', { topicType: 901 }],
      ['percent', { percent: 101 }],
      ['package_id', { packageId: 'x' }],
      ['state', { state: 'PULL_STATE_UNSPECIFIED' }],
      // As a number comes that no proto of ours knows.
      ['state', { state: 99 as never }],
      ['job_serial', { jobSerial: '0' }],
      ['job_serial', { jobSerial: '9007199254740993' }],
      ['serial', { serial: '18446744073709551615' }],
      ['done_bytes', { doneBytes: '11' }],
      ['package_hash', { state: 'PULL_STATE_SUCCESS' }],
      ['error', { state: 'PULL_STATE_FAILURE' }],
      ['source', { source: 'http://x' }],
      ['source_version', { sourceVersion: 0 }],
    ];
    for (const [field, facts] of wrong) {
      await assert.rejects(
        report(facts),
        (error: { details?: { code: string; field: string } }) => {
          assert.deepEqual([error.details?.code, error.details?.field], ['MESSAGE_INVALID', field]);
          return true;
        },
      );
    }
    assert.deepEqual(applied, []);
  });

  it('knows jobs the DP was given: open ones are told, of ended ones nothing changes (PULL-8)', async () => {
    const unknown = { code: 'JOB_UNKNOWN' };
    await assert.rejects(report({ jobSerial: '2' }), unknown);
    await assert.rejects(report({ packageId: 'PS100002' }), unknown);
    await assert.rejects(report({ sourceVersion: 2 }), unknown, 'the job brings another version');
    open = [testJob({ jobSerial: 1, dpId: 'P2', packageId, startedAtMs: 1 })];
    await assert.rejects(report({}), unknown);
    open = [testJob({ jobSerial: 1, dpId: 'P1', packageId })];
    await assert.rejects(report({}), unknown, 'it was never told of the job');
    open = [];
    const ended = testJob({ jobSerial: 1, dpId: 'P1', packageId, startedAtMs: 1, endedAtMs: 2 });
    const row = machine.store.records(keySpaces.jobHistory).put(joinKey(1), ended);
    await machine.store.write([row], { sync: false });
    assert.deepEqual(await report({}), {});
    assert.deepEqual(applied, []);
  });

  const locate = (clientNetworks: string[], id = packageId) =>
    point.locateContent({ packageId: id, clientNetworks }, callerOf({ kind: 'client', name: 'c' }));

  async function publish(state: SitePackage['state'] = 'published'): Promise<void> {
    const row = { packageId, sourceVersion: 1, state, sources: [] } as unknown as SitePackage;
    const located = { packageId, sourceVersion: 1, contentIds: [`${packageId}.1`] };
    const changes = [site.packages.packages.put(packageId, row)];
    for (const dpId of ['P1', 'P2']) changes.push(...(await contentMap.held({ ...located, dpId })));
    changes.push(...(await contentMap.arriving({ ...located, dpId: 'P3' })));
    await machine.store.write(changes, { sync: false });
  }

  it('names the DPs that hold a package, nearest first, the site last (CLIENT-1)', async () => {
    await publish();
    const { bundle, sources } = await locate(['192.0.2.7/24']);
    assert.deepEqual(decodeBundle(bundle as Buffer, packageId), version);
    assert.deepEqual(
      sources?.map(({ source, nearness }) => [source?.identity, source?.rank, nearness]),
      [
        ['waybill://dp/P2', 2, 'SOURCE_NEARNESS_SAME_NETWORK'],
        ['waybill://dp/P1', 3, 'SOURCE_NEARNESS_SAME_SITE'],
        ['waybill://site/PS1', 20_000, 'SOURCE_NEARNESS_FALLBACK'],
      ],
    );
  });

  it('says what is unknown, not there for clients, or no request (CLIENT-1, SEC-4)', async () => {
    await assert.rejects(locate([]), { code: 'PACKAGE_UNKNOWN' });
    await assert.rejects(locate([], 'x'), { code: 'MESSAGE_INVALID' });
    await publish('deleting');
    await assert.rejects(locate([]), { code: 'PACKAGE_NOT_LOCATED' });
    await assert.rejects(locate(['1.2.3.4']), { code: 'MESSAGE_INVALID' });
    const many = Array.from({ length: 65 }, () => '1.2.3.4/8');
    await assert.rejects(locate(many), { code: 'MESSAGE_INVALID' });
  });
});
