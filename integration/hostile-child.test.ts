import assert from 'node:assert/strict';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { pino } from 'pino';
import type { ErrorCode } from '../shared/domain/errors.ts';
import type { SiteIdentity } from '../shared/domain/site.ts';
import type { RpcChannel } from '../shared/rpc/rpc-channel.ts';
import { keySpaces } from '../shared/state-store/key-space.ts';
import { StateStore } from '../shared/state-store/state-store.ts';
import type { Administrator } from './administrator.ts';
import { peakMemoryBytes, staysResponsive } from './bounds.ts';
import { HierarchyNetwork, type SiteOfTest } from './hierarchy-network.ts';
import { type ForgedRow, floodOf, HostileChild, type Message } from './hostile-child.ts';
import { StolenSite } from './hostile-neighbour.ts';
import type { AdminChannel } from './network.ts';
import { writeFiles } from './source-files.ts';
import { byScale } from './test-scale.ts';

const mebibyte = 1024 * 1024;
const memoryBytesMax = 400 * mebibyte;
const hourMs = 3_600_000;
/** How long a site may say nothing, in this test. */
const stallMs = 2_000;
/** Messages of rows that a site sends before it waits for an answer. */
const unacknowledgedMax = 4;
/** For how long what was sent is read. */
const readMs = 300;
const { messageCount, streamCount, endlessMs, timeoutMs } = byScale({
  short: { messageCount: 50_000, streamCount: 50, endlessMs: 2_000, timeoutMs: 120_000 },
  long: { messageCount: 500_000, streamCount: 90, endlessMs: 60_000, timeoutMs: 600_000 },
});
const deadlineMs = 20_000;

const sites: readonly SiteOfTest[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent: 'CS1', standard: ['PS1DP1'] },
  { siteCode: 'PS2', kind: 'primary', parent: 'CS1' },
];
const stolen = 'PS2';

