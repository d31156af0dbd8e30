import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { FakeAdmin } from './testing/fake-admin.ts';
import { aJob } from './testing/job-answers.ts';
import { runWaybill } from './testing/run-waybill.ts';
import { aChildSite, aSite, aSiteRecord } from './testing/site-answers.ts';

/** The top, without DPs of its own, above PS2. */
function top(): FakeAdmin {
  return new FakeAdmin()
    .answer('getSite', () => ({
      ...aSite,
      siteCode: 'CS1',
      kind: 'SITE_KIND_CENTRAL_ADMINISTRATION',
    }))
    .stream('listSites', () => [
      aSiteRecord({ siteCode: 'CS1', distributionPointCount: 0 }),
      aChildSite(),
    ])
    .stream('listJobs', () => []);
}

describe('waybill jobs of several sites (ADM-2)', () => {
  it('asks each site that has DPs, and shows whose each job is', async () => {
    const otherSite = new FakeAdmin().stream('listJobs', () => [aJob({ dpId: 'PS2DP1' })]);
    const options = { admin: top(), otherSite };
    const { exitCode, stdout } = await runWaybill('jobs --all-sites --package PS100001', options);
    assert.equal(exitCode, 0);
    assert.match(stdout, /^site .*\nPS2 +17 +PS100001/);
    const request = { packageId: 'PS100001', dpId: '', history: false, limit: 0 };
    assert.deepEqual(otherSite.requestOf('listJobs'), request);
    const json = JSON.parse((await runWaybill('jobs --all-sites --json', options)).stdout);
    assert.deepEqual(
      json.map(({ siteCode, dpId }: { siteCode: string; dpId: string }) => [siteCode, dpId]),
      [['PS2', 'PS2DP1']],
    );
  });

  it('shows what the others have said when one cannot be asked, and fails', async () => {
    const admin = top()
      .answer('getSite', () => aSite)
      .stream('listSites', () => [aSiteRecord({ distributionPointCount: 1 }), aChildSite()])
      .stream('listJobs', () => [aJob()]);
    const otherSite = new FakeAdmin().stream('listJobs', () => {
      const facts = { peer: 'site PS2', address: 'ps2:8530', reason: 'nothing listens there' };
      throw new WaybillError({ code: 'PEER_UNREACHABLE', ...facts });
    });
    const { exitCode, stdout, stderr } = await runWaybill('jobs --all-sites', { admin, otherSite });
    assert.equal(exitCode, 1);
    assert.match(stdout, /^PS1 +17 /m);
    assert.match(stderr, /^waybill: Site PS2: .*nothing listens there\n$/);
  });

  it('says at a site without DPs where to look', async () => {
    const { stdout } = await runWaybill('jobs', { admin: top() });
    assert.match(stdout, /^No job is open\. .*"waybill jobs --all-sites" asks the others\.\n$/);
    const primary = new FakeAdmin().stream('listJobs', () => []);
    assert.equal((await runWaybill('jobs', { admin: primary })).stdout, 'No job is open.\n');
  });

  it('refuses --site beside it', async () => {
    const { exitCode, stderr } = await runWaybill('jobs --all-sites --site PS2');
    assert.equal(exitCode, 2);
    assert.match(stderr, /expected --site or --all-sites, not both/);
  });
});
