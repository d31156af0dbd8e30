import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { encodeBundle } from '../../shared/package-info/package-info-bundle.ts';
import type { CallContext } from '../../shared/rpc/conversation.ts';
import type {
  NotifyPullRequest,
  NotifyPullRequest__Output,
} from '../../shared/rpc/generated/waybill/v1/NotifyPullRequest.ts';
import type { PullSource } from '../../shared/rpc/generated/waybill/v1/PullSource.ts';
import type { PutPackageInfoRequest__Output } from '../../shared/rpc/generated/waybill/v1/PutPackageInfoRequest.ts';
import type { StateReport__Output } from '../../shared/rpc/generated/waybill/v1/StateReport.ts';
import { methodDefinition } from '../../shared/rpc/service-definitions.ts';
import type { PullReport } from '../state-reporter/state-message-wire.ts';
import type { PackageInfo } from './package-infos.ts';
import { endingPullJobs, pullDpConversation } from './pull-dp-conversation.ts';
import type { PullNotification } from './pull-notification.ts';
import { packageId, testVersion } from './testing/test-pull-dp.ts';

const self = { dpId: 'PS1DP1', siteCode: 'PS1' };
const action = { packageId, jobSerial: 7 };
const version = testVersion();
const contentId = `${packageId}.1`;
const { bytes: bundle, hash } = encodeBundle(version);
const context: CallContext = {
  caller: { identity: { kind: 'site', siteCode: 'PS1' }, address: '127.0.0.1:1' },
  signal: new AbortController().signal,
};

const wireSource = (identity: string, changes: Partial<PullSource> = {}): PullSource => ({
  identity,
  address: 'dp2.example:8531',
  rank: 1,
  protocol: 'SOURCE_PROTOCOL_GRPC',
  ...changes,
});
const dp2 = 'waybill://dp/PS1DP2';

const valid: NotifyPullRequest = {
  action,
  sourceVersion: 1,
  pullAction: 'PULL_ACTION_REDISTRIBUTE',
  allowFallback: true,
  priority: 'PRIORITY_HIGH',
  packageType: 'PACKAGE_TYPE_STANDARD',
  sizeBytes: 1_000,
  hashAlgorithm: 'HASH_ALGORITHM_BLAKE3_256',
  bundleHash: Buffer.from(hash, 'hex'),
  contents: [{ contentId, relatedContentId: `${packageId}.0` }],
  sources: [wireSource('waybill://site/PS1', { rank: 20_000 }), wireSource(dp2)],
  managementPoint: 'ps1.example:8530',
  settings: { packagesMax: 3 },
};

/** A request as it arrives. */
function arrived<Output>(method: string, request: object): Output {
  const { requestSerialize, requestDeserialize } = methodDefinition('DistributionPoint', method);
  return requestDeserialize(requestSerialize(request)) as Output;
}