describe('a parent takes of a child that somebody has taken over (REP-1, SEC-1, SEC-4)', function () {
  this.timeout(timeoutMs);
  let network: HierarchyNetwork;
  let admin: AdminChannel;
  let central: Administrator;
  let primary: Administrator;
  let thief: StolenSite;
  let channel: RpcChannel<'Replication'>;
  let ofCentral: string;
  let ofStolen: string;
  /** What site PS2 says of itself. */
  let identity: SiteIdentity;

  before(async () => {
    const replication = { stallMs, aliveMs: 500, retryDelayMs: 20, retryDelayMsMax: 500 };
    network = await HierarchyNetwork.start({ sites, site: { replication } });
    admin = await network.admin('CS1');
    central = await network.administrator('CS1');
    primary = await network.administrator('PS1');
    ofCentral = await create(central, 'central');
    await primary.hears(ofCentral, 1);
    ofStolen = await create(await network.administrator(stolen), 'stolen');
    await primary.hears(ofStolen, 1);
    await network.agent(stolen).kill();
    thief = await StolenSite.of(network, stolen);
    identity = await identityOfStolen();
    channel = thief.replicationWith('CS1');
  });

  after(async () => {
    channel?.close();
    await network?.stop();
  });

  async function create(administrator: Administrator, name: string): Promise<string> {
    const source = join(network.directory, `source-${name}`);
    await writeFiles(source, { 'setup.exe': `setup ${name}` });
    return administrator.create(source);
  }

  async function identityOfStolen(): Promise<SiteIdentity> {
    const directory = join(network.dataDirectoryOf(stolen), 'state-store');
    const { store } = await StateStore.open({ directory, logger: pino({ enabled: false }) });
    const row = await store.records(keySpaces.siteIdentities).get(stolen);
    await store.close();
    assert.ok(row);
    return row;
  }

  /** All rows of the parent that administrators see. */
  async function rowsOfParent(): Promise<unknown> {
    const list = <T>(rows: AsyncIterable<T>) => collected(rows);
    return {
      sites: (await central.sites()).map(({ replication: _, ...site }) => site),
      packages: await central.packages(),
      routes: await list(admin.serverStream('listRoutes', {}, { deadlineMs })),
      dps: await list(admin.serverStream('listDistributionPoints', {}, { deadlineMs })),
      statuses: await list(admin.serverStream('listPackageStatus', {}, { deadlineMs })),
    };
  }

  async function audited(code: string): Promise<number> {
    const records = await central.auditRecords();
    return records.filter(({ caller, method, result }) => {
      return (
        caller === `waybill://site/${stolen}` && method.endsWith('Synchronise') && result === code
      );
    }).length;
  }

  const joined = (claims = {}) => HostileChild.join(channel, stolen, claims);

  /** Refused with this code, audited; nothing of it was applied. */
  async function isRefused(code: ErrorCode, attack: () => Promise<ErrorCode>): Promise<void> {
    // A stream that is well ends what was refused before.
    const well = await joined();
    await well.leave();
    const [rows, count] = [await rowsOfParent(), await audited(code)];
    assert.equal(await staysResponsive(admin, attack()), code);
    assert.ok((await audited(code)) > count, `${code} is in the audit trail`);
    assert.deepEqual(await rowsOfParent(), rows, 'nothing of it was applied');
  }

  async function isRefusedAfterHello(
    code: ErrorCode,
    messages: (child: HostileChild) => readonly Message[],
  ): Promise<void> {
    await isRefused(code, async () => {
      const child = await joined();
      return child.refusalOf(...messages(child));
    });
  }

  const rowsAreRefused = (code: ErrorCode, ...rows: ForgedRow[]) =>
    isRefusedAfterHello(code, (child) => [child.changes(rows)]);

  const route = (aheadMs = 0): ForgedRow => ({
    ...{ table: 'routes', key: 'PS2/PS1', aheadMs },
    value: { fromSiteCode: 'PS2', toSiteCode: 'PS1', addresses: ['127.0.0.1:9'] },
  });

  it('no row that is not its own, nor a right one beside it', async () => {
    const content = {
      ...{ packageId: ofCentral, siteCode: 'PS1', state: 'stored', storedVersion: 9 },
      ...{ storedHash: '', reason: '', refusedJobId: '', needsFull: false, changedAtMs: 1 },
    };
    const code = 'REPLICATION_ROW_REFUSED';
    await rowsAreRefused(code, route(), {
      ...{ table: 'site-contents', key: `${ofCentral}/PS1`, value: content },
    });
    await rowsAreRefused(code, route(), { table: 'published-packages', key: ofCentral });
    await rowsAreRefused(code, { table: 'site-identities', key: 'PS1' });
    await rowsAreRefused(code, { table: 'passwords', key: 'admin', value: 'secret' });
  });

  it('no identity with a signature that is not by its certificate', async () => {
    const forged = (row: Partial<SiteIdentity>): ForgedRow => ({
      ...{ table: 'site-identities', key: row.siteCode ?? stolen, value: { ...identity, ...row } },
    });
    const code = 'REPLICATION_ROW_REFUSED';
    await rowsAreRefused(code, forged({ address: 'elsewhere.test:8530' }));
    await rowsAreRefused(code, forged({ signature: Buffer.alloc(70, 7).toString('base64') }));
    await rowsAreRefused(code, forged({ siteCode: 'CS1' }));
    await rowsAreRefused(code, forged({ signingKeys: [] }));
  });

  it('no gap, no change from the future, no row that is too long', async () => {
    await isRefusedAfterHello('REPLICATION_GAP', (child) => [
      child.changes([route()], { after: child.known.sequence + 1 }),
    ]);
    await rowsAreRefused('CLOCK_AHEAD', route(hourMs));
    const long = { ...route(), value: `{"a":"${'x'.repeat(mebibyte + 60 * 1024)}"}` };
    await rowsAreRefused('REPLICATION_ROW_REFUSED', long);
  });

  it('no change of another site, its own included', async () => {
    const code = 'REPLICATION_ORIGIN_REFUSED';
    await isRefusedAfterHello(code, (child) => [child.changes([route()], { origin: 'PS1' })]);
    await isRefused(code, async () => {
      const child = await joined();
      const after = child.knownOf('CS1').sequence;
      return child.refusalOf(child.changes([route()], { origin: 'CS1', after }));
    });
    const messages = { originSiteCode: 'PS1', after: 0, through: 1, messages: [] };
    await isRefusedAfterHello(code, () => [{ messages }]);
  });

  it('no claim to be another site, of another kind, with another parent, of another program', async () => {
    const greeted = (claims: object) => async () =>
      (await HostileChild.greet(channel, stolen, claims)).refusal();
    await isRefused('PEER_IDENTITY_MISMATCH', greeted({ siteCode: 'PS1' }));
    await isRefused('PEER_IDENTITY_MISMATCH', greeted({ siteCode: 'CS1' }));
    const central = { kind: 'SITE_KIND_CENTRAL_ADMINISTRATION', parentSiteCode: '' };
    await isRefused('SITE_PARENT_MISMATCH', greeted(central));
    await isRefused('SITE_PARENT_MISMATCH', greeted({ kind: 'SITE_KIND_SECONDARY' }));
    await isRefused('SITE_PARENT_MISMATCH', greeted({ parentSiteCode: 'PS1' }));
    await isRefused('REPLICATION_LAYOUT', greeted({ layout: 99 }));
    const cursors = Array.from({ length: 3_000 }, () => ({ originSiteCode: 'PS1' }));
    await isRefused('MESSAGE_INVALID', greeted({ cursors }));
  });

  it('no numbers that leave none for those to come', async () => {
    const sequence = Number.MAX_SAFE_INTEGER - 1;
    const claims = { cursors: [{ originSiteCode: 'CS1', sequence }] };
    await isRefused('MESSAGE_INVALID', async () => {
      return (await HostileChild.greet(channel, stolen, claims)).refusal();
    });
    await isRefusedAfterHello('MESSAGE_INVALID', (child) => [
      child.changes([], { through: sequence }),
    ]);
    await isRefusedAfterHello('MESSAGE_INVALID', (child) => {
      const after = child.known.messageSerial;
      return [{ messages: { originSiteCode: stolen, after, through: sequence, messages: [] } }];
    });
    const packageId = await create(central, 'after-numbers');
    await primary.hears(packageId, 1);
  });

  it('a flood of tiny messages, without being slowed by it', async () => {
    const target = { address: network.agent('CS1').address, credentials: thief.credentials };
    const [hello, message] = [HostileChild.helloOf(stolen), { alive: { nowMs: 1 } }];
    const child = await joined();
    await child.leave();
    const before = await audited('REPLICATION_GAP');
    const last = child.changes([], { after: 0, through: 1 });
    const flood = floodOf(target, { hello, message, count: messageCount, last });
    assert.equal(await staysResponsive(admin, flood), `${status.FAILED_PRECONDITION}`);
    assert.equal(await audited('REPLICATION_GAP'), before + 1, 'all of it was read');
    await isBounded();
  });

  it('as much as it can write, of one that neither stops nor reads nor acknowledges', async () => {
    // It says that it has nothing, so that there is something to send to it.
    const child = await joined({ cursors: [] });
    const { sequence } = child.known;
    const rows = Array.from({ length: 30 }, (_, index) => statusOf(`PS2DP${index}`));
    const endless = async () => {
      const untilMs = performance.now() + endlessMs;
      for (let after = sequence; performance.now() < untilMs; after += rows.length) {
        await child.call.write(child.changes(rows, { after }));
      }
    };
    await staysResponsive(admin, Promise.all([endless(), renameOften()]));
    assert.ok((await unacknowledgedOf(child)) <= unacknowledgedMax);
    await isBounded();
  });

  const statusOf = (dpId: string): ForgedRow => ({
    ...{ table: 'site-package-status', key: `${ofStolen}/${stolen}/${dpId}` },
    value: {
      ...{ packageId: ofStolen, dpId, state: 'install-failed', installedVersion: 0 },
      ...{ targetVersion: 1, reason: 'x'.repeat(30_000), changedAtMs: 1, jobSerial: 1 },
      verifiedHash: '',
    },
  });

  async function renameOften(): Promise<void> {
    for (let round = 1; round <= 50; round++) await central.rename(ofCentral, `Name ${round}`);
  }

  /** How many messages of rows it was sent, which stand in what it has not read yet. */
  async function unacknowledgedOf(child: HostileChild): Promise<number> {
    let count = 0;
    setTimeout(() => child.call.cancel(), readMs);
    try {
      for (;;) if ((await child.call.read())?.changes) count += 1;
    } catch {
      return count;
    }
  }

  it('no streams that say nothing', async () => {
    const silent = Array.from({ length: streamCount }, () => channel.duplex('synchronise', {}));
    const ends = silent.map(async (call) => {
      try {
        return await call.read();
      } catch (error) {
        return (error as { code?: string }).code;
      }
    });
    const child = await joined();
    await child.applied(child.changes([]));
    const codes = await staysResponsive(admin, Promise.all(ends));
    assert.deepEqual(new Set(codes), new Set(['PEER_UNREACHABLE']));
    child[Symbol.dispose]();
    await isBounded();
  });

  async function isBounded(): Promise<void> {
    const memoryBytes = await peakMemoryBytes(network.agent('CS1'));
    assert.ok(memoryBytes < memoryBytesMax, `${memoryBytes} bytes of memory`);
  }

  it('and all of it again, once the site is its own: it catches up, and is heard', async () => {
    await network.agent(stolen).start();
    const own = await network.administrator(stolen);
    await central.rename(ofCentral, 'Named at CS1');
    await own.packageIs(ofCentral, ({ properties }) => properties?.name === 'Named at CS1');
    const packageId = await create(own, 'after-all');
    await primary.hears(packageId, 1);
    await central.sitesAre((known) => {
      const site = known.find(({ siteCode }) => siteCode === stolen);
      return site?.replication?.connected === true && site.replication.reason === '';
    });
  });
});

async function collected<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const row of rows) all.push(row);
  return all;
}
