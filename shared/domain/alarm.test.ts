import assert from 'node:assert/strict';
import { testJob } from '../testing/test-job.ts';
import { testSendRequest } from '../testing/test-send-request.ts';
import { type JobStandstill, standstillOfJob, standstillOfSend } from './alarm.ts';
import { type DistributionJob, type WaitingReason, waitingReasons } from './distribution-job.ts';

const facts: JobStandstill = {
  ...{ waitingReason: undefined, isRunning: false, holdReason: '', window: 'open' },
};

function ofJob(changes: Partial<DistributionJob>, more: Partial<JobStandstill> = {}) {
  return standstillOfJob(testJob(changes), { ...facts, ...more });
}

describe('what stands still and will not go on by itself', () => {
  const told: readonly WaitingReason[] = [
    ...(['no-source', 'content-not-here', 'disk-full-at-dp', 'retry-at'] as const),
  ];
  for (const waitingReason of waitingReasons) {
    const isTold = told.includes(waitingReason);
    it(`${isTold ? 'is' : 'is not'} a job that waits: ${waitingReason}`, () => {
      const state = waitingReason === 'suspended' ? 'suspended' : 'pending-restart';
      const why = ofJob({ state, reason: 'because' }, { waitingReason });
      assert.equal(why, isTold ? 'because' : undefined);
    });
  }

  it('always has a reason, whatever the row says', () => {
    for (const waitingReason of told) {
      const why = ofJob({ state: 'pending', reason: '' }, { waitingReason });
      assert.ok(why, waitingReason);
    }
    assert.match(ofJob({ state: 'in-progress' }, { isRunning: true }) ?? '', /confirmed nothing/);
    const withDp = {
      state: 'in-progress',
      sendAction: 'PullQueryResultAction',
      reason: '',
    } as const;
    assert.match(ofJob(withDp) ?? '', /has said nothing/);
  });

  it('is any job while the site can begin none', () => {
    const held = { waitingReason: 'slot', holdReason: 'The disk is full' } as const;
    assert.equal(ofJob({ state: 'pending' }, held), 'The disk is full');
  });

  it('is not what a schedule will let go on, but what it never will (PTM-5)', () => {
    const waiting = { waitingReason: 'retry-at' } as const;
    assert.equal(ofJob({}, { ...waiting, window: 'closed' }), undefined);
    assert.match(ofJob({}, { ...waiting, window: 'never-open' }) ?? '', /never opens/);
    const request = testSendRequest({ state: 'retrying', reason: 'refused' });
    assert.equal(standstillOfSend(request, 'closed'), undefined);
    assert.match(standstillOfSend(request, 'never-open') ?? '', /never opens/);
  });

  for (const [action, heeds] of [
    ['add', true],
    ['redistribute', true],
    ['remove', false],
    ['validate', false],
    ['cancel', false],
  ] as const) {
    it(`${heeds ? 'heeds' : 'does not heed'} the schedule when it is to ${action} (PTM-5)`, () => {
      const failing = { action, reason: 'it was refused' };
      const waiting = { waitingReason: 'retry-at' } as const;
      const closed = ofJob(failing, { ...waiting, window: 'closed' });
      assert.equal(closed, heeds ? undefined : 'it was refused');
      const never = ofJob(failing, { ...waiting, window: 'never-open' }) ?? '';
      assert.match(never, heeds ? /never opens/ : /it was refused/);
      const now = ofJob({ ...failing, ignoresWindow: true }, { ...waiting, window: 'closed' });
      assert.equal(now, 'it was refused', 'an administrator lets it run (ADM-2)');
    });
  }

  it('heeds no schedule for a send request that an administrator lets run (ADM-2)', () => {
    const request = testSendRequest({ state: 'retrying', reason: 'refused', ignoresWindow: true });
    for (const window of ['closed', 'never-open'] as const) {
      assert.equal(standstillOfSend(request, window), 'refused');
    }
  });

  it('is a send request that is tried in vain, has no way, or is not taken', () => {
    const file = { fileHash: 'ab', fileBytes: 7 };
    const why = (changes: Parameters<typeof testSendRequest>[0]) =>
      standstillOfSend(testSendRequest(changes), 'open');
    assert.equal(
      why({ state: 'retrying', reason: 'connection refused', file }),
      'connection refused',
    );
    assert.match(why({ state: 'pending', destinationSiteCode: '' }) ?? '', /no way to site/);
    assert.match(why({ state: 'sending', file }) ?? '', /confirmed nothing/);
    const unmade = { state: 'pending', file: { fileHash: '', fileBytes: 0 } } as const;
    assert.equal(why({ ...unmade, reason: 'No room' }), 'No room');
    assert.equal(why({ ...unmade, reason: '' }), undefined, 'it is being made');
    assert.equal(why({ state: 'pending', file }), undefined, 'others are sent before');
  });
});
