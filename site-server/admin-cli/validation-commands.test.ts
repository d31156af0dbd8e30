import assert from 'node:assert/strict';
import { toJobRecord } from './job-record.ts';
import { FakeAdmin } from './testing/fake-admin.ts';
import { aJob } from './testing/job-answers.ts';
import { aValidationResult } from './testing/package-answers.ts';
import { runWaybill } from './testing/run-waybill.ts';
import { toStepText } from './validation-wait.ts';

type Result = ReturnType<typeof aValidationResult>;

const wishId = '0lw1abcde.first';
const line = 'package validate PS100001 --dp PS1DP1 --wait';

function adminWith(...results: Partial<Result>[]): FakeAdmin {
  const about = { dpId: 'PS1DP1', wishId, failure: '' };
  return new FakeAdmin()
    .answer('validatePackage', () => ({ dpIds: ['PS1DP1'], wishId }))
    .stream('listJobs', () => [])
    .stream('listValidationResults', () => {
      return results.map((one) => aValidationResult({ ...about, ...one }));
    });
}

describe('waybill package validate --rate (PKG-8)', () => {
  it('says between which rates it may be', async () => {
    const { exitCode, stderr } = await runWaybill('package validate PS100001 --all --rate 1KB/s');
    assert.equal(exitCode, 2);
    assert.match(stderr, /--rate: expected a rate of 1 KiB\/s to 1 TB\/s, such as 500kB\/s/);
  });
});

describe('waybill package validate --wait (PKG-8)', () => {
  it('tells how many files were repaired', async () => {
    const found = { damagedFiles: '1', missingFiles: '0', repairedFiles: '1' };
    const { exitCode, stdout } = await runWaybill(line, { admin: adminWith(found) });
    assert.equal(exitCode, 0);
    assert.match(stdout, /Package PS100001 was validated: 1 file was repaired\.\n$/);
  });

  it('names the first files that are not whole', async () => {
    const files = ['a', 'b', 'c', 'd'].map((path) => ({
      ...{ path: `lib/${path}`, fileHash: Buffer.alloc(32), detail: 'it is cut' },
      finding: 'UNSOUND_FINDING_DAMAGED' as const,
    }));
    const found = { damagedFiles: '4', missingFiles: '1', repairedFiles: '0', files };
    const words = `${line} --no-repair`;
    const { exitCode, stderr } = await runWaybill(words, { admin: adminWith(found) });
    assert.equal(exitCode, 1);
    assert.match(
      stderr,
      /PS1DP1 \(5 files are damaged or missing: lib\/a, lib\/b, lib\/c and 2 more\)/,
    );
  });

  it('ends when a later wish was answered that took its place', async () => {
    const admin = adminWith({ wishId: '0lw1abcdf.other', damagedFiles: '0', missingFiles: '0' });
    const { exitCode, stdout } = await runWaybill(line, { admin });
    assert.equal(exitCode, 0);
    assert.match(stdout, /was validated/);
  });

  it('ends when the package was taken off meanwhile, and says so', async () => {
    const admin = adminWith().stream('listPackageStatus', () => []);
    const { exitCode, stderr } = await runWaybill(line, { admin });
    assert.equal(exitCode, 1);
    assert.match(stderr, /PS1DP1 .*not meant to be there any more/);
  });

  it('says what it waits for before anything was found, and only then of a repair', () => {
    const facts = { action: 'JOB_ACTION_ADD', reason: 'nothing listens there' } as const;
    const job = toJobRecord(aJob({ ...facts, jobSerial: '17' }));
    assert.equal(toStepText(job, false), 'waits for job 17 (add) to end: nothing listens there');
    assert.match(toStepText(job, true), /^repair .*: nothing listens there$/);
    const validating = toJobRecord(aJob({ ...facts, action: 'JOB_ACTION_VALIDATE' }));
    assert.match(toStepText(validating, false), /^validating .*: nothing listens there$/);
  });

  it('report --damaged has a column that says why', async () => {
    const { stdout } = await runWaybill('package report --damaged', { admin: adminWith({}) });
    assert.match(stdout, /package +on +file +is +why\n/);
  });
});
