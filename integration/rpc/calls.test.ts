import assert from 'node:assert/strict';
import { site, TrustCircle } from './trust-circle.ts';

const checkAnswer = { dpId: 'PS1DP1', siteCode: 'PS1', agentVersion: '0.1.0', freeBytes: '7' };

describe('calls over mutual TLS', () => {
  it('brings a unary request to the method and its answer back, with who called', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('DistributionPoint', {
      check: async (request, { caller }) => {
        assert.deepEqual(caller.identity, site);
        assert.match(caller.address, /^127\.0\.0\.1:\d+$/);
        return { ...checkAnswer, dpId: request.dpId };
      },
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    const answer = await channel.unary('check', { dpId: 'PS1DP1' }, { deadlineMs: 5_000 });
    assert.deepEqual(answer, checkAnswer);
  });
});
