import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { FakeAdmin } from './testing/fake-admin.ts';
import { aPackage, aPreviewedTransfer, aPreviewedVersion } from './testing/package-answers.ts';
import { runWaybill } from './testing/run-waybill.ts';
import { aDistributionPoint, aSite } from './testing/site-answers.ts';

const elsewhere = {
  dpId: 'PS2DP1',
  siteCode: 'PS2',
  basis: 'PREVIEW_BASIS_WHOLE_PACKAGE',
} as const;
const route = {
  ...({
    way: 'PREVIEWED_WAY_ROUTE',
    dpId: '',
    siteCode: '',
    basis: 'PREVIEW_BASIS_SAMPLE',
  } as const),
  ...{ fromSiteCode: 'PS1', toSiteCode: 'PS2', bytes: '52428800', durationMs: '60000' },
};

describe('waybill package distribute --preview', () => {
  it('asks for nothing to be done, and tells each way and all together', async () => {
    const line = 'package distribute PS100001 --dp PS1DP1 --preview';
    const { admin, exitCode, stdout } = await runWaybill(line);
    assert.equal(exitCode, 0);
    assert.ok(!admin.calls.some(({ method }) => method === 'distributePackage'));
    assert.deepEqual(admin.requestOf('previewDistribution'), {
      targets: { packageId: 'PS100001', dpIds: ['PS1DP1'], siteCodes: [], groupNames: [] },
    });
    assert.match(
      stdout,
      /^Package PS100001 version 3: 1,234 files, 2\.3 GiB\.\nNothing is done\. This would travel:\n/,
    );
    assert.match(stdout, /PS1DP1 +12 +100 MiB +10 s +10\.5 MB\/s limit +asked\n/);
    assert.match(stdout, /In all 100 MiB to 1 DP, 2 KiB of it manifests; done in about 10 s\.\n$/);
  });

  it('says of what is done at once no rough time', async () => {
    const admin = new FakeAdmin().stream('previewDistribution', () => [
      aPreviewedVersion(),
      aPreviewedTransfer({ durationMs: '936' }),
    ]);
    const line = 'package distribute PS100001 --dp PS1DP1 --preview';
    const { stdout } = await runWaybill(line, { admin });
    assert.match(stdout, /In all 100 MiB to 1 DP, .* manifests; done in under a second\.\n$/);
  });

  it('has rows that add up to what is told below them, and lines of 80 columns', async () => {
    const manifest = { manifestBytes: String(50 * 2 ** 20), bytes: String(50 * 2 ** 20) };
    const admin = new FakeAdmin().stream('previewDistribution', () => [
      aPreviewedVersion(),
      aPreviewedTransfer(manifest),
    ]);
    const line = 'package distribute PS100001 --dp PS1DP1 --preview';
    const { stdout } = await runWaybill(line, { admin });
    assert.match(stdout, /PS1DP1 +12 +100 MiB /);
    assert.match(stdout, /In all 100 MiB to 1 DP, 50 MiB of it manifests;/);
    assert.ok(
      stdout.split('\n').every((text) => text.length <= 80),
      stdout,
    );
  });

  it('asks the site of a DP how fast it is reached, with what its source site reckons', async () => {
    const admin = new FakeAdmin().stream('previewDistribution', () => [
      aPreviewedVersion(),
      aPreviewedTransfer(elsewhere),
      aPreviewedTransfer(route),
    ]);
    const otherSite = new FakeAdmin()
      .answer('getSite', () => ({ ...aSite, siteCode: 'PS2' }))
      .stream('previewDistribution', () => [
        aPreviewedVersion(),
        aPreviewedTransfer({ ...elsewhere, durationMs: '30000', basis: 'PREVIEW_BASIS_ASKED' }),
      ]);
    const line = 'package distribute PS100001 --dp PS2DP1 --preview --json';
    const run = await runWaybill(line, { admin, otherSite });
    assert.equal(run.exitCode, 0, run.stderr);
    const { transfers, total } = JSON.parse(run.stdout);
    assert.deepEqual(
      transfers.map((one: { way: string; basis: string }) => `${one.way} ${one.basis}`),
      ['route sample', 'distribution-point asked'],
    );
    assert.deepEqual(total, {
      ...{ bytes: 104_859_648, bytesBetweenSites: 52_430_848, durationMs: 90_000 },
    });
    const asked = otherSite.requestOf('previewDistribution') as { reckoned: unknown[] };
    assert.deepEqual(asked.reckoned, [
      {
        ...{ dpId: 'PS2DP1', bytes: 104_857_600, manifestBytes: 2_048, fileCount: 12 },
        basis: 'PREVIEW_BASIS_WHOLE_PACKAGE',
      },
    ]);
  });

  it('goes on with an estimate when a site cannot be asked', async () => {
    const admin = new FakeAdmin().stream('previewDistribution', () => [
      aPreviewedVersion(),
      aPreviewedTransfer({
        ...elsewhere,
        durationMs: '0',
        durationUnknown: 'nothing was measured',
      }),
    ]);
    const otherSite = new FakeAdmin().answer('getSite', () => {
      const facts = { peer: 'site PS2', address: 'ps2:8530', reason: 'connection refused' };
      throw new WaybillError({ code: 'PEER_UNREACHABLE', ...facts });
    });
    const line = 'package distribute PS100001 --dp PS2DP1 --preview';
    const { exitCode, stdout } = await runWaybill(line, { admin, otherSite });
    assert.equal(exitCode, 0);
    assert.match(stdout, /Site PS2 could not be asked: .*; its DPs are estimated from afar/);
    assert.match(stdout, /PS2DP1: nothing was measured\./);
    assert.match(stdout, /how long that takes cannot be said\.\n$/);
  });

  it('has nothing to wait for', async () => {
    const line = 'package distribute PS100001 --all --preview --wait';
    const { admin, exitCode, stderr } = await runWaybill(line);
    assert.equal(exitCode, 2);
    assert.match(stderr, /--preview and --wait exclude each other/);
    assert.deepEqual(admin.calls, []);
  });

  it('--all means what it means without --preview', async () => {
    const points = [aDistributionPoint(), aDistributionPoint({ dpId: 'PS2DP1', siteCode: 'PS2' })];
    const ofCentral = new FakeAdmin()
      .answer('getSite', () => ({ ...aSite, siteCode: 'CS1' }))
      .answer('getPackage', () => aPackage({ sourceSiteCode: 'CS1' }))
      .stream('listDistributionPoints', () => points);
    const line = 'package distribute PS100001 --all --preview';
    const { admin } = await runWaybill(line, { admin: ofCentral });
    const { targets } = admin.requestOf('previewDistribution') as {
      targets: { siteCodes: string[] };
    };
    assert.deepEqual(targets.siteCodes, ['PS1', 'PS2']);
  });
});

describe('waybill package update --preview', () => {
  it('publishes nothing, and says what is new', async () => {
    const news = { sourceVersion: 4, newFiles: '3', newBytes: '1048576' };
    const withNews = new FakeAdmin().stream('previewUpdate', () => [
      aPreviewedVersion(news),
      aPreviewedTransfer(),
    ]);
    const { admin, stdout } = await runWaybill('package update PS100001 --preview', {
      admin: withNews,
    });
    assert.ok(!admin.calls.some(({ method }) => method === 'updatePackage'));
    assert.match(stdout, /version 4: 1,234 files, .*; 3 files, 1 MiB new here\.\n/);
  });

  it('says that there would be nothing to do', async () => {
    const admin = new FakeAdmin().stream('previewUpdate', () => [
      aPreviewedVersion({ sourceUnchanged: true }),
    ]);
    const { stdout } = await runWaybill('package update PS100001 --preview', { admin });
    assert.equal(stdout, 'The source of package PS100001 is unchanged: version 3 stays.\n');
  });
});
