import assert from 'node:assert/strict';
import { WaybillError } from '../domain/errors.ts';
import type { Clock } from '../runtime/clock.ts';
import { CapturedLog } from '../testing/captured-log.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { CertificateKeeper, type KeptSubject } from './certificate-keeper.ts';
import type { VouchedCertificate } from './kept-certificate.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const lifeMs = 90 * dayMs;

const away = new WaybillError({
  ...{
    code: 'PEER_UNREACHABLE',
    peer: 'the site',
    address: 'site:8531',
    reason: 'nobody is there',
  },
});
const revoked = new WaybillError({
  ...{
    code: 'PEER_NOT_ALLOWED',
    caller: 'waybill://dp/PS1DP1',
    method: 'Renew',
    expected: 'others',
  },
});

/** A keeper, a certificate of ninety days that has just begun, and a clock that can be set. */
class KeptTest implements AsyncDisposable {
  readonly time = new FakeClock(Date.UTC(2026, 0, 1));
  readonly log = new CapturedLog();
  /** By how much the machine's clock is wrong. */
  clockErrorMs = 0;
  #passedMs = 0;
  certificate: VouchedCertificate;
  /** What becomes of a try; absent: another certificate. */
  failure: Error | undefined;
  /** When was tried, monotonic. */
  readonly triedAtMs: number[] = [];
  countedAgain = 0;
  lookFailure: Error | undefined;
  lastTriedAtMs: number | undefined;
  readonly clock: Clock = {
    nowMs: () => this.rightMs + this.clockErrorMs,
    monotonicMs: () => this.monotonicMs,
    sleep: (ms, signal) => this.time.sleep(ms, signal),
  };
  readonly keeper: CertificateKeeper;

  constructor({ canRenew = true, isOwnIssuer = false } = {}) {
    this.certificate = this.issued();
    const subject: KeptSubject = {
      name: 'agent',
      look: async () => {
        if (this.lookFailure) throw this.lookFailure;
        return this.certificate;
      },
      lastKnown: () => this.certificate,
      countsAgain: () => {
        this.countedAgain++;
      },
      ...(canRenew && {
        renewal: {
          isOwnIssuer,
          renew: async () => {
            this.triedAtMs.push(this.monotonicMs);
            if (this.failure) throw this.failure;
            this.certificate = this.issued(isOwnIssuer ? this.clock.nowMs() : this.rightMs);
          },
          lastTriedAtMs: async () => this.lastTriedAtMs,
        },
      }),
    };
    const { clock, log } = this;
    this.keeper = new CertificateKeeper({ subject, clock, random: () => 0.5, logger: log.logger });
  }

  /** By the site's clock, which is right, unless said otherwise. */
  issued(fromMs = this.rightMs): VouchedCertificate {
    const notBeforeMs = fromMs - 5 * minuteMs;
    return {
      ...{ notBeforeMs, notAfterMs: notBeforeMs + lifeMs, jitter: 0.5, isOnOldRoot: false },
      ...{ issuerSiteCode: 'PS1', rootKeyId: '' },
    };
  }

  /** What time it is by a clock that is right. */
  get rightMs(): number {
    return this.time.nowMs() + this.#passedMs;
  }

  get monotonicMs(): number {
    return this.time.monotonicMs() + this.#passedMs;
  }

  /** Lets time pass, with one look at its end: not one a minute, through months. */
  async pass(ms: number): Promise<void> {
    this.#passedMs += ms - minuteMs;
    await this.time.advance(minuteMs);
  }

  /** How often something was logged. */
  logged(message: string): number {
    return this.log.messages().filter((one) => one.startsWith(message)).length;
  }

  get state(): string {
    return this.keeper.report().state;
  }

  /** Shortest time between two tries. */
  get pauseMsMin(): number {
    return Math.min(...this.triedAtMs.slice(1).map((atMs, index) => atMs - this.triedAtMs[index]!));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.keeper.stop();
  }
}

