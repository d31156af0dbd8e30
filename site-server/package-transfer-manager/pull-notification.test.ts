import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { PullSettings } from '../../shared/domain/pull-source.ts';
import { hoursOfWeek } from '../../shared/domain/transfer-controls.ts';
import { bundleHashOf } from '../../shared/package-info/package-info-bundle.ts';
import type { NotifyPullRequest } from '../../shared/rpc/generated/waybill/v1/NotifyPullRequest.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { TestLibrary } from '../../shared/testing/test-library.ts';
import {
  openTestMachine,
  type TestMachine,
  TestSite,
} from '../distribution-manager/testing/test-site.ts';
import { ContentDpMap } from '../hierarchy-manager/content-dp-map.ts';
import { PullNotification } from './pull-notification.ts';
import { PullSources } from './pull-sources.ts';

const packageId = 'PS100001';
const contentId = `${packageId}.2`;

describe('pull notification', () => {
  let directory: TemporaryDirectory;
  let test: TestLibrary;
  let machine: TestMachine;
  let site: TestSite;
  let contentMap: ContentDpMap;
  let notification: PullNotification;
  let calls: { method: string; request: object }[];

  beforeEach(async function () {
    this.timeout(10_000);
    directory = await TemporaryDirectory.create();
    test = await TestLibrary.open({ directory: directory.path });
    machine = await openTestMachine();
    site = await TestSite.start(machine);
    calls = [];
    const { store, clock } = machine;
    contentMap = new ContentDpMap({ store, notifier: site.notifier, clock });
    const unary = async (method: string, request: object) => {
      calls.push({ method, request });
      return {};
    };
    const siteAddress = () => 'site.example.org:8530';
    const { hierarchy } = site;
    const sources = new PullSources({ hierarchy, contentMap, siteCode: 'PS1', siteAddress });
    const connections = { channelTo: () => ({ unary }) as never };
    notification = new PullNotification(
      { library: test.library, connections, sources, contentMap },
      { callDeadlineMs: 1_000, siteAddress },
    );
    await site.addDistributionPoint('S1');
    await site.addDistributionPoint('S2');
    await test.commit(packageId, 2, { a: Buffer.from('one') });
  });
  afterEach(async function () {
    this.timeout(10_000);
    await site[Symbol.asyncDispose]();
    await machine[Symbol.asyncDispose]();
    await test[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  async function addPullDp(dpId: string, sourceIds: string[], changes: Partial<PullSettings> = {}) {
    const sources = sourceIds.map((id, index) => ({ dpId: id, rank: index + 1 }));
    const pull = { sources, allowFallback: false, packagesMax: 7, ...changes };
    const address = `${dpId}:8531`;
    return site.hierarchy.add({ dpId, address, kind: 'pull', description: '', pull });
  }

  async function locate(state: 'held' | 'arriving', dpId: string, contentIds = [contentId]) {
    const located = { packageId, dpId, sourceVersion: 2, contentIds };
    await machine.store.write(await contentMap[state](located), { sync: false });
  }

  const { signal } = new AbortController();
  const pullJob = (dpId: string, action: 'add' | 'redistribute' = 'add') =>
    testJob({ jobSerial: 5, packageId, dpId, sourceVersion: 2, action, priority: 1 });
  const notify = async (dpId: string, action: 'add' | 'redistribute' = 'add') => {
    const dp = await site.hierarchy.require(dpId);
    return notification.notify({ job: pullJob(dpId, action), dp, signal });
  };
  const jobTold = (toldHash: string) =>
    testJob({ jobSerial: 5, packageId, dpId: 'P1', sourceVersion: 2, toldHash });
  const isMissing = (error: unknown) =>
    error instanceof WaybillError && error.code === 'PULL_SOURCES_MISSING';
  const told = () => (calls.at(-1)?.request as NotifyPullRequest | undefined)?.sources ?? [];
  const named = () => told().map(({ identity, rank }) => `${identity} ${rank}`);

  it('waits for a source before it says anything to the DP (PULL-2)', async () => {
    await addPullDp('P1', ['S1', 'S2']);
    await assert.rejects(notify('P1'), isMissing);
    assert.deepEqual(calls, []);
    await locate('held', 'S2');
    await notify('P1');
    assert.deepEqual(named(), ['waybill://dp/S2 2']);
  });

  it('brings the bundle, then says all that PULL-2 lists (PULL-2)', async () => {
    await addPullDp('P1', ['S1', 'S2']);
    const older = { packageId, dpId: 'P1', sourceVersion: 1, contentIds: [`${packageId}.1`] };
    await machine.store.write(await contentMap.held(older), { sync: false });
    await locate('held', 'S1');
    const { expectedHash, locations } = await notify('P1', 'redistribute');
    assert.equal(expectedHash, (await test.library.getPackage(packageId))?.packageHash);
    const [info, request] = calls.map((call) => call.request) as [
      { bundle: Buffer; manifests: unknown[] },
      NotifyPullRequest,
    ];
    assert.deepEqual(
      calls.map(({ method }) => method),
      ['putPackageInfo', 'notifyPull'],
    );
    assert.equal(info.manifests.length, 1);
    const { bundleHash, sources, ...rest } = request;
    assert.equal(Buffer.from(bundleHash as Buffer).toString('hex'), bundleHashOf(info.bundle));
    assert.deepEqual(sources, [
      {
        ...{ identity: 'waybill://dp/S1', address: 'S1:8531', rank: 1 },
        protocol: 'SOURCE_PROTOCOL_GRPC',
      },
    ]);
    assert.deepEqual(rest, {
      action: { packageId, jobSerial: 5 },
      sourceVersion: 2,
      pullAction: 'PULL_ACTION_REDISTRIBUTE',
      allowFallback: false,
      priority: 'PRIORITY_HIGH',
      packageType: 'PACKAGE_TYPE_STANDARD',
      packageFlags: 0,
      sizeBytes: 3,
      hashAlgorithm: 'HASH_ALGORITHM_BLAKE3_256',
      contents: [{ contentId, relatedContentId: `${packageId}.1` }],
      managementPoint: 'site.example.org:8530',
      settings: { packagesMax: 7 },
      ignoresWindow: false,
    });
    const rows = await locations();
    assert.ok(rows.some(({ key }) => key === `${contentId}/P1`));
  });

  it('brings no manifests to one that has a limit or hours: it fetches them within those (PULL-10)', async () => {
    const dp = { dpId: 'P1', address: 'P1:8531', kind: 'pull', description: '' } as const;
    const pull = { sources: [{ dpId: 'S1', rank: 1 }], allowFallback: false, packagesMax: 7 };
    const hours = Array.from({ length: hoursOfWeek }, () => 'closed' as const);
    await site.hierarchy.add({ ...dp, pull });
    await locate('held', 'S1');
    for (const controls of [
      { limit: { kind: 'rate', bytesPerSecond: 10_000 } },
      { schedule: { timeZone: 'UTC', hours } },
    ] as const) {
      calls.length = 0;
      await notification.notify({
        job: pullJob('P1'),
        dp: { ...(await site.hierarchy.require('P1')), controls },
        signal,
      });
      const [info] = calls.map(({ request }) => request as { manifests?: unknown[] });
      assert.deepEqual(info?.manifests, []);
    }
  });

  it('says that one is let run whatever the hour is (ADM-2)', async () => {
    await addPullDp('P1', ['S1']);
    await locate('held', 'S1');
    const dp = await site.hierarchy.require('P1');
    await notification.notify({ job: { ...pullJob('P1'), ignoresWindow: true }, dp, signal });
    const request = calls.at(-1)?.request as NotifyPullRequest | undefined;
    assert.equal(request?.ignoresWindow, true);
  });

  it('falls back to DPs that hold it, those that are fetching it, then the site (PULL-1)', async () => {
    await addPullDp('P1', ['S1'], { allowFallback: true });
    await notify('P1');
    assert.deepEqual(named(), ['waybill://site/PS1 20000']);
    await addPullDp('P2', ['S1']);
    await locate('arriving', 'P2');
    await locate('held', 'S1');
    await locate('held', 'S2');
    await notify('P1');
    assert.deepEqual(named(), [
      'waybill://dp/S1 1',
      'waybill://dp/S2 10000',
      'waybill://dp/P2 10000',
      'waybill://site/PS1 20000',
    ]);
    assert.equal(told().at(-1)?.address, 'site.example.org:8530');
  });

  it('counts a source that is just fetching, but never a circle (PULL-11)', async () => {
    await addPullDp('P1', ['S1']);
    await addPullDp('P2', ['P1']);
    await site.hierarchy.set({
      dpId: 'P1',
      pull: {
        ...{ allowFallback: false, packagesMax: 5 },
        sources: ['S1', 'P2'].map((dpId) => ({ dpId, rank: 1 })),
      },
    });
    await locate('held', 'S1');
    await locate('arriving', 'P1');
    await notify('P2');
    assert.deepEqual(named(), ['waybill://dp/P1 1']);
    await locate('arriving', 'P2');
    await machine.store.write(await contentMap.gone('S1', { packageId, names: [packageId] }), {
      sync: false,
    });
    await assert.rejects(notify('P2'), isMissing);
    await assert.rejects(notify('P1'), isMissing);
  });

  it('notifies again only when its own sources are others than it was told (PULL-11)', async () => {
    const dp = await addPullDp('P1', ['S1', 'S2']);
    await locate('held', 'S1');
    let { toldHash } = await notify('P1');
    // The job's row knows what was told: so does a site that was restarted.
    const changed = async () => {
      const job = jobTold(toldHash);
      const sources =
        (await notification.sourcesOf({ job, dp }, notification.look())) ?? assert.fail();
      toldHash = (await notification.sourcesChanged({ job, dp, signal }, sources)) ?? toldHash;
    };
    await changed();
    assert.equal(calls.length, 2);
    await locate('held', 'S2');
    await changed();
    await changed();
    assert.deepEqual(
      calls.map(({ method }) => method),
      ['putPackageInfo', 'notifyPull', 'notifyPull'],
    );
    assert.deepEqual(named(), ['waybill://dp/S1 1', 'waybill://dp/S2 2']);
  });

  it('notifies again when its DP may fall back, or fetch more at once, from now on (PULL-1, PULL-10)', async () => {
    await addPullDp('P1', ['S1', 'S2']);
    await locate('held', 'S1');
    let { toldHash } = await notify('P1');
    const sources = [{ dpId: 'S1', rank: 1 }];
    for (const pull of [
      { sources, allowFallback: false, packagesMax: 9 },
      { sources, allowFallback: true, packagesMax: 9 },
    ]) {
      const dp = await site.hierarchy.set({ dpId: 'P1', pull });
      const job = jobTold(toldHash);
      const found =
        (await notification.sourcesOf({ job, dp }, notification.look())) ?? assert.fail();
      calls = [];
      toldHash = (await notification.sourcesChanged({ job, dp, signal }, found)) ?? assert.fail();
      const again = { job: jobTold(toldHash), dp, signal };
      assert.equal(await notification.sourcesChanged(again, found), undefined);
      assert.equal(calls.length, 1);
      const request = calls[0]?.request as NotifyPullRequest;
      assert.deepEqual(
        [request.allowFallback, request.settings?.packagesMax],
        [pull.allowFallback, pull.packagesMax],
      );
    }
    assert.deepEqual(named(), ['waybill://dp/S1 1', 'waybill://site/PS1 20000']);
  });

  it('reads where content is once for all that one look is about (PULL-11)', async () => {
    const dps = [];
    for (let n = 1; n <= 20; n++) {
      dps.push(
        await addPullDp(`P${n}`, ['S1', ...(n > 1 ? [`P${n - 1}`] : [])], {
          allowFallback: n % 2 === 0,
        }),
      );
      await locate('arriving', `P${n}`);
    }
    await locate('held', 'S1');
    let readCount = 0;
    const { hierarchy } = site;
    const siteAddress = () => 'site.example.org:8530';
    const counting = {
      locationsOf: (id: string) => {
        readCount += 1;
        return contentMap.locationsOf(id);
      },
      locationsAt: (id: string, dpIds: readonly string[]) => {
        readCount += 1;
        return contentMap.locationsAt(id, dpIds);
      },
    };
    const sources = new PullSources({
      hierarchy,
      contentMap: counting,
      siteCode: 'PS1',
      siteAddress,
    });
    const look = sources.look();
    for (const dp of dps) {
      assert.deepEqual(
        await look.of(dp, [contentId]),
        await new PullSources({ hierarchy, contentMap, siteCode: 'PS1', siteAddress }).of(dp, [
          contentId,
        ]),
      );
    }
    assert.equal(readCount, 1);
  });

  it('says that this site does not hold the version, as push does', async () => {
    const dp = await addPullDp('P1', ['S1']);
    const job = testJob({ packageId, dpId: 'P1', sourceVersion: 3 });
    const run = notification.notify({ job, dp, signal });
    await assert.rejects(run, { code: 'CONTENT_NOT_HELD' });
  });
});
