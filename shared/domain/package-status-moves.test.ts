import assert from 'node:assert/strict';
import type { DistributionJob, JobAction } from './distribution-job.ts';
import type { PackageStatus, PackageStatusState } from './package-status.ts';
import {
  toPendingStatus,
  toRetryingStatus,
  toSiteStatus,
  transferOutcome,
} from './package-status-moves.ts';
import type { PackageServerAction, SitePackage, SitePackageState } from './site-package.ts';

const nowMs = 2_000;

function statusOf(state: PackageStatusState, facts: Partial<PackageStatus> = {}): PackageStatus {
  return {
    packageId: 'PS100001',
    dpId: 'DP1',
    state,
    installedVersion: 0,
    targetVersion: 1,
    reason: 'before',
    changedAtMs: 1_000,
    jobSerial: 5,
    verifiedHash: '',
    ...facts,
  };
}

function jobOf(action: JobAction, facts: Partial<DistributionJob> = {}): DistributionJob {
  return {
    jobSerial: 5,
    packageId: 'PS100001',
    sourceVersion: 1,
    dpId: 'DP1',
    action,
    state: 'complete',
    reason: '',
    priority: 2,
    dpPriority: 200,
    order: 0,
    createdAtMs: 0,
    startedAtMs: 0,
    updatedAtMs: 0,
    restartAtMs: 0,
    tryCount: 1,
    totalBytes: 0,
    remainingBytes: 0,
    bytesSent: 0,
    endedAtMs: 0,
    ...(action !== 'remove' && { verifiedHash: 'verified' }),
    ...facts,
  };
}

function serverOf(action: PackageServerAction) {
  const intent = action === 'remove' ? 'removed' : 'installed';
  return { packageId: 'PS100001', dpId: 'DP1', intent, action, changedAtMs: 0 } as const;
}

