import assert from 'node:assert/strict';
import { Metadata, status } from '@grpc/grpc-js';
import { toCallFailure } from './call-failure.ts';

const call = { peer: 'DP PS1DP1', address: 'dp:8530', method: '/x/Y', deadlineMs: 50 };

function failureOf(code: status, details = '') {
  return toCallFailure({ code, details, metadata: new Metadata() }, call).details;
}

describe('failure of a call without an error of the peer', () => {
  const unreachable = { code: 'PEER_UNREACHABLE', peer: 'DP PS1DP1', address: 'dp:8530' } as const;
  const reasons: readonly [string, string][] = [
    [
      'No connection established. Last error: Error: connect ECONNREFUSED 1.2.3.4:8530',
      'nothing listens there',
    ],
    ['Name resolution failed for target dns:dp:8530', 'its name cannot be resolved'],
    ['Last error: Error: certificate has expired.', 'its certificate has expired'],
    ['connect EHOSTUNREACH', 'there is no route to it'],
    ['read ECONNRESET', 'it closed the connection'],
    ['Connection dropped', 'the connection was lost'],
    ['<script>alert(1)</script>', 'there is no connection'],
  ];
  for (const [text, reason] of reasons) {
    it(`says "${reason}", and nothing of the text it goes by`, () => {
      assert.deepEqual(failureOf(status.UNAVAILABLE, text), { ...unreachable, reason });
    });
  }

  it('names the deadline', () => {
    const { peer, method, deadlineMs } = call;
    const expected = { code: 'DEADLINE_EXCEEDED', peer, method, deadlineMs };
    assert.deepEqual(failureOf(status.DEADLINE_EXCEEDED), expected);
  });

  it('takes a call that somebody else cancelled for a lost connection', () => {
    assert.equal(failureOf(status.CANCELLED).code, 'PEER_UNREACHABLE');
  });

  it('takes a stream that ended without a status for a lost connection', () => {
    const words = 'Received RST_STREAM with code 0 (Call ended without gRPC status)';
    const reason = 'the connection was lost';
    assert.deepEqual(failureOf(status.INTERNAL, words), { ...unreachable, reason });
  });

  it('has a sentence for every status, without the text of the peer', () => {
    for (const code of Object.values(status).filter((value) => typeof value === 'number')) {
      const details = JSON.stringify(failureOf(code, 'text of the peer'));
      assert.doesNotMatch(details, /text of the peer/);
    }
  });
});
