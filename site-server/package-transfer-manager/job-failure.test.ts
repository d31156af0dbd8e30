import assert from 'node:assert/strict';
import { type ErrorDetails, WaybillError } from '../../shared/domain/errors.ts';
import { AbortError } from '../../shared/runtime/abort-error.ts';
import { toJobFailure } from './job-failure.ts';

const peer = 'distribution point PS1DP1';
const address = 'dp1:8531';
const reason = 'test';

describe('job failure', () => {
  const cases: [ErrorDetails, string][] = [
    [{ code: 'PEER_UNREACHABLE', peer, address, reason }, 'dp-unreachable'],
    [{ code: 'PEER_IDENTITY_MISMATCH', expected: peer, actual: 'x', address }, 'dp-unreachable'],
    [{ code: 'DEADLINE_EXCEEDED', peer, method: 'Begin', deadlineMs: 1 }, 'retry-at'],
    [{ code: 'CONTENT_NOT_HELD', contentId: 'PS100001.2' }, 'content-not-here'],
    [{ code: 'FILE_NOT_HELD', fileHash: 'a' }, 'content-not-here'],
    [{ code: 'DISK_FULL', path: 'dp', freeBytes: 0, neededBytes: 1 }, 'disk-full-at-dp'],
    [{ code: 'PEER_FAILED', peer, reason }, 'retry-at'],
    [{ code: 'VERSION_DOWNGRADE', packageId: 'PS100001', offered: 1, held: 2 }, 'retry-at'],
    [{ code: 'FILE_HASH_MISMATCH', expectedHash: 'a', actualHash: 'b' }, 'retry-at'],
    [{ code: 'ACTION_NOT_BEGUN', packageId: 'PS100001', jobSerial: 1 }, 'retry-at'],
  ];
  for (const [details, waitingReason] of cases) {
    it(`${details.code} waits: ${waitingReason}`, () => {
      const error = new WaybillError(details);
      const expected = { kind: 'retry', waitingReason, reason: error.message };
      assert.deepEqual(toJobFailure(error), expected);
    });
  }

  it('is superseded when the DP has seen a newer job', () => {
    const facts = { packageId: 'PS100001', jobSerial: 1, newestJobSerial: 2 };
    const error = new WaybillError({ code: 'ACTION_SUPERSEDED', ...facts });
    assert.equal(toJobFailure(error).kind, 'superseded');
  });

  it('is tried again whatever it was', () => {
    for (const error of [new TypeError('a bug'), new AbortError(), 'text', undefined, null, 7]) {
      const failure = toJobFailure(error);
      assert.equal(failure.kind, 'retry');
      assert.equal(failure.waitingReason, 'retry-at');
      assert.notEqual(failure.reason, '');
    }
  });
});
