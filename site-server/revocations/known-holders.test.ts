import assert from 'node:assert/strict';
import { SiteTree } from '../../shared/domain/site-tree.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { testDistributionPoint } from '../../shared/testing/test-distribution-point.ts';
import { KnownHolders } from './known-holders.ts';

describe('holders of certificates of whom a site knows (SEC-3)', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let holders: KnownHolders;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.path, logger }));
    const place = { kind: 'primary', address: '', description: '' } as const;
    holders = new KnownHolders({
      ...{ store, siteCode: 'PS1' },
      sites: {
        tree: new SiteTree([
          { ...place, siteCode: 'CS1', parentSiteCode: '' },
          { ...place, siteCode: 'PS1', parentSiteCode: 'CS1' },
        ]),
      },
      hierarchy: {
        listAll: async function* () {
          yield testDistributionPoint('a:1', 'PS1DP1');
          yield { ...testDistributionPoint('a:1', 'PS2DP1'), siteCode: 'PS2' };
        },
      },
      revocations: {
        list: () => [
          { siteCode: 'CS1', holder: 'dp/GONE', revokedAtMs: 1, reason: '', revokedBy: '' },
          { siteCode: 'CS1', holder: 'admin/bob', revokedAtMs: 1, reason: '', revokedBy: '' },
        ],
      },
    });
  });
  afterEach(async () => {
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  const voucherOf = async (holder: string) => (await holders.find(holder))?.voucher;

  it('are sites and DPs of the hierarchy, with who vouches for them', async () => {
    assert.deepEqual(await voucherOf('site/CS1'), { siteCode: 'CS1' });
    assert.deepEqual(await voucherOf('dp/PS2DP1'), { siteCode: 'PS2' });
    assert.equal(await holders.find('dp/PS1DP9'), undefined);
    assert.equal(await holders.find('admin/eve'), undefined);
  });

  it('are whom it has given a certificate or is to, also deleted ones', async () => {
    const issued = store.records(keySpaces.issuedCertificates);
    const administrators = store.records(keySpaces.administrators);
    const facts = {
      serialNumber: '1',
      issuedAtMs: 1,
      notBeforeMs: 1,
      notAfterMs: 2,
      rootKeyId: '',
    };
    const bob = { identityUri: 'waybill://admin/full/bob', createdAtMs: 1, createdBy: '' };
    await store.write(
      [
        issued.put('leaf/client/pc1/1/1', {
          ...{ kind: 'leaf', holder: 'client/pc1', identityUri: 'waybill://client/pc1', ...facts },
        }),
        issued.put('authority/site/SS9/1/1', {
          ...{ kind: 'authority', holder: 'site/SS9', identityUri: 'waybill://site/SS9', ...facts },
        }),
        administrators.put('bob', { name: 'bob', ...bob, enrolledAtMs: 0, deletedAtMs: 5 }),
      ],
      { sync: false },
    );
    assert.deepEqual(await voucherOf('client/pc1'), { siteCode: 'PS1' });
    assert.deepEqual(await voucherOf('site/SS9'), { siteCode: 'SS9' });
    assert.deepEqual(await voucherOf('admin/bob'), { siteCode: 'PS1' });
  });

  it('are those who were revoked before; who vouches for them is not known', async () => {
    assert.deepEqual(await holders.find('dp/GONE'), { holder: 'dp/GONE', voucher: undefined });
  });

  it('have names near to a mistyped one', async () => {
    assert.equal(await holders.nearest('dp/PS1DP2'), 'dp/PS1DP1');
    assert.equal(await holders.nearest('client/nobody-at-all'), undefined);
  });
});
