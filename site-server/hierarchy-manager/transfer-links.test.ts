import assert from 'node:assert/strict';
import type { TransferLink } from '../../shared/domain/transfer-link.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { DistributionPointCommands } from '../admin-service/distribution-point-commands.ts';
import { SiteCommands } from '../admin-service/site-commands.ts';
import { TestHierarchy } from '../distribution-manager/testing/test-hierarchy.ts';
import type { OwnSite } from './site-directory.ts';
import { TransferLinks } from './transfer-links.ts';

const parent = { siteCode: 'CS1', address: 'CS1:8530' };
const sites: readonly OwnSite[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent },
  { siteCode: 'PS2', kind: 'primary', parent },
];
const settings = { address: 'dp:8531', kind: 'standard', description: '' } as const;
const limit = { kind: 'rate', bytesPerSecond: 20_000_000 } as const;

describe('Links (PTM-6, ADM-3)', () => {
  let hierarchy: TestHierarchy;
  let points: DistributionPointCommands;
  let links: TransferLinks;

  beforeEach(async () => {
    hierarchy = await TestHierarchy.open(sites);
    const { site } = hierarchy.of('CS1');
    points = new DistributionPointCommands(site);
    for (const [dpId, siteCode] of [
      ['PS1DP1', 'PS1'],
      ['PS1DP2', 'PS1'],
      ['PS2DP1', 'PS2'],
    ] as const) {
      await points.add({ dpId, ...settings }, siteCode);
    }
    const pull = { sources: [], allowFallback: true, packagesMax: 5 };
    await points.add({ dpId: 'PS1DP3', ...settings, kind: 'pull', pull }, 'PS1');
    await hierarchy.rest();
    links = new TransferLinks(site, { linkCountMax: 3 });
  });

  afterEach(() => hierarchy[Symbol.asyncDispose]());

  it('are made, changed and deleted; the site is that of their DPs', async () => {
    const made = await links.set({
      ...{ linkName: 'line', dpIds: ['PS1DP1', 'PS1DP1'], toSiteCodes: ['PS2'] },
      controls: { limit },
    });
    const expected: TransferLink = {
      ...{ linkName: 'line', siteCode: 'PS1', description: '' },
      ...{ dpIds: ['PS1DP1'], toSiteCodes: ['PS2'], controls: { limit } },
    };
    assert.deepEqual(made, expected);
    await links.set({ linkName: 'line', description: 'Rented' });
    await links.set({ linkName: 'line', dpIds: ['PS1DP2'], controls: { limit: 'none' } });
    const changed = { ...expected, description: 'Rented', dpIds: ['PS1DP2'], controls: {} };
    assert.deepEqual(await all(), [changed]);
    assert.deepEqual(await links.delete('line'), changed);
    assert.deepEqual(await all(), []);
    await assert.rejects(links.delete('line'), { code: 'LINK_UNKNOWN' });
  });

  it('of a site without DPs are of the site that is asked', async () => {
    const { siteCode } = await links.set({ linkName: 'line', toSiteCodes: ['PS1', 'PS2'] });
    assert.equal(siteCode, 'CS1');
  });

  for (const [what, patch, expected] of [
    ['nothing in it', { description: 'x' }, /at least one distribution point.*nothing in it/],
    ['a DP of another site', { dpIds: ['PS1DP1', 'PS2DP1'] }, /of site PS1.*PS2DP1 of site PS2/],
    ['a DP of another site than it is of', { siteCode: 'PS2', dpIds: ['PS1DP1'] }, /of site PS2/],
    [
      'a pull DP',
      { dpIds: ['PS1DP3'] },
      /standard distribution points, got PS1DP3, a pull .*\. .*PS1DP3 --limit"/,
    ],
    ['an unknown DP', { dpIds: ['NOPE'] }, /There is no distribution point NOPE/],
    ['an unknown site', { toSiteCodes: ['XXX'] }, /There is no site XXX/],
    ['an unknown site to send from', { siteCode: 'XXX', toSiteCodes: ['PS2'] }, /no site XXX/],
    ['the way to itself', { siteCode: 'PS1', toSiteCodes: ['PS1'] }, /other sites than PS1/],
    [
      'a DP of another link',
      { dpIds: ['PS1DP2'] },
      /in no other link.*PS1DP2, which is in link other/,
    ],
    [
      'a way of another link',
      { siteCode: 'PS1', toSiteCodes: ['PS2'] },
      /in no other link.*the way from PS1 to PS2, which is in link other/,
    ],
  ] as const) {
    it(`are refused with ${what}`, async () => {
      const other = { linkName: 'other', dpIds: ['PS1DP2'], toSiteCodes: ['PS2'] };
      await links.set(other);
      await assert.rejects(links.set({ linkName: 'line', ...patch }), expected);
      assert.deepEqual(
        (await all()).map(({ linkName }) => linkName),
        ['other'],
      );
    });
  }

  it('may have the way between the same sites in the other direction', async () => {
    await links.set({ linkName: 'there', siteCode: 'PS1', toSiteCodes: ['PS2'] });
    await links.set({ linkName: 'back', siteCode: 'PS2', toSiteCodes: ['PS1'] });
    await links.set({ linkName: 'down', toSiteCodes: ['PS2'] });
    await assert.rejects(links.set({ linkName: 'more', toSiteCodes: ['PS1'] }), /at most 3 links/);
    assert.equal((await all()).length, 3);
  });

  it('lose what is deleted, and go with the last of it', async () => {
    await links.set({ linkName: 'line', dpIds: ['PS1DP1'], toSiteCodes: ['PS2'] });
    await links.set({ linkName: 'of-ps2', dpIds: ['PS2DP1'], toSiteCodes: ['PS1'] });
    await links.set({ linkName: 'single', dpIds: ['PS1DP2'] });
    await points.delete('PS1DP1', 'waybill://admin/full/alice');
    await points.delete('PS1DP2', 'waybill://admin/full/alice');
    assert.deepEqual(
      (await all()).map(({ linkName, dpIds }) => [linkName, dpIds]),
      [
        ['line', []],
        ['of-ps2', ['PS2DP1']],
      ],
    );
    await new SiteCommands(hierarchy.of('CS1').site).delete('PS2', {
      withPackages: true,
      deletedBy: 'waybill://admin/full/alice',
    });
    assert.deepEqual(await all(), []);
  });

  it('lose a DP that its own site deletes', async () => {
    const { site } = hierarchy.of('PS1');
    const atPs1 = new TransferLinks(site);
    await atPs1.set({ linkName: 'line', dpIds: ['PS1DP1', 'PS1DP2'] });
    await site.hierarchy.delete('PS1DP1', { deletedBy: 'waybill://admin/full/alice' });
    const row = await hierarchy.of('PS1').machine.store.records(keySpaces.links).get('line');
    assert.deepEqual(row?.dpIds, ['PS1DP2']);
  });

  it('keep their DPs standard ones', async () => {
    await links.set({ linkName: 'line', dpIds: ['PS1DP1'] });
    const pull = { sources: [], allowFallback: true, packagesMax: 5 };
    const expected = /standard, as long as it is in link line.*pull/;
    await assert.rejects(points.set({ dpId: 'PS1DP1', kind: 'pull', pull }), expected);
  });

  async function all(): Promise<TransferLink[]> {
    const found: TransferLink[] = [];
    for await (const link of links.list()) found.push(link);
    return found;
  }
});
