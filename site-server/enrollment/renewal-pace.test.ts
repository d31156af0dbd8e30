import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { isRefusalOfPeer } from '../../shared/rpc/status-codes.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { RenewalPace } from './renewal-pace.ts';

const minuteMs = 60_000;
const dp1 = { holder: 'dp/PS1DP1', subject: 'dp1 key1', issuer: '1 PS1' };

describe('the pace of renewals (SEC-3)', () => {
  let clock: FakeClock;
  let setByMs: number;
  let pace: RenewalPace;
  let issuedCount: number;

  beforeEach(() => {
    clock = new FakeClock();
    setByMs = 0;
    const dated = {
      monotonicMs: () => clock.monotonicMs(),
      nowMs: () => clock.nowMs() + setByMs,
    };
    pace = new RenewalPace(dated, minuteMs);
    issuedCount = 0;
  });

  async function issue() {
    issuedCount += 1;
    return { certificate: `${issuedCount}`, issuerCertificate: '' };
  }

  async function givenFor(asked: typeof dp1) {
    const { answer, isRepeated } = await pace.given(asked, issue);
    return `${answer.certificate}${isRepeated ? ' again' : ''}`;
  }

  it('gives one with a new key a minute, and the same request its answer again', async () => {
    const other = { ...dp1, subject: 'dp1 key2' };
    assert.deepEqual(await Promise.all([givenFor(dp1), givenFor(dp1)]), ['1', '1 again']);
    await clock.advance(20_000);
    const details = { code: 'RENEWAL_TOO_SOON', holder: 'dp/PS1DP1', waitMs: 40_000 };
    await assert.rejects(givenFor(other), { code: 'RENEWAL_TOO_SOON', details });
    await clock.advance(40_000);
    assert.equal(await givenFor(other), '2');
  });

  it('holds up nobody whose clock was set meanwhile', async () => {
    await givenFor(dp1);
    setByMs = -2 * minuteMs;
    assert.equal(await givenFor({ ...dp1, subject: 'dp1 key2' }), '2');
  });

  it('holds up nobody else, and no one when another root or authority stands behind it', async () => {
    await givenFor(dp1);
    assert.equal(await givenFor({ ...dp1, holder: 'dp/PS1DP2' }), '2');
    assert.equal(await givenFor({ ...dp1, issuer: '2 PS1' }), '3');
    assert.equal(await givenFor({ ...dp1, issuer: '2 PS1', subject: 'dp1 key1' }), '3 again');
  });

  it('does not count what could not be issued', async () => {
    await assert.rejects(
      pace.given(dp1, async () => {
        throw new Error('disk full');
      }),
      /disk full/,
    );
    assert.equal(await givenFor({ ...dp1, subject: 'dp1 key2' }), '1');
  });

  it('is no refusal of the peer: its keeper tries again after a while', () => {
    const facts = { code: 'RENEWAL_TOO_SOON', holder: 'dp/PS1DP1', waitMs: 1 } as const;
    assert.equal(isRefusalOfPeer(new WaybillError(facts)), false);
  });
});
