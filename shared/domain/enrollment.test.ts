import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  type EnrollmentClaim,
  type EnrollmentRow,
  enrollmentDecision,
  enrollmentEndedAtMs,
  enrollmentRefusalWords,
  parseEnrollmentRefusal,
  parseRenewalRefusal,
  renewalRefusalOf,
  renewalRefusalWords,
  revokedEnrollment,
  stateOfEnrollment,
  toldRefusal,
  wrongSecretCountMax,
} from './enrollment.ts';

const madeMs = 1_000_000;
const hourMs = 3_600_000;
const answer = { certificate: 'Y2VydA==', issuerCertificate: '' };

const unused: EnrollmentRow = {
  tokenId: '0123456789abcdef',
  secretHash: 'right',
  identityUri: 'waybill://dp/PS1DP1',
  createdAtMs: madeMs,
  createdBy: 'waybill://admin/full/alice',
  expiresAtMs: madeMs + hourMs,
  wrongSecretCount: 0,
};
const used: EnrollmentRow = {
  ...unused,
  used: { atMs: madeMs + 1, callerAddress: '192.0.2.7', publicKeyHash: 'key', answer },
};
const revoked = revokedEnrollment(unused, madeMs + 1, 'administrator');
const right: EnrollmentClaim = { secretHash: 'right', isHolder: true, publicKeyHash: 'key' };
const soon = madeMs + 2;
const late = unused.expiresAtMs;

describe('enrollment by a token', () => {
  for (const [what, row, claim, nowMs, expected] of [
    ['a token nobody made', undefined, right, soon, 'unknown'],
    ['a wrong secret (F24)', unused, { ...right, secretHash: 'wrong' }, soon, 'wrong-secret'],
    ['a token that is used twice (F24)', used, { ...right, publicKeyHash: 'k2' }, soon, 'used'],
    ['one that is late (F24)', unused, right, late, 'late'],
    ['the answer once more, late', used, right, late, 'late'],
    ['another name (F24)', unused, { ...right, isHolder: false }, soon, 'other-name'],
    ['a revoked token', revoked, right, soon, 'revoked'],
    ['a revoked one, late', revoked, right, late, 'revoked'],
  ] as const) {
    it(`refuses ${what} (SEC-2)`, () => {
      const decision = enrollmentDecision(row, claim, nowMs);
      assert.equal(decision.kind === 'refuse' && decision.refusal, expected);
    });
  }

  it('gives a certificate for a token that is unused and in time', () => {
    assert.deepEqual(enrollmentDecision(unused, right, soon), { kind: 'issue' });
    assert.deepEqual(enrollmentDecision(unused, right, late - 1), { kind: 'issue' });
  });

  it('gives the same key its answer again, so that one lost on the way costs nothing', () => {
    assert.deepEqual(enrollmentDecision(used, right, late - 1), { kind: 'repeat', answer });
  });

  it('tells who does not know the secret nothing of the token, in whatever state it is', () => {
    const claims = fc.record({
      secretHash: fc.constant('wrong'),
      isHolder: fc.boolean(),
      publicKeyHash: fc.constantFrom('key', 'other'),
    });
    const rows = fc.constantFrom(unused, used, revoked);
    fc.assert(
      fc.property(rows, claims, fc.constantFrom(soon, late), (row, claim, nowMs) => {
        const decision = enrollmentDecision(row, claim, nowMs);
        assert.equal(decision.kind, 'refuse');
        assert.equal(toldRefusal(decision.refusal), 'unknown');
      }),
    );
  });

  it(`is over for a token after ${wrongSecretCountMax} wrong secrets, and not before`, () => {
    let row = unused;
    for (let count = 1; count <= wrongSecretCountMax; count++) {
      assert.equal(enrollmentDecision(row, right, soon).kind, 'issue', `after ${count - 1}`);
      const decision = enrollmentDecision(row, { ...right, secretHash: 'wrong' }, soon);
      assert.ok(decision.kind === 'refuse' && decision.row);
      row = decision.row;
      assert.equal(row.wrongSecretCount, count);
    }
    assert.equal(stateOfEnrollment(row, soon), 'revoked');
    const decision = enrollmentDecision(row, right, soon);
    assert.equal(decision.kind === 'refuse' && decision.refusal, 'revoked');
  });

  it('leaves a token that is used, late or revoked as it is when a wrong secret comes', () => {
    const wrong = { ...right, secretHash: 'wrong' };
    for (const [row, nowMs] of [[used, soon] as const, [revoked, soon], [unused, late]] as const) {
      const decision = enrollmentDecision(row, wrong, nowMs);
      assert.equal(decision.kind === 'refuse' && decision.row, undefined);
    }
  });

  it('knows each state of a token', () => {
    const states = [unused, used, revoked].map((row) => stateOfEnrollment(row, soon));
    assert.deepEqual(states, ['unused', 'used', 'revoked']);
    assert.equal(stateOfEnrollment(unused, late), 'expired');
    assert.equal(stateOfEnrollment(used, late), 'used');
  });

  it('is over when nobody can come by it any more, not even for an answer', () => {
    const ends = [unused, used, revoked].map((row) => enrollmentEndedAtMs(row, soon));
    assert.deepEqual(ends, [undefined, undefined, madeMs + 1]);
    assert.deepEqual(enrollmentEndedAtMs(used, late), late);
  });

  it('has words for each refusal, and takes no other word for one', () => {
    for (const name of Object.keys(enrollmentRefusalWords)) {
      assert.equal(parseEnrollmentRefusal(name), name);
    }
    for (const name of Object.keys(renewalRefusalWords)) {
      assert.equal(parseRenewalRefusal(name), name);
    }
    for (const name of ['', 'toString', '__proto__', 'no such thing']) {
      assert.equal(parseEnrollmentRefusal(name), undefined);
      assert.equal(parseRenewalRefusal(name), undefined);
    }
  });
});

describe('renewal by the clock', () => {
  const certificate = { notBeforeMs: 100_000, notAfterMs: 200_000 };
  const facts = { nowMs: 150_000, skewMs: 1_000, graceMs: 50_000, isRevoked: false };
  for (const [what, changes, expected] of [
    ['one that is valid', {}, undefined],
    ['one that has just expired', { nowMs: 200_001 }, undefined],
    ['one at the end of its grace', { nowMs: 250_000 }, undefined],
    ['one after its grace (F22)', { nowMs: 250_001 }, 'too-late'],
    ['one that begins in a moment, by clocks that differ', { nowMs: 99_500 }, undefined],
    ['one that is not valid yet (F22)', { nowMs: 98_999 }, 'not-yet-valid'],
    ['a revoked one (F23)', { isRevoked: true }, 'revoked'],
    ['a revoked one after its grace', { isRevoked: true, nowMs: 250_001 }, 'revoked'],
  ] as const) {
    it(`${expected ? `refuses ${what}, ${expected}` : `renews ${what}`} (SEC-3)`, () => {
      assert.equal(renewalRefusalOf(certificate, { ...facts, ...changes }), expected);
    });
  }
});