describe('Package status', () => {
  it('is pending as soon as something is to be done, whatever it was', () => {
    const work = { packageId: 'PS100001', dpId: 'DP1', targetVersion: 2, isRemoval: false };
    const fresh = toPendingStatus({ ...work, status: undefined }, nowMs);
    assert.equal(fresh.state, 'install-pending');
    assert.equal(fresh.jobSerial, 0);
    const held = statusOf('install-failed', { installedVersion: 1, verifiedHash: 'v1' });
    const updating = toPendingStatus({ ...work, status: held, jobSerial: 6 }, nowMs);
    assert.equal(updating.state, 'content-updating');
    assert.equal(updating.reason, '');
    assert.equal(updating.installedVersion, 1);
    assert.equal(updating.verifiedHash, 'v1');
    assert.equal(updating.jobSerial, 6);
    const removing = toPendingStatus({ ...work, status: held, isRemoval: true }, nowMs);
    assert.equal(removing.state, 'removal-pending');
  });

  it('tells of a job that is tried again, unless newer work has overtaken it', () => {
    const retry = { reason: 'no answer', nowMs };
    const installing = statusOf('install-pending');
    const expected = { ...installing, state: 'install-retrying', ...{ reason: 'no answer' } };
    assert.deepEqual(toRetryingStatus(installing, jobOf('add'), retry), {
      ...expected,
      changedAtMs: nowMs,
    });
    const removing = statusOf('removal-pending');
    assert.equal(toRetryingStatus(removing, jobOf('remove'), retry)?.state, 'removal-retrying');
    assert.equal(toRetryingStatus(undefined, jobOf('add'), retry), undefined);
    assert.equal(toRetryingStatus(removing, jobOf('add'), retry), undefined);
    assert.equal(toRetryingStatus(installing, jobOf('add', { jobSerial: 4 }), retry), undefined);
  });

  it('follows the newest job', () => {
    const server = serverOf('none');
    const installed = transferOutcome(
      jobOf('add'),
      { status: statusOf('install-retrying'), server },
      nowMs,
    );
    assert.equal(installed.messageId, 2330);
    assert.deepEqual(
      installed.status,
      statusOf('installed', {
        installedVersion: 1,
        verifiedHash: 'verified',
        reason: '',
        changedAtMs: nowMs,
      }),
    );
    const removal = { status: statusOf('removal-pending'), server };
    assert.deepEqual(transferOutcome(jobOf('remove'), removal, nowMs), {
      status: undefined,
      isUnassigned: true,
      messageId: 2331,
    });
    for (const [action, state] of [
      ['add', 'install-failed'],
      ['redistribute', 'install-failed'],
      ['remove', 'removal-failed'],
    ] as const) {
      const job = jobOf(action, { state: 'failed', reason: 'why' });
      const outcome = transferOutcome(job, { status: statusOf('install-pending'), server }, nowMs);
      assert.equal(outcome.status?.state, state);
      assert.equal(outcome.status.reason, 'why');
      assert.equal(outcome.messageId, 2328);
    }
  });

  it('learns from an overtaken job what the DP holds, and nothing else', () => {
    const updating = statusOf('install-pending', { jobSerial: 6, targetVersion: 2 });
    const late = transferOutcome(
      jobOf('add'),
      { status: updating, server: serverOf('none') },
      nowMs,
    );
    assert.equal(late.status?.state, 'content-updating');
    assert.equal(late.status.installedVersion, 1);
    assert.equal(late.status.jobSerial, 6);
    const due = { status: statusOf('removal-pending'), server: serverOf('remove') };
    const dueOutcome = transferOutcome(jobOf('add'), due, nowMs);
    assert.equal(dueOutcome.status?.state, 'removal-pending');
    assert.equal(dueOutcome.status.installedVersion, 1);
    assert.equal(dueOutcome.isUnassigned, false);
  });

  it('keeps nothing of a DP that was taken away', () => {
    const rows = { status: statusOf('install-retrying'), server: undefined };
    const expected = { status: undefined, isUnassigned: false, messageId: undefined };
    assert.deepEqual(transferOutcome(jobOf('add'), rows, nowMs), expected);
  });

  it('keeps what a newer job has told already', () => {
    for (const state of ['installed', 'install-failed', 'removal-failed'] as const) {
      const status = statusOf(state, { jobSerial: 6, installedVersion: 2 });
      const rows = { status, server: serverOf('none') };
      const expected = { status, isUnassigned: false, messageId: undefined };
      assert.deepEqual(transferOutcome(jobOf('add'), rows, nowMs), expected);
      const failed = jobOf('remove', { state: 'failed' });
      assert.deepEqual(transferOutcome(failed, rows, nowMs), expected);
    }
  });

  const siteStates: [SitePackageState, number, string, PackageStatusState][] = [
    ['pending', 0, '', 'install-pending'],
    ['pending', 1, '', 'content-updating'],
    ['pending', 1, 'full', 'install-retrying'],
    ['snapshot', 0, '', 'install-pending'],
    ['snapshot', 1, '', 'content-updating'],
    ['published', 1, '', 'installed'],
    ['failed', 0, 'empty', 'install-failed'],
    ['deleting', 1, '', 'removal-pending'],
  ];
  for (const [state, sourceVersion, reason, expected] of siteStates) {
    it(`of a package on its own site is ${expected} when it is ${state} ${reason}`, () => {
      const sitePackage = { packageId: 'PS100001', state, sourceVersion, reason, packageHash: '' };
      const status = toSiteStatus(sitePackage as SitePackage);
      assert.equal(status?.state, expected);
      assert.equal(status.installedVersion, sourceVersion);
    });
  }

  describe('of a job that was cancelled (PKG-9)', () => {
    const heard = (heldVersion: number, facts: Partial<DistributionJob> = {}) =>
      jobOf('cancel', { jobSerial: 6, heldVersion, cancels: 5, ...facts });
    const outcomeOf = (job: DistributionJob, status: PackageStatus) =>
      transferOutcome(job, { status, server: serverOf('none') }, nowMs);

    it('has failed, and no failure is told', () => {
      const cancellation = { isConfirmed: false };
      const job = jobOf('add', { state: 'cancelled', reason: 'Cancelled', cancellation });
      const outcome = outcomeOf(job, statusOf('install-pending'));
      assert.deepEqual(
        [outcome.status?.state, outcome.status?.reason, outcome.messageId],
        ['install-failed', 'Cancelled', undefined],
      );
    });

    const cases: [
      name: string,
      status: PackageStatus,
      held: number,
      expected: [state: string | undefined, installedVersion: number | undefined],
    ][] = [
      ['nothing came', statusOf('install-failed'), 0, ['install-failed', 0]],
      ['it came before that', statusOf('install-failed'), 1, ['installed', 1]],
      [
        'an older version stayed',
        statusOf('install-failed', { targetVersion: 2, installedVersion: 1 }),
        1,
        ['install-failed', 1],
      ],
      ['a removal was not done', statusOf('removal-failed'), 1, ['removal-failed', 1]],
      ['a removal was done before', statusOf('removal-failed'), 0, [undefined, undefined]],
    ];
    for (const [name, status, held, expected] of cases) {
      it(`says what the DP holds once it has heard: ${name}`, () => {
        const { status: next } = outcomeOf(heard(held), status);
        assert.deepEqual([next?.state, next?.installedVersion], expected);
      });
    }

    it('changes nothing that newer work tells of', () => {
      const newer = statusOf('install-pending', { jobSerial: 7 });
      assert.deepEqual(outcomeOf(heard(1), newer).status, newer);
      const superseded = heard(0, { state: 'cancelled' });
      const status = statusOf('install-failed');
      assert.deepEqual(outcomeOf(superseded, status).status, status);
    });
  });
});
