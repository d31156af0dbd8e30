import assert from 'node:assert/strict';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Conversation } from '../shared/rpc/conversation.ts';
import type { NotifyPullRequest__Output } from '../shared/rpc/generated/waybill/v1/NotifyPullRequest.ts';
import { readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { RpcChannel } from '../shared/rpc/rpc-channel.ts';
import { RpcServer } from '../shared/rpc/rpc-server.ts';
import { Administrator } from './administrator.ts';
import { Network } from './network.ts';
import { writeFiles } from './source-files.ts';
import { byScale } from './test-scale.ts';

const { pullCount, packageCount, timeoutMs } = byScale({
  short: { pullCount: 5, packageCount: 60, timeoutMs: 120_000 },
  long: { pullCount: 50, packageCount: 60, timeoutMs: 900_000 },
});

/** Jobs a pull DP has at most. */
const capacity = 50;
/** How quickly a site with all these jobs is back. */
const restartMsMax = 5_000;

/** A pull DP that takes jobs, and ends them when it is told to. */
class PatientPullDp implements AsyncDisposable {
  readonly dpId: string;
  /** Jobs it has, oldest first. */
  readonly jobs: { packageId: string; jobSerial: string; sourceVersion: number }[] = [];
  mostJobs = 0;
  readonly #server: RpcServer;
  readonly #managementPoint: RpcChannel<'ManagementPoint'>;
  #serial = 0;

  private constructor(
    dpId: string,
    server: RpcServer,
    managementPoint: RpcChannel<'ManagementPoint'>,
  ) {
    this.dpId = dpId;
    this.#server = server;
    this.#managementPoint = managementPoint;
  }

  static async start(network: Network, dpId: string): Promise<PatientPullDp> {
    const credentials = await readPeerCredentials(network.certificateFiles({ kind: 'dp', dpId }));
    const server = new RpcServer(
      { credentials, logger: pino({ enabled: false }), onAudit: () => {} },
      { address: '127.0.0.1:0', siteCode: 'PS1', shutdownGraceMs: 0 },
    );
    const managementPoint = new RpcChannel({
      conversation: 'ManagementPoint',
      address: network.site.address,
      expected: (peer) => peer.kind === 'site',
      expectedText: 'the management point',
      credentials,
    });
    const dp = new PatientPullDp(dpId, server, managementPoint);
    server.serve('DistributionPoint', dp.#conversation());
    await server.start();
    return dp;
  }

  get address(): string {
    return this.#server.address;
  }

  /** Says that its oldest job is done. */
  async finishOne(packageHashOf: (packageId: string) => Buffer): Promise<void> {
    const job = this.jobs.shift();
    if (!job) return;
    this.#serial += 1;
    await this.#managementPoint.unary(
      'reportState',
      {
        ...job,
        dpId: this.dpId,
        topicType: 902,
        outboxMadeAtMs: 1,
        serial: this.#serial,
        state: 'PULL_STATE_SUCCESS',
        percent: 100,
        packageHash: packageHashOf(job.packageId),
        timeMs: Date.now(),
      },
      { deadlineMs: 20_000 },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#managementPoint.close();
    await this.#server.stop();
  }

  #conversation(): Conversation<'DistributionPoint'> {
    const { jobs } = this;
    const has = (serial: string) => jobs.some(({ jobSerial }) => jobSerial === serial);
    return {
      putPackageInfo: async () => ({}),
      notifyPull: async ({ action, sourceVersion }: NotifyPullRequest__Output) => {
        const { packageId = '', jobSerial = '0' } = action ?? {};
        if (!has(jobSerial)) jobs.push({ packageId, jobSerial, sourceVersion });
        this.mostJobs = Math.max(this.mostJobs, jobs.length);
        return {};
      },
    } as unknown as Conversation<'DistributionPoint'>;
  }
}

describe(`${pullCount * packageCount} jobs for ${pullCount} pull DPs (PULL-2)`, function () {
  this.timeout(timeoutMs);
  const pulls = Array.from({ length: pullCount }, (_, index) => `PULL${index + 1}`);
  let network: Network;
  let administrator: Administrator;
  let dps: PatientPullDp[];
  const hashes = new Map<string, Buffer>();

  before(async () => {
    network = await Network.start({ distributionPoints: ['PS1DP1'], others: pulls });
    administrator = await Administrator.of(network);
    dps = await Promise.all(pulls.map((dpId) => PatientPullDp.start(network, dpId)));
    for (const dp of dps) {
      await administrator.addDistributionPoint(dp.dpId, dp.address);
      await network.setPull(dp.dpId, { allowFallback: true });
    }
    for (let index = 0; index < packageCount; index++) {
      const source = join(network.directory, 'sources', String(index));
      await writeFiles(source, { file: `package ${index}` });
      const packageId = await administrator.create(source);
      const { packageHash } = await administrator.getPackage(packageId);
      hashes.set(packageId, packageHash);
    }
  });

  after(async () => {
    for (const dp of dps ?? []) await dp[Symbol.asyncDispose]();
    await network.stop();
  });

  const openCount = async () => (await administrator.openJobs()).length;

  it('never give a DP more than it takes; the rest waits and says so', async () => {
    for (const packageId of hashes.keys()) await administrator.distribute(packageId, ...pulls);
    await administrator.jobIs({}, () => dps.every(({ jobs }) => jobs.length === capacity));
    await administrator.jobIs({}, ({ waitingReason }) => waitingReason === 'capacity');
    assert.equal(await openCount(), pullCount * packageCount);
    assert.ok(dps.every(({ mostJobs }) => mostJobs === capacity));
    const messages = await administrator.messages({ dpId: pulls[0] ?? '' });
    assert.ok(messages.some(({ messageId }) => messageId === 8211));
  });

  it('are all there again, soon, after a kill of the site', async () => {
    await network.site.kill();
    const startedMs = performance.now();
    await network.site.start();
    assert.equal(await openCount(), pullCount * packageCount);
    const ms = performance.now() - startedMs;
    process.stdout.write(`      the site was back after ${ms.toFixed(0)} ms\n`);
    assert.ok(ms < restartMsMax, `${ms} ms`);
  });

  it('all come to an end, none starved, and never more at once', async () => {
    const packageHashOf = (packageId: string) => hashes.get(packageId) ?? Buffer.alloc(32);
    while ((await openCount()) > 0) {
      await Promise.all(dps.map((dp) => dp.finishOne(packageHashOf)));
    }
    assert.ok(dps.every(({ mostJobs }) => mostJobs <= capacity));
    for (const packageId of hashes.keys()) {
      // A status follows the end of its job by itself: it may be a moment later.
      for (const dpId of pulls) await administrator.installed({ packageId, dpId });
      assert.equal((await administrator.statuses({ packageId })).length, pullCount);
    }
  });
});
