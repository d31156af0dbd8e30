import assert from 'node:assert/strict';
import { type ErrorCode, errorCodes } from './errors.ts';
import {
  contentIdOf,
  isSnapshotDue,
  type SnapshotFailure,
  snapshotFailureOf,
  withSnapshotRefused,
  withSourceUnchanged,
  withUpdateAccepted,
} from './package-processing.ts';
import { actionAfterPublishing, packageServerWork } from './package-server-work.ts';
import type { PackageServer, PackageServerAction, SitePackage } from './site-package.ts';

const published = {
  packageId: 'PS100001',
  sources: [],
  sourceVersion: 1,
  state: 'published',
  reason: '',
  acceptedRequestCount: 1,
  handledRequestCount: 1,
} as unknown as SitePackage;

function serverOf(action: PackageServerAction): PackageServer {
  const intent = action === 'remove' ? 'removed' : 'installed';
  return { packageId: 'PS100001', dpId: 'DP1', intent, action, changedAtMs: 0 };
}

describe('The processing of a package', () => {
  it('owes a snapshot while requests are ahead, unless the package is leaving', () => {
    assert.equal(isSnapshotDue(published), false);
    const updated = withUpdateAccepted(published, 1);
    assert.equal(isSnapshotDue(updated), true);
    assert.equal(isSnapshotDue({ ...updated, state: 'deleting' }), false);
    assert.equal(withUpdateAccepted({ ...published, state: 'snapshot' }, 1).state, 'snapshot');
  });

  it('is pending again when more was asked for meanwhile', () => {
    const asked = { ...published, acceptedRequestCount: 3 };
    assert.equal(withSourceUnchanged(asked, 3, 1).state, 'published');
    assert.equal(withSourceUnchanged(asked, 2, 1).state, 'pending');
    const refusal = { coveredRequestCount: 2, reason: 'empty' };
    assert.equal(withSnapshotRefused(asked, refusal, 1).state, 'pending');
    const deleting = { ...asked, state: 'deleting' } as const;
    assert.equal(withSnapshotRefused(deleting, refusal, 1).state, 'deleting');
  });

  it('names contents after package or content, and version', () => {
    assert.equal(contentIdOf({ directory: '/', contentName: 'PS100001' }, 3), 'PS100001.3');
  });

  it('tries again what can mend itself, and only that', () => {
    const outcomes = new Map<SnapshotFailure, ErrorCode[]>();
    for (const code of errorCodes) {
      const failure = snapshotFailureOf(code);
      outcomes.set(failure, [...(outcomes.get(failure) ?? []), code]);
    }
    assert.deepEqual(outcomes.get('postponed'), ['CONTENT_INCOMPLETE', 'DISK_FULL']);
    assert.ok(outcomes.get('source-refused')?.every((code) => code.startsWith('SOURCE_')));
    assert.equal(outcomes.get('source-refused')?.length, 7);
  });
});

describe('The work for a package on a DP', () => {
  const sent = { jobSerial: 5 } as never;
  const rows = {
    sitePackage: published,
    server: serverOf('add'),
    status: undefined,
    isDistributionPointKnown: true,
    openJob: undefined,
  };

  it('is a job with the newest version', () => {
    const job = { kind: 'job', action: 'add', sourceVersion: 1 };
    assert.deepEqual(packageServerWork(rows), job);
    assert.deepEqual(packageServerWork({ ...rows, server: serverOf('update') }), job);
    const repair = { ...job, action: 'redistribute' };
    assert.deepEqual(packageServerWork({ ...rows, server: serverOf('redistribute') }), repair);
    const removal = { ...job, action: 'remove' };
    const removed = { ...rows, server: serverOf('remove'), status: sent };
    assert.deepEqual(packageServerWork(removed), removal);
  });

  it('is nothing when nothing is to be done', () => {
    assert.equal(packageServerWork({ ...rows, server: undefined }).kind, 'nothing');
    assert.equal(packageServerWork({ ...rows, server: serverOf('none') }).kind, 'nothing');
  });

  it('waits for a first version', () => {
    const sitePackage = { ...published, sourceVersion: 0 };
    assert.equal(packageServerWork({ ...rows, sitePackage }).kind, 'wait-for-version');
  });

  it('is dropped with its DP or package, and when nothing was ever sent', () => {
    assert.equal(packageServerWork({ ...rows, isDistributionPointKnown: false }).kind, 'drop');
    assert.equal(packageServerWork({ ...rows, sitePackage: undefined }).kind, 'drop');
    assert.equal(packageServerWork({ ...rows, server: serverOf('remove') }).kind, 'drop');
    const unsent = { ...rows, server: serverOf('remove'), status: { jobSerial: 0 } as never };
    assert.equal(packageServerWork(unsent).kind, 'drop');
  });

  it('goes on with a repair that has not finished', () => {
    const openJob = { action: 'redistribute' } as never;
    const work = packageServerWork({ ...rows, server: serverOf('update'), openJob });
    assert.equal(work.kind === 'job' && work.action, 'redistribute');
  });

  it('follows a new version, but no removal is undone by it', () => {
    const onPublishing = (action: PackageServerAction) => actionAfterPublishing(serverOf(action));
    assert.equal(onPublishing('none'), 'update');
    assert.equal(onPublishing('redistribute'), 'redistribute');
    assert.equal(onPublishing('remove'), 'remove');
    const removing: PackageServer = { ...serverOf('none'), intent: 'removed' };
    assert.equal(actionAfterPublishing(removing), 'none');
  });
});
