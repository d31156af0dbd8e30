import assert from 'node:assert/strict';
import { SeededRandom } from '../testing/seeded-random.ts';
import {
  afterFailure,
  afterSuccess,
  type CertificateState,
  certificateCounts,
  clockSkewMsMax,
  defaultRenewalPace,
  isRootAllThatIsWanted,
  type KeepingRules,
  type KeptCertificate,
  noTries,
  type RenewalTries,
  refusalOfRenewed,
  standingOf,
} from './certificate-keeping.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const beginMs = Date.UTC(2026, 0, 1);
const certificate: KeptCertificate = {
  ...{ notBeforeMs: beginMs, notAfterMs: beginMs + 90 * dayMs, jitter: 0, isOnOldRoot: false },
};
const rules: KeepingRules = { canRenew: true, isOwnIssuer: false, graceMs: 30 * dayMs };

function standing(
  atMs: number,
  options: {
    tries?: RenewalTries;
    rules?: Partial<KeepingRules>;
    certificate?: Partial<KeptCertificate>;
  } = {},
) {
  return standingOf(
    { ...certificate, ...options.certificate },
    options.tries ?? noTries,
    { nowMs: atMs, monotonicMs: 1_000 },
    { ...rules, ...options.rules },
  );
}

describe('how it stands with a certificate (SEC-3, F22)', () => {
  const cases: [string, number, CertificateState, boolean][] = [
    ['a clock at 1970', 0, 'not-yet-valid', false],
    ['a clock 10 minutes before its beginning', beginMs - 10 * minuteMs, 'not-yet-valid', false],
    ['its first moment', beginMs, 'valid', false],
    ['just before two thirds of its life', beginMs + 60 * dayMs - 1, 'valid', false],
    ['two thirds of its life', beginMs + 60 * dayMs, 'renewing', true],
    ['its last moment', beginMs + 90 * dayMs, 'renewing', true],
    ['ten minutes after its end', beginMs + 90 * dayMs + 10 * minuteMs, 'expired', true],
    ['the end of the grace period', beginMs + 120 * dayMs, 'expired', true],
    ['after the grace period', beginMs + 120 * dayMs + 1, 'expired', false],
    ['a clock two years ahead', beginMs + 730 * dayMs, 'expired', false],
  ];
  for (const [what, atMs, state, isDue] of cases) {
    it(`${what}: ${state}${isDue ? ', and renewed' : ''}`, () => {
      const found = standing(atMs);
      assert.deepEqual({ state: found.state, isDue: found.isDue }, { state, isDue });
    });
  }

  it('many machines do not renew at one moment, and all before their certificates end', () => {
    const random = new SeededRandom(3);
    const moments = Array.from({ length: 100 }, () => {
      const jitter = random.next();
      let atMs = beginMs;
      while (standing(atMs, { certificate: { jitter } }).state === 'valid') atMs += hourMs;
      return atMs - beginMs;
    });
    assert.ok(Math.min(...moments) >= 60 * dayMs);
    assert.ok(Math.max(...moments) <= 64.5 * dayMs + hourMs);
    assert.ok(new Set(moments).size > 50);
  });

  it('one of a root that was retired counts for nobody, and is followed by its key, however young', () => {
    const retired = { isOnOldRoot: true, isOfRetiredRoot: true };
    const found = standing(beginMs + dayMs, { certificate: retired });
    assert.deepEqual([found.state, found.isDue], ['root-retired', true]);
    assert.equal(certificateCounts(found.state), false);
    assert.match(found.reason, /^the root behind it counts no more$/);
    const over = standing(beginMs + 121 * dayMs, { certificate: retired });
    assert.deepEqual([over.state, over.isDue], ['expired', false]);
  });

  it('whoever issues it himself makes no other one for a root: his authority is to change', () => {
    const certificate = { isOnOldRoot: true };
    const found = standing(beginMs + dayMs, { certificate, rules: { isOwnIssuer: true } });
    assert.deepEqual([found.state, found.isDue], ['valid', false]);
  });

  for (const [what, days, changes, expected] of [
    ['young and on an older root', 1, { isOnOldRoot: true }, true],
    ['on the newest root', 1, {}, false],
    ['due by its age as well', 61, { isOnOldRoot: true }, false],
    ['of a root that was retired', 1, { isOnOldRoot: true, isOfRetiredRoot: true }, false],
    ['expired', 91, { isOnOldRoot: true }, false],
  ] as const) {
    it(`one that is ${what} is ${expected ? '' : 'not '}wanted for its root alone`, () => {
      const kept = { ...certificate, ...changes };
      assert.equal(isRootAllThatIsWanted(kept, beginMs + days * dayMs), expected);
    });
  }

  it('one on a root that another follows is renewed, however young', () => {
    const found = standing(beginMs + dayMs, { certificate: { isOnOldRoot: true } });
    assert.deepEqual(found, { state: 'renewing', reason: '', isDue: true });
  });

  it('one that somebody has put there is watched, and never renewed', () => {
    const watched = { rules: { canRenew: false } };
    assert.deepEqual(standing(beginMs + 80 * dayMs, watched), {
      ...{ state: 'valid', reason: '', isDue: false },
    });
    const expired = standing(beginMs + 91 * dayMs, watched);
    assert.deepEqual(
      { state: expired.state, isDue: expired.isDue },
      { state: 'expired', isDue: false },
    );
    assert.match(expired.reason, /put a new one in its place/);
  });

  it('a site that issues its own does so also when its clock was wrong before', () => {
    const own = { rules: { isOwnIssuer: true } };
    assert.equal(standing(beginMs - 730 * dayMs, own).isDue, true);
    assert.equal(standing(beginMs + 730 * dayMs, own).isDue, true);
  });

  it('says why with both times, and what to do', () => {
    assert.equal(
      standing(0).reason,
      "it is not valid before 2026-01-01 00:00:00 UTC, and it is 1970-01-01 00:00:00 UTC by this machine's clock; set the clock, if that is wrong",
    );
    assert.match(
      standing(beginMs + 730 * dayMs).reason,
      /^it expired at 2026-04-01 00:00:00 UTC, and it is 2028-01-01 .*; .* if the clock is right, enroll this machine again with a new token$/,
    );
    const tries = { ...noTries, failedCount: 1, failure: 'the site is away' };
    assert.match(
      standing(beginMs + 100 * dayMs, { tries }).reason,
      /^it expired at .*; it could not be renewed: the site is away$/,
    );
    const refused = { ...tries, isRefused: true };
    assert.equal(standing(beginMs + 70 * dayMs, { tries: refused }).state, 'refused');
    assert.equal(standing(beginMs + 10 * dayMs, { tries: refused }).state, 'valid');
  });
});

