import assert from 'node:assert/strict';
import type { PackageStatus } from '../../shared/domain/package-status.ts';
import type { SendRequest } from '../../shared/domain/send-request.ts';
import type { StatusMessage } from '../../shared/domain/status-message.ts';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import type { Package } from '../../shared/rpc/generated/waybill/v1/Package.ts';
import type { PackageStatus as PackageStatusMessage } from '../../shared/rpc/generated/waybill/v1/PackageStatus.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import type { TestHierarchy } from '../distribution-manager/testing/test-hierarchy.ts';
import type { TestSite } from '../distribution-manager/testing/test-site.ts';
import { SiteCommands } from './site-commands.ts';
import { conversationOf } from './testing/admin-conversation.ts';
import { AskedHierarchy, everything } from './testing/asked-hierarchy.ts';
import { all, until } from './testing/quiet-parts.ts';

describe('Admin service of a hierarchy (ROLE-4)', () => {
  let asked: AskedHierarchy;
  let hierarchy: TestHierarchy;
  let directory: TemporaryDirectory;
  let cs1: TestSite;
  let ps1: TestSite;
  let atTop: Conversation<'Admin'>;
  let atPs1: Conversation<'Admin'>;
  let context: CallContext;
  let packageId: string;

  beforeEach(async () => {
    asked = await AskedHierarchy.open();
    ({ hierarchy, directory, cs1, ps1, atTop, atPs1, context, packageId } = asked);
  });

  afterEach(() => asked[Symbol.asyncDispose]());

  it('shows a package of another site as its source site has it, and what is here', async () => {
    const seen = await atPs1.getPackage({ packageId }, context);
    assert.equal(seen.sourceSiteCode, 'CS1');
    assert.deepEqual([seen.sourceVersion, seen.storedVersion], [1, 0]);
    assert.equal(seen.state, 'PACKAGE_STATE_PUBLISHED');
    assert.equal(seen.fileCount, 1);
    const targets = { packageId, dpIds: [], allDps: true, siteCodes: [], groupNames: [] };
    assert.deepEqual((await atTop.distributePackage(targets, context)).dpIds, ['PS1DP1', 'PS2DP1']);
    await hierarchy.settled();
    await hierarchy.replicateAll();
    await hierarchy.settled();
    const waiting = await atPs1.getPackage({ packageId }, context);
    assert.equal(waiting.state, 'PACKAGE_STATE_PUBLISHED', 'it is, at its source site');
    assert.equal(waiting.reason, 'content has not arrived from site CS1 yet');
    await hierarchy.rest();
    const stored = await atPs1.getPackage({ packageId }, context);
    assert.equal(stored.storedVersion, 1);
    const { counts } = await atTop.getPackage({ packageId }, context);
    assert.deepEqual(counts, { targeted: 2, installed: 2, retrying: 0, failed: 0 });
  });

  it('waits for an update of another site until that has handled it (PKG-5)', async () => {
    const watch = atPs1.watchPackage({ packageId }, context)[Symbol.asyncIterator]();
    const accepted = await atPs1.updatePackage({ packageId }, context);
    assert.deepEqual([accepted.acceptedRequestCount, accepted.handledRequestCount], [1, 0]);
    const handled = until<Package>(watch, ({ handledRequestCount }) => handledRequestCount === 1);
    await hierarchy.rest();
    assert.equal((await handled).sourceUnchanged, true);
  });

  it('says at once that a package of another site is being deleted, and when it is gone', async () => {
    const refusal = { code: 'SITE_HAS_NO_SAY', message: /is of site CS1; ask that one/ };
    await assert.rejects(async () => atPs1.deletePackage({ packageId }, context), refusal);
    const ofPs1 = await ps1.createPackage('v1');
    await hierarchy.rest();
    const watch = atTop.watchPackage({ packageId: ofPs1 }, context)[Symbol.asyncIterator]();
    const accepted = await atTop.deletePackage({ packageId: ofPs1 }, context);
    assert.equal(accepted.state, 'PACKAGE_STATE_DELETING');
    const gone = until<Package>(watch, ({ state }) => state === 'PACKAGE_STATE_DELETED');
    await hierarchy.rest();
    await gone;
  });

  it('counts the packages of DPs of other sites: what they serve, or are to have (ADM-3)', async () => {
    const countsAt = async (site: Conversation<'Admin'>) => {
      const points = await all(site.listDistributionPoints({ siteCode: '' }, context));
      return points.map(({ dpId, packageCount }) => [dpId, packageCount]);
    };
    await atTop.distributePackage(
      { packageId, dpIds: ['PS2DP1'], allDps: false, siteCodes: [], groupNames: [] },
      context,
    );
    const before = await countsAt(atTop);
    assert.deepEqual(before, [
      ['PS1DP1', 0],
      ['PS2DP1', 0],
    ]);
    await hierarchy.rest();
    for (const site of [atTop, atPs1]) {
      assert.deepEqual((await countsAt(site))[1], ['PS2DP1', 1]);
    }
  });

  it('watches status of DPs of other sites, and filters by site (REP-8)', async () => {
    const filter = { ...everything, packageId };
    const watch = atTop.watchPackageStatus(filter, context)[Symbol.asyncIterator]();
    const isThere = ({ dpId, state }: PackageStatusMessage) =>
      dpId === 'PS2DP1' && state === 'PACKAGE_STATUS_STATE_INSTALLED';
    const installed = until<PackageStatusMessage>(watch, isThere);
    await atTop.distributePackage(
      { packageId, dpIds: [], allDps: true, siteCodes: [], groupNames: [] },
      context,
    );
    await hierarchy.rest();
    assert.equal((await installed).siteCode, 'PS2');
    const rows = await all(atTop.listPackageStatus(everything, context));
    assert.deepEqual(
      rows.map(({ siteCode, dpId }) => `${siteCode}/${dpId}`),
      ['CS1/', 'PS1/', 'PS1/PS1DP1', 'PS2/', 'PS2/PS2DP1'],
    );
    const ofPs2 = await all(atTop.listPackageStatus({ ...everything, siteCode: 'PS2' }, context));
    assert.deepEqual(
      ofPs2.map(({ dpId }) => dpId),
      ['', 'PS2DP1'],
    );
    await atTop.removePackage(
      { packageId, dpIds: ['PS2DP1'], allDps: false, siteCodes: [], groupNames: [] },
      context,
    );
    const removed = until<PackageStatusMessage>(
      watch,
      ({ dpId, state }) => dpId === 'PS2DP1' && state === 'PACKAGE_STATUS_STATE_REMOVED',
    );
    await hierarchy.rest();
    assert.equal((await removed).siteCode, 'PS2');
  });

  it('shows what was asked of a site that has not answered, and counts only targets (REP-8)', async () => {
    let connected = false;
    const link = { reason: '', changesBehind: 1, behindMs: 1, heardAtMs: 0 };
    let askedCount = 0;
    const neighbours = async () => {
      askedCount += 1;
      return [{ siteCode: 'PS2', connected, ...link }];
    };
    const replication = { neighbours };
    const admin = await conversationOf(cs1, directory, { replication });
    const filter = { ...everything, packageId, dpId: 'PS2DP1' };
    const watch = admin.watchPackageStatus(filter, context)[Symbol.asyncIterator]();
    const targets = { packageId, dpIds: ['PS2DP1'], allDps: false, siteCodes: [], groupNames: [] };
    const shown = async () =>
      (await all(admin.listPackageStatus(filter, context))).map((row) => [
        ...[row.siteCode, row.state, row.installedVersion, row.targetVersion, row.reason],
      ]);
    const first = watch.next();
    await admin.distributePackage(targets, context);
    const pending = 'PACKAGE_STATUS_STATE_INSTALL_PENDING';
    assert.equal((await first).value?.isAwaited, true);
    assert.deepEqual(await shown(), [['PS2', pending, 0, 1, 'site PS2 is not connected']]);
    connected = true;
    const silent = 'site PS2 has not said anything of it yet';
    assert.deepEqual(await shown(), [['PS2', pending, 0, 1, silent]]);
    const second = await cs1.createPackage('v2');
    await admin.distributePackage({ ...targets, packageId: second }, context);
    askedCount = 0;
    const open = await all(admin.listPackageStatus({ ...filter, packageId: '' }, context));
    assert.deepEqual([open.length, askedCount], [2, 1], 'neighbours are asked once a reading');
    await hierarchy.rest();
    assert.deepEqual(await shown(), [['PS2', 'PACKAGE_STATUS_STATE_INSTALLED', 1, 1, '']]);
    await admin.removePackage(targets, context);
    const removal = 'PACKAGE_STATUS_STATE_REMOVAL_PENDING';
    assert.deepEqual(await shown(), [['PS2', removal, 1, 0, silent]]);
    const { counts } = await admin.getPackage({ packageId }, context);
    assert.deepEqual([counts?.targeted, counts?.installed], [0, 0]);
    await until<PackageStatusMessage>(watch, ({ state }) => state === removal);
    await hierarchy.rest();
    assert.deepEqual(await shown(), []);
  });

  it('sets and resets component settings, here and for another site (ADM-3)', async () => {
    const changes = [
      { name: 'packages-at-once', value: '5' },
      { name: 'job-retry-longest-delay', value: '10m' },
    ];
    const { settings } = await atTop.setSettings({ siteCode: 'PS1', changes }, context);
    assert.deepEqual(
      settings?.map(({ siteCode, setValue, configuredValue }) => [
        ...[siteCode, setValue, configuredValue],
      ]),
      [
        ['PS1', '5', ''],
        ['PS1', '10m', ''],
      ],
      'what PS1 is configured to, only PS1 knows',
    );
    await hierarchy.rest();
    const at = await all(atPs1.listSettings({}, context));
    const [first] = at;
    assert.deepEqual([first?.name, first?.setValue], ['packages-at-once', '5']);
    assert.equal(first?.configuredValue, '3');
    const reset = [{ name: 'packages-at-once', value: '' }];
    await atPs1.setSettings({ siteCode: '', changes: reset }, context);
    const [again] = await all(atPs1.listSettings({}, context));
    assert.equal(again?.setValue, '');
    await new SiteCommands(cs1).delete('PS1', { deletedBy: 'waybill://admin/full/alice' });
    const rows = cs1.machine.store.records(keySpaces.componentSettings);
    for await (const [key] of rows.list()) assert.fail(`${key} outlives its site`);
  });

  for (const [what, changes, expected] of [
    [
      'a slip in a name',
      [['package-at-once', '5']],
      /name of a setting, got "package-at-once"\. Did you mean packages-at-once\?/,
    ],
    [
      'a name there is not',
      [['xyz', '5']],
      /the name of a setting, got "xyz"\. "waybill settings" shows/,
    ],
    [
      'a number out of range',
      [['packages-at-once', '51']],
      /a whole number from 1 to 50, got "51"/,
    ],
    [
      'a time without unit',
      [['pull-poll-delay', '5']],
      /pull-poll-delay to be a time from 1s to 7d, such as 30s, got "5"/,
    ],
    ['nothing', [], /something to set/],
    [
      'a setting twice',
      [
        ['sends-at-once', '1'],
        ['sends-at-once', '2'],
      ],
      /each setting once/,
    ],
    [
      'a first delay above the longest',
      [
        ['send-retry-first-delay', '1h'],
        ['send-retry-longest-delay', '1m'],
      ],
      /first-delay not above send-retry-longest-delay, got send-retry-first-delay=1h and send-retry-longest-delay=1m/,
    ],
    ['too many', Array.from({ length: 100 }, () => ['sends-at-once', '1']), /at most/],
  ] as const) {
    it(`refuses settings with ${what}, and changes none`, async () => {
      const wanted = changes.map(([name = '', value = '']) => ({ name, value }));
      const some = [{ name: 'despools-at-once', value: '2' }, ...wanted];
      const request = { siteCode: 'PS1', changes: wanted.length > 0 ? some : [] };
      await assert.rejects(async () => atTop.setSettings(request, context), expected);
      const rows = cs1.machine.store.records(keySpaces.componentSettings);
      for await (const [key] of rows.list()) assert.fail(`${key} was written`);
    });
  }

  it('refuses settings of a site that is not there', async () => {
    const request = { siteCode: 'XXX', changes: [{ name: 'sends-at-once', value: '1' }] };
    await assert.rejects(async () => atTop.setSettings(request, context), { code: 'SITE_UNKNOWN' });
  });

  it('lists failures of the whole hierarchy in the order of packages', async () => {
    const failed = { state: 'install-failed', reason: 'x', changedAtMs: 1 } as const;
    const facts = { installedVersion: 0, targetVersion: 1, jobSerial: 1, verifiedHash: '' };
    const { store } = cs1.machine;
    const statuses = store.records(keySpaces.sitePackageStatus);
    for (const [id, siteCode] of [
      ['AAA00001', 'PS2'],
      [packageId, 'PS1'],
      ['ZZZ00001', 'PS2'],
      [packageId, 'XXX'],
    ] as const) {
      const row: PackageStatus = { packageId: id, dpId: 'X', ...failed, ...facts };
      await store.write([statuses.put(joinKey(id, siteCode, 'X'), row)], { sync: false });
    }
    const rows = await all(atTop.listPackageStatus({ ...everything, failedOnly: true }, context));
    assert.deepEqual(
      rows.map((row) => `${row.packageId}/${row.siteCode}`),
      ['AAA00001/PS2', `${packageId}/PS1`, 'ZZZ00001/PS2'],
      'none of a site that is not there',
    );
  });

  it('merges status messages of other sites by time', async () => {
    const { store } = cs1.machine;
    const messages = store.records(keySpaces.siteStatusMessages);
    for (const serial of [1, 2]) {
      const about = { packageId: '', sourceVersion: 0, dpId: '', insertionStrings: ['x'] };
      const timeMs = cs1.machine.clock.nowMs() + serial * 1_000;
      const row: StatusMessage = { serial, messageId: 2301, siteCode: 'PS2', timeMs, ...about };
      await store.write([messages.put(joinKey('PS2', serial), row)], { sync: false });
    }
    const filter = { packageId: '', dpId: '', sinceMs: '0', limit: 3, messageId: 2301 };
    const severity = 'SEVERITY_UNSPECIFIED';
    const asked = { ...filter, severity, siteCode: '' } as const;
    const listed = await all(atTop.listStatusMessages(asked, context));
    assert.deepEqual(
      listed.map(({ siteCode, serial }) => [siteCode, siteCode === 'PS2' ? serial : 0]),
      [
        ['CS1', 0],
        ['PS2', 1],
        ['PS2', 2],
      ],
    );
    const newest = await all(atTop.listStatusMessages({ ...asked, limit: 1 }, context));
    assert.deepEqual(
      newest.map(({ serial }) => serial),
      [2],
    );
    const own = await all(atTop.listStatusMessages({ ...asked, siteCode: 'CS1' }, context));
    assert.ok(own.every(({ siteCode }) => siteCode === 'CS1') && own.length > 0);
  });

  it('lists DPs of every site, and says whom to ask of one of another (ADM-3)', async () => {
    const points = await all(atTop.listDistributionPoints({ siteCode: '' }, context));
    assert.deepEqual(
      points.map(({ dpId, siteCode, reason }) => [dpId, siteCode, reason]),
      [
        ['PS1DP1', 'PS1', 'see site PS1'],
        ['PS2DP1', 'PS2', 'see site PS2'],
      ],
    );
    assert.equal((await all(atTop.listDistributionPoints({ siteCode: 'PS2' }, context))).length, 1);
    const refusal = /Ask the other site with --site PS2/;
    await assert.rejects(atPs1.checkDistributionPoint({ dpId: 'PS2DP1' }, context), refusal);
    const jobs = { packageId: '', dpId: 'PS2DP1', history: false, limit: 0 };
    await assert.rejects(all(atPs1.listJobs(jobs, context)), refusal);
  });

  it('says of sites where they stand, and how it stands with neighbours', async () => {
    const neighbour = { siteCode: 'PS2', connected: true, reason: '', changesBehind: 3 };
    const replication = {
      neighbours: async () => [{ ...neighbour, behindMs: 40, heardAtMs: 7 }],
    };
    let rotations = 0;
    const siteIdentity = {
      rotate: async () => {
        rotations += 1;
      },
    };
    const admin = await conversationOf(cs1, directory, { replication, siteIdentity });
    const listed = await all(admin.listSites({}, context));
    assert.deepEqual(
      listed.map(({ siteCode, parentSiteCode, distributionPointCount }) => [
        ...[siteCode, parentSiteCode, distributionPointCount],
      ]),
      [
        ['CS1', '', 0],
        ['PS1', 'CS1', 1],
        ['PS2', 'CS1', 1],
      ],
    );
    assert.equal(listed[2]?.replication?.changesBehind, 3);
    assert.equal(listed[1]?.replication, undefined);
    assert.equal((await admin.rotateSigningKey({}, context)).siteCode, 'CS1');
    assert.equal(rotations, 1);
    await assert.rejects(atTop.rotateSigningKey({}, context), { code: 'REQUEST_INVALID' });
    const { kind, parentSiteCode } = await atPs1.getSite({}, context);
    assert.deepEqual([kind, parentSiteCode], ['SITE_KIND_PRIMARY', 'CS1']);
  });

  it('shows send requests, where something is sent (ADM-2)', async () => {
    const request: SendRequest = {
      ...{ requestId: '1CS1', jobId: 'CS1-1', packageId, sourceVersion: 1, baseVersion: 0 },
      ...{ sourceSiteCode: 'CS1', destinationSiteCode: 'PS1', finalSiteCode: 'PS1', priority: 1 },
      file: { fileHash: 'f', fileBytes: 100 },
      ...{ state: 'retrying', reason: 'x', remainingBytes: 40, bytesSent: 60, tryCount: 1 },
      ...{ createdAtMs: 1, startedAtMs: 2, heartbeatAtMs: 3, finishedAtMs: 0, retryAtMs: 9 },
    };
    const list = async function* () {
      yield request;
    };
    const admin = await conversationOf(cs1, directory, { sendRequests: { list, watch: list } });
    const filter = { packageId: '', destinationSiteCode: '', history: false, limit: 0 };
    const [listed] = await all(admin.listSendRequests(filter, context));
    assert.equal(listed?.state, 'SEND_REQUEST_STATE_RETRYING');
    assert.equal(listed.priority, 'PRIORITY_HIGH');
    assert.deepEqual([listed.totalBytes, listed.remainingBytes], [100, 40]);
    assert.equal((await all(admin.watchSendRequests(filter, context))).length, 1);
    assert.deepEqual(await all(atTop.listSendRequests(filter, context)), []);
    const wrong = { ...filter, destinationSiteCode: 'ps1' };
    await assert.rejects(async () => all(admin.listSendRequests(wrong, context)), {
      code: 'REQUEST_INVALID',
    });
  });
});
