import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hashOf } from '../shared/content-library/content-hash.ts';
import { type ErrorCode, isErrorWithCode } from '../shared/domain/errors.ts';
import { encodeBundle } from '../shared/package-info/package-info-bundle.ts';
import type { RequestOf } from '../shared/rpc/conversation.ts';
import { readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { RpcChannel } from '../shared/rpc/rpc-channel.ts';
import { toVersion } from '../shared/testing/test-library.ts';
import { Administrator } from './administrator.ts';
import { AnyContent, HostileSite } from './hostile-site.ts';
import { Network } from './network.ts';
import { writeFiles } from './source-files.ts';

type Notification = RequestOf<'DistributionPoint', 'notifyPull'>;
type StateMessage = RequestOf<'ManagementPoint', 'reportState'>;

const standard = 'PS1DP1';
const pull = 'PS1DP2';
const deadlineMs = 10_000;

describe('what a pull DP and its management point refuse', () => {
  let network: Network;
  let administrator: Administrator;
  let packageId: string;

  before(async () => {
    network = await Network.start({
      distributionPoints: [standard, pull],
      pull: { [pull]: { sources: { [standard]: 1 } } },
    });
    administrator = await Administrator.of(network);
    const source = join(network.directory, 'source');
    await writeFiles(source, { file: 'one' });
    packageId = await administrator.create(source);
    await administrator.install(packageId, standard);
    await administrator.install(packageId, pull);
    await writeFiles(source, { file: 'two' });
    await administrator.update(packageId);
    await administrator.installed({ packageId, dpId: pull });
  });

  after(() => network.stop());

  describe('a notification (PULL-2)', () => {
    let site: HostileSite;
    const content = new AnyContent('PS100099.1', [
      ['f', 0, 'a', 3, 0o644, '0', hashOf(Buffer.from('one'))],
    ]);
    const version = toVersion('PS100099', 1, [content.descriptor]);
    const bundle = encodeBundle(version);
    const action = { packageId: 'PS100099', jobSerial: 1_000_000 };
    const source = {
      identity: `waybill://dp/${standard}`,
      address: '127.0.0.1:1',
      rank: 1,
      protocol: 'SOURCE_PROTOCOL_GRPC',
    } as const;
    const sound: Notification = {
      action,
      sourceVersion: 1,
      pullAction: 'PULL_ACTION_ADD',
      priority: 'PRIORITY_NORMAL',
      packageType: 'PACKAGE_TYPE_STANDARD',
      sizeBytes: 3,
      hashAlgorithm: 'HASH_ALGORITHM_BLAKE3_256',
      bundleHash: Buffer.from(bundle.hash, 'hex'),
      contents: [{ contentId: 'PS100099.1' }],
      sources: [source],
      managementPoint: '127.0.0.1:1',
      settings: { packagesMax: 5 },
    };

    before(async () => {
      site = await HostileSite.at(network, network.dp(pull), 'PS100099');
    });
    after(() => site[Symbol.dispose]());

    async function refused(notification: Notification, code: ErrorCode): Promise<void> {
      await site.channel.unary('putPackageInfo', { action, bundle: bundle.bytes }, { deadlineMs });
      const before = await auditedCount(code);
      await assert.rejects(
        site.channel.unary('notifyPull', notification, { deadlineMs }),
        (error) => isErrorWithCode(error, code) || assert.fail(String(error)),
      );
      while ((await auditedCount(code)) === before) await sleep(20);
      await assert.rejects(site.channel.unary('queryPull', { action }, { deadlineMs }), (error) =>
        isErrorWithCode(error, 'PULL_JOB_UNKNOWN'),
      );
    }

    async function auditedCount(result: string): Promise<number> {
      const path = join(network.dataDirectoryOf(pull), 'logs', 'audit.log');
      const lines = (await readFile(path, 'utf8')).split('\n');
      return lines.filter((line) => line.includes('NotifyPull') && line.includes(result)).length;
    }

    const cases: readonly [string, Partial<Notification>, ErrorCode][] = [
      ['another bundle', { bundleHash: Buffer.alloc(32, 1) }, 'PACKAGE_INFO_MISMATCH'],
      ['a version that is not the bundle’s', { sourceVersion: 2 }, 'MESSAGE_INVALID'],
      ['an unknown action', { pullAction: 'PULL_ACTION_UNSPECIFIED' }, 'MESSAGE_INVALID'],
      ['no source', { sources: [] }, 'MESSAGE_INVALID'],
      [
        'a source of no hierarchy',
        { sources: [{ ...source, identity: 'https://example.org' }] },
        'MESSAGE_INVALID',
      ],
      [
        'a source of another site',
        { sources: [{ ...source, identity: 'waybill://site/XX9' }] },
        'MESSAGE_INVALID',
      ],
      [
        'itself as a source',
        { sources: [{ ...source, identity: `waybill://dp/${pull}` }] },
        'MESSAGE_INVALID',
      ],
      [
        'a source without an address',
        { sources: [{ ...source, address: 'http://a/b' }] },
        'MESSAGE_INVALID',
      ],
      [
        'contents that are not the bundle’s',
        { contents: [{ contentId: 'PS100099.2' }] },
        'MESSAGE_INVALID',
      ],
      ['flags nobody knows', { packageFlags: 1 }, 'MESSAGE_INVALID'],
    ];
    for (const [name, change, code] of cases) {
      it(`with ${name}: ${code}`, () => refused({ ...sound, ...change }, code));
    }

    it('of a version that is lower than the one it serves: VERSION_DOWNGRADE', async () => {
      const lower = encodeBundle({ ...version, packageId, sourceVersion: 1 });
      const older = { packageId, jobSerial: 1_000_000 };
      await site.channel.unary(
        'putPackageInfo',
        { action: older, bundle: lower.bytes },
        { deadlineMs },
      );
      const bundleHash = Buffer.from(lower.hash, 'hex');
      await assert.rejects(
        site.channel.unary('notifyPull', { ...sound, action: older, bundleHash }, { deadlineMs }),
        (error) => isErrorWithCode(error, 'VERSION_DOWNGRADE'),
      );
      const [row] = await administrator.statuses({ packageId, dpId: pull });
      assert.equal(row?.installedVersion, 2);
    });

    it('of a manifest of 10,000,000 entries, before anything is written', async () => {
      const huge = { ...content.descriptor, entryCount: 10_000_000, fileCount: 10_000_000 };
      const { bytes } = encodeBundle({ ...version, contents: [huge] });
      await assert.rejects(
        site.channel.unary('putPackageInfo', { action, bundle: bytes }, { deadlineMs }),
        (error) => isErrorWithCode(error, 'MESSAGE_INVALID'),
      );
    });
  });

  describe('a state message (PULL-8, SEC-1)', () => {
    let managementPoint: RpcChannel<'ManagementPoint'>;
    let sound: StateMessage;

    before(async () => {
      const credentials = await readPeerCredentials(
        network.certificateFiles({ kind: 'dp', dpId: pull }),
      );
      managementPoint = new RpcChannel({
        conversation: 'ManagementPoint',
        address: network.site.address,
        expected: (peer) => peer.kind === 'site',
        expectedText: 'the management point',
        credentials,
      });
      const { jobSerial } = await administrator.lastJob({ packageId, dpId: pull });
      sound = {
        dpId: pull,
        topicType: 902,
        packageId,
        jobSerial,
        outboxMadeAtMs: Date.now(),
        serial: 1_000,
        sourceVersion: 2,
        state: 'PULL_STATE_PROGRESS',
        percent: 50,
      };
    });
    after(() => managementPoint.close());

    const cases: readonly [string, Partial<StateMessage>, ErrorCode][] = [
      ['another DP’s name', { dpId: standard }, 'PEER_NOT_ALLOWED'],
      ['a job it was never given', { jobSerial: 999_999 }, 'JOB_UNKNOWN'],
      ['the job of another package', { packageId: 'PS1000AA' }, 'JOB_UNKNOWN'],
      ['another version than the job brings', { sourceVersion: 1 }, 'JOB_UNKNOWN'],
      ['a percent over 100', { percent: 101 }, 'MESSAGE_INVALID'],
      ['another topic', { topicType: 901 }, 'MESSAGE_INVALID'],
      ['no state', { state: 'PULL_STATE_UNSPECIFIED' }, 'MESSAGE_INVALID'],
    ];
    for (const [name, change, code] of cases) {
      it(`with ${name}: ${code}, audited`, async () => {
        await assert.rejects(
          managementPoint.unary('reportState', { ...sound, ...change }, { deadlineMs }),
          (error) => isErrorWithCode(error, code) || assert.fail(String(error)),
        );
        const records = await administrator.auditRecords();
        const told = records.filter(({ method, caller, result }) => {
          return /ReportState/.test(method) && caller.endsWith(pull) && result === code;
        });
        assert.ok(told.length > 0);
      });
    }

    it('that comes late is taken, and changes nothing', async () => {
      await managementPoint.unary('reportState', sound, { deadlineMs });
      const [row] = await administrator.statuses({ packageId, dpId: pull });
      assert.equal(row?.state, 'PACKAGE_STATUS_STATE_INSTALLED');
      assert.deepEqual(await administrator.openJobs(), []);
    });
  });
});
