import assert from 'node:assert/strict';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import type { TransferControls } from '../../shared/domain/transfer-controls.ts';
import type { TransferLink } from '../../shared/domain/transfer-link.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { TransferControlRows } from './transfer-control-rows.ts';

const slow: TransferControls = { limit: { kind: 'rate', bytesPerSecond: 1024 } };

const link: TransferLink = {
  linkName: 'L',
  description: '',
  siteCode: 'PS1',
  dpIds: ['DP1', 'DP2'],
  toSiteCodes: ['PS2'],
  controls: slow,
};

describe('TransferControlRows (PTM-6, REP-4)', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let told: Map<string, TransferControls>;
  let rows: TransferControlRows;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.path, logger }));
    told = new Map();
    const arbiter = {
      setControls: (name: string, controls: TransferControls) => told.set(name, controls),
    };
    rows = new TransferControlRows({ store, arbiter: arbiter as never, siteCode: 'PS1' });
  });

  afterEach(async () => {
    await rows.stop();
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  const points = () => store.records(keySpaces.distributionPoints);
  const routes = () => store.records(keySpaces.routes);
  const links = () => store.records(keySpaces.links);

  it('tells at the start what was set before, of this site only', async () => {
    await store.write(
      [
        points().put('DP1', { dpId: 'DP1', controls: slow } as DistributionPoint),
        routes().put(joinKey('PS1', 'PS2'), route('PS1', slow)),
        routes().put(joinKey('PS3', 'PS2'), route('PS3', slow)),
        links().put('L', link),
        links().put('M', { ...link, linkName: 'M', siteCode: 'PS3' }),
      ],
      { sync: false },
    );
    await rows.start();
    assert.deepEqual(told.get('dp/DP1'), slow);
    assert.deepEqual(told.get('route/PS2'), slow);
    assert.deepEqual(told.get('link/L'), slow);
    assert.deepEqual(told.get('link/M'), {});
    assert.deepEqual(rows.passagesToDp('DP1'), ['dp/DP1', 'link/L']);
    assert.deepEqual(rows.passagesToDp('DP3'), ['dp/DP3']);
    assert.deepEqual(rows.passagesToSite('PS2'), ['route/PS2', 'link/L']);
  });

  it('knows the links of each DP as they change', async () => {
    await rows.start();
    const put = (changes: Partial<TransferLink>) => {
      const row = { ...link, ...changes };
      return store.write([links().put(row.linkName, row)], { sync: false });
    };
    const linksOf = (...dpIds: string[]) =>
      dpIds.map((dpId) => rows.passagesToDp(dpId).slice(1).join(' '));
    await put({ dpIds: ['DP1', 'DP2'] });
    await put({ linkName: 'M', dpIds: ['DP2', 'DP3'] });
    assert.deepEqual(linksOf('DP1', 'DP2', 'DP3'), ['link/L', 'link/L link/M', 'link/M']);
    await put({ dpIds: ['DP3'] });
    assert.deepEqual(linksOf('DP1', 'DP2', 'DP3'), ['', 'link/M', 'link/M link/L']);
    await put({ linkName: 'M', dpIds: ['DP1'], siteCode: 'PS3' });
    assert.deepEqual(linksOf('DP1', 'DP2', 'DP3'), ['', '', 'link/L'], 'of another site');
    await store.write([links().delete('L')], { sync: false });
    assert.deepEqual(linksOf('DP3'), ['']);
  });

  it('tells each change, and that there was one', async () => {
    await rows.start();
    let newsCount = 0;
    const end = rows.onChanged(() => {
      newsCount += 1;
    });
    await store.write([links().put('L', link)], { sync: false });
    assert.deepEqual(told.get('link/L'), slow);
    await store.write([points().put('DP1', { dpId: 'DP1', controls: slow } as DistributionPoint)], {
      sync: false,
    });
    await store.write([points().delete('DP1'), links().delete('L')], { sync: false });
    assert.deepEqual([told.get('dp/DP1'), told.get('link/L')], [{}, {}]);
    assert.deepEqual(rows.passagesToDp('DP1'), ['dp/DP1']);
    assert.equal(newsCount, 3);
    await store.write([routes().put(joinKey('PS3', 'PS2'), route('PS3', slow))], { sync: false });
    end();
    await store.write([routes().put(joinKey('PS1', 'PS2'), route('PS1', slow))], { sync: false });
    assert.equal(newsCount, 3, 'routes of others are none of ours');
    assert.deepEqual(told.get('route/PS2'), slow);
  });
});

function route(fromSiteCode: string, controls: TransferControls) {
  return { fromSiteCode, toSiteCode: 'PS2', addresses: [], controls };
}