describe('DistributionPoint conversation of a pull DP', () => {
  const infos: PackageInfo[] = [];
  const notifications: PullNotification[] = [];
  const suspended: number[] = [];
  let report: PullReport;
  const conversation = pullDpConversation(
    {
      putPackageInfo: (info) => infos.push(info),
      notify: async (notification) => void notifications.push(notification),
      query: async () => report,
      suspend: async ({ jobSerial }) => void suspended.push(jobSerial),
    },
    self,
  );
  const notify = (changes: Partial<NotifyPullRequest>) => {
    const request = arrived<NotifyPullRequest__Output>('notifyPull', { ...valid, ...changes });
    return conversation.notifyPull(request, context);
  };

  beforeEach(() => {
    infos.length = 0;
    notifications.length = 0;
  });

  it('takes a package info bundle, with the hash of its bytes (PULL-2)', async () => {
    const manifests = [{ contentId, manifest: Buffer.alloc(100), signature: Buffer.alloc(0) }];
    const put = (request: object) =>
      conversation.putPackageInfo(
        arrived<PutPackageInfoRequest__Output>('putPackageInfo', request),
        context,
      );
    await put({ action, bundle, manifests });
    assert.deepEqual(infos, [{ ...action, version, manifests, bundleHash: hash }]);
    const invalid = { code: 'MESSAGE_INVALID' };
    await assert.rejects(put({ action, bundle: bundle.subarray(1) }), invalid);
    await assert.rejects(put({ action, bundle, manifests: [manifests[0], manifests[0]] }), invalid);
    await assert.rejects(put({ bundle }), invalid);
    assert.equal(infos.length, 1);
  });

  it('reads a notification, sources by rank (PULL-2)', async () => {
    await notify({});
    assert.deepEqual(notifications, [
      {
        ...action,
        sourceVersion: 1,
        action: 'redistribute',
        allowFallback: true,
        priority: 1,
        sizeBytes: 1_000,
        bundleHash: hash,
        contents: [{ contentId, relatedContentId: `${packageId}.0` }],
        sources: [
          { identity: { kind: 'dp', dpId: 'PS1DP2' }, address: 'dp2.example:8531', rank: 1 },
          {
            identity: { kind: 'site', siteCode: 'PS1' },
            address: 'dp2.example:8531',
            rank: 20_000,
          },
        ],
        managementPoint: 'ps1.example:8530',
        packagesMax: 3,
        ignoresWindow: false,
      },
    ]);
  });

  it('fetches five packages at once when it is told no number (PULL-10)', async () => {
    await notify({ settings: null });
    await notify({ settings: { packagesMax: 0 } });
    assert.deepEqual(
      notifications.map(({ packagesMax }) => packagesMax),
      [5, 5],
    );
  });

  const manySources = Array.from({ length: 65 }, (_, index) =>
    wireSource(`waybill://dp/D${index}`),
  );
  const refused: [field: string, changes: Partial<NotifyPullRequest>][] = [
    ['action', { action: null }],
    ['pull_action', { pullAction: 'PULL_ACTION_UNSPECIFIED' }],
    ['priority', { priority: 'PRIORITY_UNSPECIFIED' }],
    ['package_type', { packageType: 'PACKAGE_TYPE_UNSPECIFIED' }],
    ['package_flags', { packageFlags: 1 }],
    ['hash_algorithm', { hashAlgorithm: 'HASH_ALGORITHM_UNSPECIFIED' }],
    ['bundle_hash', { bundleHash: Buffer.alloc(31) }],
    ['contents[0].content_id', { contents: [{ contentId: '../x' }] }],
    ['contents[0].related_content_id', { contents: [{ contentId, relatedContentId: '/' }] }],
    ['sources', { sources: [] }],
    ['sources', { sources: manySources }],
    ['sources', { sources: [wireSource(dp2), wireSource(dp2, { address: 'b:1' })] }],
    ['sources[0].identity', { sources: [wireSource('waybill://dp/PS1DP1')] }],
    ['sources[0].identity', { sources: [wireSource('waybill://site/PS2')] }],
    ['sources[0].identity', { sources: [wireSource('waybill://admin/full/alice')] }],
    ['sources[0].identity', { sources: [wireSource('PS1DP2')] }],
    ['sources[0].address', { sources: [wireSource(dp2, { address: 'dp2' })] }],
    ['sources[0].rank', { sources: [wireSource(dp2, { rank: 20_001 })] }],
    ['sources[0].protocol', { sources: [wireSource(dp2, { protocol: 0 })] }],
    ['management_point', { managementPoint: '' }],
    ['settings.packages_max', { settings: { packagesMax: 51 } }],
  ];
  for (const [field, changes] of refused) {
    it(`refuses ${JSON.stringify(changes).slice(0, 60)} and names ${field} (SEC-4)`, async () => {
      await assert.rejects(notify(changes), (error) => {
        assert.ok(error instanceof WaybillError);
        assert.equal(error.details.code === 'MESSAGE_INVALID' && error.details.field, field);
        return true;
      });
      assert.deepEqual(notifications, []);
    });
  }

  it('answers a query in the encoding of the wire (PULL-3)', async () => {
    const { responseSerialize, responseDeserialize } = methodDefinition(
      'DistributionPoint',
      'queryPull',
    );
    const bytes = { doneBytes: 5_000_000_000, totalBytes: 6_000_000_000, receivedBytes: 7 };
    const error = { code: 'PULL_SOURCES_EXHAUSTED', packageId, reason: 'x' } as const;
    report = { state: 'si-applied', packageHash: 'ab'.repeat(32), ...bytes, error };
    const request = { action: { packageId, jobSerial: '7' } };
    const answer = await conversation.queryPull(request, context);
    const read = responseDeserialize(responseSerialize(answer)) as StateReport__Output;
    assert.deepEqual(read, {
      state: 'PULL_JOB_STATE_SI_APPLIED',
      doneBytes: '5000000000',
      totalBytes: '6000000000',
      receivedBytes: '7',
      packageHash: Buffer.alloc(32, 0xab),
      error: { code: error.code, facts: { packageId, reason: 'x' } },
    });
  });

  it('stops with a job that is suspended', async () => {
    const request = arrived<Parameters<typeof conversation.suspendAction>[0]>('suspendAction', {
      action: { packageId, jobSerial: 7 },
    });
    await conversation.suspendAction(request, context);
    assert.deepEqual(suspended, [7]);
    const bad = { action: null };
    await assert.rejects(conversation.suspendAction(bad, context), { code: 'MESSAGE_INVALID' });
  });

  it('ends the pull job of a package that is pushed, removed or cancelled, once that is admitted (ROLE-2)', async () => {
    const ended: number[] = [];
    const refusal = new WaybillError({ code: 'PACKAGE_UNKNOWN', packageId });
    let isRefused = true;
    const answer = async () => {
      if (isRefused) throw refusal;
      return {};
    };
    const answers: Parameters<typeof endingPullJobs>[0] = {
      begin: answer,
      removePackage: answer,
      cancelAction: answer,
    };
    const wrapped = endingPullJobs(answers, {
      actionAdmitted: async ({ jobSerial }) => void ended.push(jobSerial),
    });
    const actionOf = (jobSerial: string) => ({ action: { packageId, jobSerial } });
    const begin = { ...actionOf('8'), package: null, redistribute: false, manifests: [] };
    const removal = actionOf('9');
    await assert.rejects(wrapped.begin(begin, context), refusal);
    await assert.rejects(wrapped.removePackage(removal, context), refusal);
    await assert.rejects(wrapped.cancelAction(actionOf('7'), context), refusal);
    assert.deepEqual(ended, []);
    isRefused = false;
    await wrapped.begin(begin, context);
    await wrapped.removePackage(removal, context);
    await wrapped.cancelAction(actionOf('10'), context);
    assert.deepEqual(ended, [8, 9, 10]);
  });
});
