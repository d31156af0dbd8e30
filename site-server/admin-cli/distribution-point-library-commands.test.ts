import assert from 'node:assert/strict';
import { FakeAdmin } from './testing/fake-admin.ts';
import { anInstalledPackage, aValidationResult } from './testing/package-answers.ts';
import { runWaybill } from './testing/run-waybill.ts';

const words = 'dp compare PS1DP1 PS1DP2';

/** Both DPs have the same package; a validation of one of them has found this. */
function adminWith(result: Partial<ReturnType<typeof aValidationResult>>): FakeAdmin {
  const none = { damagedFiles: '0', missingFiles: '0', repairedFiles: '0', failure: '' };
  return new FakeAdmin()
    .stream('listDistributionPointPackages', () => [anInstalledPackage({ lackingFiles: 0 })])
    .stream('listValidationResults', ({ dpId }) =>
      dpId === 'PS1DP2' ? [aValidationResult({ ...none, dpId, ...result })] : [],
    );
}

describe('waybill dp compare (ADM-1)', () => {
  const { packageId, sourceVersion } = anInstalledPackage();

  it('tells of files that are gone, which only a validation has counted', async () => {
    const admin = adminWith({ packageId, sourceVersion, missingFiles: '200' });
    assert.match((await runWaybill(words, { admin })).stdout, /lacks 200 files/);
  });

  it('tells nothing that was repaired since, or is of another version', async () => {
    for (const found of [
      { packageId, sourceVersion, missingFiles: '200', repairedFiles: '200' },
      { packageId, sourceVersion: sourceVersion + 1, missingFiles: '200' },
    ]) {
      const { stdout } = await runWaybill(words, { admin: adminWith(found) });
      assert.match(stdout, /hold the same: 1 package\./);
    }
  });
});