describe('how often renewing is tried (SEC-3, F22)', () => {
  const failed = { failure: 'the site is away', isRefused: false };

  it('from a minute to an hour apart, never more often', () => {
    const random = new SeededRandom(7);
    for (let round = 0; round < 50; round++) {
      let tries: RenewalTries = noTries;
      let monotonicMs = 0;
      for (let count = 1; count <= 40; count++) {
        tries = afterFailure(
          tries,
          failed,
          { monotonicMs, random: () => random.next() },
          defaultRenewalPace,
        );
        const pauseMs = tries.notBeforeMs - monotonicMs;
        assert.ok(pauseMs >= minuteMs && pauseMs <= hourMs, `${pauseMs} ms after try ${count}`);
        if (count === 1) assert.ok(pauseMs <= 2 * minuteMs);
        if (count > 10) assert.ok(pauseMs >= hourMs / 2);
        monotonicMs = tries.notBeforeMs;
      }
    }
  });

  it('what is refused is asked for about once an hour', () => {
    const time = { monotonicMs: 0, random: () => 0 };
    const tries = afterFailure(noTries, { ...failed, isRefused: true }, time, defaultRenewalPace);
    assert.equal(tries.notBeforeMs, hourMs / 2);
  });

  it('a certificate that is to be followed at once, when it comes, makes no loop', () => {
    const tries = afterSuccess(1_000, defaultRenewalPace);
    const atMs = beginMs + 70 * dayMs;
    assert.equal(standing(atMs, { tries }).isDue, false);
    const later = { nowMs: atMs, monotonicMs: 1_000 + minuteMs };
    assert.equal(standingOf(certificate, tries, later, rules).isDue, true);
  });
});

describe('a certificate that a site gives (SEC-3, F22)', () => {
  const nowMs = beginMs;
  const lifeFrom = (notBeforeMs: number) => ({ notBeforeMs, notAfterMs: notBeforeMs + 90 * dayMs });

  it('is taken when it counts now, or soon, as clocks go', () => {
    assert.equal(refusalOfRenewed(lifeFrom(nowMs - 5 * minuteMs), nowMs), undefined);
    assert.equal(refusalOfRenewed(lifeFrom(nowMs + 5 * minuteMs), nowMs), undefined);
    assert.equal(refusalOfRenewed(lifeFrom(nowMs + clockSkewMsMax), nowMs), undefined);
  });

  it('is not taken when it begins later than the one before can wait for', () => {
    const soon = lifeFrom(nowMs + 10 * minuteMs);
    assert.equal(refusalOfRenewed(soon, nowMs, 10 * minuteMs), undefined);
    assert.match(refusalOfRenewed(soon, nowMs, 10 * minuteMs - 1) ?? '', /^it is not valid before/);
  });

  it('is not taken from a site whose clock is two years ahead, or at 1970', () => {
    assert.match(
      refusalOfRenewed(lifeFrom(nowMs + 730 * dayMs), nowMs) ?? '',
      /^it is not valid before 2028/,
    );
    assert.match(refusalOfRenewed(lifeFrom(0), nowMs) ?? '', /it expired at 1970/);
  });
});
