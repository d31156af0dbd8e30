import assert from 'node:assert/strict';
import type { SiteDefinition } from '../../shared/domain/site.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import { systemClock } from '../../shared/runtime/clock.ts';
import { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { type OwnSite, SiteDirectory } from '../../site-server/hierarchy-manager/site-directory.ts';
import { ChangeCapture } from '../../site-server/replication-manager/change-capture.ts';
import { defaultReplicationConfig } from '../../site-server/replication-manager/replication-config.ts';
import { ReplicationManager } from '../../site-server/replication-manager/replication-manager.ts';
import { StatusManager } from '../../site-server/status-manager/status-manager.ts';
import { TrustCircle } from './trust-circle.ts';

const central: SiteDefinition = {
  ...{ siteCode: 'CAS', kind: 'central-administration' as const, parentSiteCode: '' },
  ...{ address: '', description: '' },
};
const primary: SiteDefinition = {
  ...{ siteCode: 'PS1', kind: 'primary' as const, parentSiteCode: 'CAS' },
  ...{ address: '', description: '' },
};

describe('replication over mutual TLS (REP-1, SEC-1)', () => {
  let circle: TrustCircle;
  let directory: TemporaryDirectory;
  const closing: (() => Promise<void>)[] = [];
  beforeEach(async () => {
    circle = await TrustCircle.create();
    directory = await TemporaryDirectory.create();
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
    await circle[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  async function open(own: OwnSite, credentials: PeerCredentials) {
    const { siteCode } = own;
    const { logger } = circle.log;
    const { store } = await StateStore.open({ directory: directory.join(siteCode), logger });
    const notifier = new ChangeNotifier({ store });
    const clock = systemClock;
    const capture = await ChangeCapture.open({
      ...{ store, notifier, clock, siteCode, isStoreDamaged: false },
    });
    const sites = new SiteDirectory({ store, own });
    await sites.start();
    const manager = await ReplicationManager.open(
      {
        ...{ store, notifier, capture, clock, logger, credentials, directory: sites },
        status: await StatusManager.open({ store, clock, siteCode }),
        auditTrail: { record: () => {} },
        random: Math.random,
      },
      { ...defaultReplicationConfig, retryDelayMs: 10, retryDelayMsMax: 100 },
    );
    closing.push(async () => {
      await manager.stop();
      await store.close();
    });
    return { store, manager };
  }

  function written(store: StateStore, isSo: () => Promise<boolean>): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        isSo().then((so) => so && resolve(), reject);
      };
      store.onWritten(look);
      look();
    });
  }

  async function twoSites(child: PeerCredentials) {
    const credentials = await circle.credentials({ kind: 'site', siteCode: 'CAS' });
    const cas = await open({ siteCode: 'CAS', kind: 'central-administration' }, credentials);
    await cas.manager.start();
    const { address } = await circle.serve('Replication', cas.manager.conversation(), {
      credentials,
    });
    const sites = cas.store.records(keySpaces.sites);
    const rows = [central, primary].map((site) => sites.put(site.siteCode, site));
    await cas.store.write(rows, { sync: true });
    const parent = { siteCode: 'CAS', address };
    const ps1 = await open({ siteCode: 'PS1', kind: 'primary', parent }, child);
    return { cas, ps1 };
  }

  it('brings rows both ways, long ones too', async () => {
    const { cas, ps1 } = await twoSites(
      await circle.credentials({ kind: 'site', siteCode: 'PS1' }),
    );
    const connected = new Promise<void>((resolve) => ps1.manager.onConnected('CAS', resolve));
    await ps1.manager.start();
    await connected;
    const down = ps1.store.records(keySpaces.sites);
    await written(ps1.store, async () => (await down.get('CAS')) !== undefined);
    const texts = { name: 'x', version: '', manufacturer: '', language: '', description: '' };
    const programs = Array.from({ length: 80 }, (_, index) => {
      return { name: `p${index}`, commandLine: 'c'.repeat(8_191) };
    });
    const properties = { ...texts, priority: 2 as const, programs, iconName: '', iconBase64: '' };
    const changes = ['PS100001', 'PS100002', 'PS100003'].map((packageId) =>
      ps1.store.records(keySpaces.packageDefinitions).put(packageId, {
        ...{ packageId, sourceSiteCode: 'PS1', properties, directories: ['/a'] },
      }),
    );
    await ps1.store.write(changes, { sync: false });
    const up = cas.store.records(keySpaces.packageDefinitions);
    await written(cas.store, async () => (await up.get('PS100003')) !== undefined);
    assert.deepEqual((await up.get('PS100001'))?.properties, properties);
    assert.deepEqual(circle.audit, []);
  });

  it('refuses a site that says it is another one than its certificate does', async () => {
    const { cas, ps1 } = await twoSites(
      await circle.credentials({ kind: 'site', siteCode: 'PS2' }),
    );
    await ps1.manager.start();
    const { result, caller } = await circle.audited('/waybill.v1.Replication/Synchronise');
    assert.deepEqual([result, caller], ['PEER_IDENTITY_MISMATCH', 'waybill://site/PS2']);
    assert.equal(await ps1.store.records(keySpaces.sites).get('CAS'), undefined);
    assert.equal((await cas.manager.neighbours())[0]?.connected, false);
  });
});