describe('the certificate keeper (SEC-3, F22)', () => {
  it('renews once at two thirds of the life, and a little later', async () => {
    await using test = new KeptTest();
    await test.keeper.start();
    await test.pass(60 * dayMs);
    assert.deepEqual(
      { state: test.state, tries: test.triedAtMs.length },
      { state: 'valid', tries: 0 },
    );
    await test.pass(3 * dayMs);
    assert.equal(test.triedAtMs.length, 1);
    assert.equal(test.keeper.report().notAfterMs, test.certificate.notAfterMs);
    for (let day = 0; day < 180; day++) await test.pass(dayMs);
    assert.deepEqual(
      { state: test.state, tries: test.triedAtMs.length },
      { state: 'valid', tries: 3 },
    );
  });

  it('tries less and less often while the site is away, and goes on when it is back', async () => {
    await using test = new KeptTest();
    test.failure = away;
    await test.keeper.start();
    await test.pass(63 * dayMs);
    assert.equal(test.state, 'renewing');
    const before = test.triedAtMs.length;
    await test.time.advance(dayMs);
    const dayCount = test.triedAtMs.length - before;
    assert.ok(dayCount >= 24 && dayCount <= 48, `${dayCount} tries a day`);
    assert.ok(test.pauseMsMin >= minuteMs);
    assert.match(test.keeper.report().reason, /it could not be renewed: .* nobody is there/);
    test.failure = undefined;
    await test.time.advance(hourMs + minuteMs);
    assert.deepEqual(test.keeper.report(), {
      ...{ state: 'valid', reason: '', issuerSiteCode: 'PS1', rootKeyId: '' },
      notBeforeMs: test.certificate.notBeforeMs,
      notAfterMs: test.certificate.notAfterMs,
    });
  });

  it('one that has expired while the agent was off comes back by its old key', async () => {
    await using test = new KeptTest();
    await test.pass(lifeMs + 20 * dayMs);
    await test.keeper.start();
    assert.equal(test.logged('The certificate has expired'), 1);
    await test.time.advance(minuteMs);
    assert.deepEqual(
      { state: test.state, tries: test.triedAtMs.length },
      { state: 'valid', tries: 1 },
    );
    assert.equal(test.countedAgain, 1);
  });

  it('after the grace period it asks nobody, stays up and says that a token is needed', async () => {
    await using test = new KeptTest();
    await test.pass(lifeMs + 31 * dayMs);
    await test.keeper.start();
    await test.time.advance(dayMs);
    assert.equal(test.triedAtMs.length, 0);
    const { state, reason } = test.keeper.report();
    assert.equal(state, 'expired');
    assert.match(
      reason,
      /^it expired at 2026-03-31 .*; .* enroll this machine again with a new token$/,
    );
    assert.equal(test.logged('The certificate has expired'), 1);
    // As after `waybill-dp enroll`.
    test.certificate = test.issued();
    await test.time.advance(minuteMs);
    assert.equal(test.state, 'valid');
  });

  it('what the site refuses is asked for about once an hour, and told', async () => {
    await using test = new KeptTest();
    test.failure = revoked;
    await test.pass(70 * dayMs);
    await test.keeper.start();
    await test.time.advance(5 * hourMs);
    assert.equal(test.state, 'refused');
    assert.ok(test.triedAtMs.length <= 10, `${test.triedAtMs.length} tries`);
    assert.equal(test.logged('The site refuses to renew the certificate'), 1);
  });

  const wrongClocks: [string, number, string][] = [
    ['at 1970', -Date.UTC(2026, 0, 2), 'not-yet-valid'],
    ['10 minutes behind', -(dayMs + 10 * minuteMs), 'not-yet-valid'],
    ['two years ahead', 730 * dayMs, 'expired'],
    ['at its last moment and 10 minutes on', lifeMs - dayMs + 10 * minuteMs, 'expired'],
  ];
  for (const [how, clockErrorMs, state] of wrongClocks) {
    it(`with a clock ${how} it stays up, says why, and recovers by itself`, async () => {
      await using test = new KeptTest();
      test.failure = away;
      await test.pass(dayMs);
      test.clockErrorMs = clockErrorMs;
      await test.keeper.start();
      await test.time.advance(4 * minuteMs);
      assert.equal(test.state, state);
      const { reason } = test.keeper.report();
      const year = new Date(test.clock.nowMs()).getUTCFullYear();
      assert.match(reason, new RegExp(`, and it is ${year}-.* UTC by this machine's clock`));
      assert.ok(test.triedAtMs.length < 2 || test.pauseMsMin >= minuteMs);
      test.clockErrorMs = 0;
      await test.time.advance(minuteMs);
      assert.deepEqual({ state: test.state, told: test.countedAgain }, { state: 'valid', told: 1 });
      // Nothing of the failures is left once it counts.
      assert.equal(test.keeper.report().reason, '');
    });
  }

  it('a clock that jumps back and forth makes no loop', async () => {
    await using test = new KeptTest();
    await test.keeper.start();
    for (let jump = 0; jump < 50; jump++) {
      test.clockErrorMs = jump % 2 === 0 ? lifeMs + dayMs : -dayMs;
      await test.time.advance(10_000);
    }
    test.clockErrorMs = 0;
    await test.time.advance(minuteMs);
    assert.equal(test.state, 'valid');
    assert.ok(test.triedAtMs.length < 2 || test.pauseMsMin >= minuteMs);
  });

  it('a site that issued its own by a wrong clock does so again by the right one', async () => {
    await using test = new KeptTest({ isOwnIssuer: true });
    await test.keeper.start();
    test.clockErrorMs = 730 * dayMs;
    await test.time.advance(minuteMs);
    assert.equal(test.state, 'valid');
    test.clockErrorMs = 0;
    await test.time.advance(2 * minuteMs);
    assert.equal(test.state, 'valid');
    assert.equal(test.triedAtMs.length, 2);
    assert.ok(test.certificate.notBeforeMs <= test.rightMs);
  });

  it('a program that is started again and again asks no more often', async () => {
    await using test = new KeptTest();
    await test.pass(70 * dayMs);
    test.lastTriedAtMs = test.clock.nowMs() - 5_000;
    await test.keeper.start();
    await test.time.advance(50_000);
    assert.equal(test.triedAtMs.length, 0);
    await test.time.advance(2 * minuteMs);
    assert.equal(test.triedAtMs.length, 1);
  });

  it('after a change of the root it renews within the hour', async () => {
    await using test = new KeptTest();
    await test.keeper.start();
    test.certificate = { ...test.certificate, isOnOldRoot: true };
    test.keeper.wake();
    await test.time.advance(minuteMs);
    assert.deepEqual(
      { state: test.state, tries: test.triedAtMs.length },
      { state: 'renewing', tries: 0 },
    );
    await test.time.advance(hourMs);
    assert.deepEqual(
      { state: test.state, tries: test.triedAtMs.length },
      { state: 'valid', tries: 1 },
    );
  });

  it('after its root was retired it says so, and renews within a minute, whatever failed before', async () => {
    await using test = new KeptTest();
    test.certificate = { ...test.certificate, isOnOldRoot: true };
    test.failure = away;
    await test.keeper.start();
    await test.time.advance(5 * hourMs);
    const triedBefore = test.triedAtMs.length;
    test.certificate = { ...test.certificate, isOfRetiredRoot: true };
    test.failure = undefined;
    test.keeper.wake();
    await test.time.advance(1);
    assert.equal(test.state, 'root-retired');
    assert.equal(test.logged('The root behind the certificate counts no more'), 1);
    await test.time.advance(minuteMs);
    assert.equal(test.triedAtMs.length, triedBefore + 1);
    assert.equal(test.state, 'valid');
    assert.equal(test.countedAgain, 1);
  });

  it('after its root was retired it renews within a minute, though it was to wait for the change of the root', async () => {
    await using test = new KeptTest();
    await test.keeper.start();
    test.certificate = { ...test.certificate, isOnOldRoot: true, jitter: 0.9 };
    await test.time.advance(minuteMs);
    assert.deepEqual([test.state, test.triedAtMs.length], ['renewing', 0]);
    test.certificate = { ...test.certificate, isOfRetiredRoot: true };
    test.keeper.wake();
    await test.time.advance(1);
    assert.deepEqual([test.state, test.triedAtMs.length], ['root-retired', 0]);
    await test.time.advance(minuteMs);
    assert.deepEqual([test.state, test.triedAtMs.length], ['valid', 1]);
  });

  it('after its root was retired, a program that is started again and again asks once a minute', async () => {
    await using test = new KeptTest();
    test.certificate = { ...test.certificate, isOnOldRoot: true, isOfRetiredRoot: true, jitter: 0 };
    test.lastTriedAtMs = test.clock.nowMs() - 5_000;
    await test.keeper.start();
    await test.time.advance(50_000);
    assert.equal(test.triedAtMs.length, 0);
  });

  it('a certificate that is to be followed at once when it comes makes no loop', async () => {
    await using test = new KeptTest();
    test.certificate = { ...test.certificate, isOnOldRoot: true };
    const issued = test.issued.bind(test);
    test.issued = (fromMs) => ({ ...issued(fromMs), isOnOldRoot: true });
    await test.keeper.start();
    await test.time.advance(dayMs);
    assert.ok(
      test.triedAtMs.length >= 20 && test.triedAtMs.length <= 60,
      `${test.triedAtMs.length}`,
    );
    assert.match(test.keeper.report().reason, /to be followed at once/);
  });

  it('files that cannot be used are told once; what is in use goes on being used', async () => {
    await using test = new KeptTest();
    await test.keeper.start();
    const reason = 'it is not a private key';
    test.lookFailure = new WaybillError({ code: 'CERTIFICATE_INVALID', path: 'agent.pem', reason });
    await test.time.advance(10 * minuteMs);
    assert.equal(test.state, 'valid');
    assert.equal(test.logged('The certificate files cannot be used'), 1);
    test.lookFailure = undefined;
    await test.pass(70 * dayMs);
    assert.equal(test.triedAtMs.length, 1);
  });

  /** It is due, and the first try fails. */
  async function failOnce(test: KeptTest): Promise<void> {
    await test.pass(70 * dayMs);
    await test.keeper.start();
    await test.time.advance(minuteMs);
    assert.deepEqual(
      { state: test.state, tries: test.triedAtMs.length },
      { state: 'renewing', tries: 1 },
    );
  }

  it('a full or read-only disk is a try that failed', async () => {
    await using test = new KeptTest();
    const readOnly = Object.assign(new Error('EROFS'), { code: 'EROFS', syscall: 'open' });
    test.failure = readOnly;
    await failOnce(test);
    assert.match(test.keeper.report().reason, /its file system is read-only/);
  });

  it('a fault is a try that failed, told as one, and ends nothing', async () => {
    await using test = new KeptTest();
    test.failure = Object.assign(new Error('decode error'), { code: 'ERR_OSSL_EVP_DECODE_ERROR' });
    await failOnce(test);
    assert.match(test.keeper.report().reason, /failed on a fault/);
    assert.deepEqual(test.log.messages(50), ['Renewing a certificate failed on a fault']);
    test.failure = undefined;
    await test.time.advance(2 * hourMs);
    assert.deepEqual(
      { state: test.state, tries: test.triedAtMs.length },
      { state: 'valid', tries: 2 },
    );
  });

  it('separate files are watched, and never renewed', async () => {
    await using test = new KeptTest({ canRenew: false });
    await test.keeper.start();
    await test.pass(lifeMs);
    assert.deepEqual(
      { state: test.state, tries: test.triedAtMs.length },
      { state: 'expired', tries: 0 },
    );
    test.certificate = test.issued();
    await test.time.advance(minuteMs);
    assert.equal(test.state, 'valid');
  });
});
