import type { EnrollmentAnswer } from '../../shared/domain/enrollment.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { Clock } from '../../shared/runtime/clock.ts';

/** A renewal that may be given. */
export interface AskedRenewal {
  /** Such as `dp/PS1DP1`. */
  readonly holder: string;
  /** Whom the certificate is for, and for which key: the same again is the same request. */
  readonly subject: string;
  /** What stands behind the answer: with another authority or root the holder need not wait. */
  readonly issuer: string;
}

interface LastRenewal extends AskedRenewal {
  /** Monotonic. */
  readonly atMs: number;
  /** By the clock. */
  readonly dateMs: number;
  readonly answer: Promise<EnrollmentAnswer>;
}

/**
 * One renewal of a holder in a while: each is kept in the table of certificates and in the audit trail, which
 * nobody is to fill. The same request gets its last answer again, for an answer may be lost on the way. In
 * memory, of those who renewed just now; a restart forgets, and so does a clock that is set: what was issued
 * by the wrong one is soon renewed.
 */
export class RenewalPace {
  readonly #clock: Pick<Clock, 'monotonicMs' | 'nowMs'>;
  readonly #pauseMs: number;
  /** By holder, who renewed last at the end. */
  readonly #last = new Map<string, LastRenewal>();

  constructor(clock: Pick<Clock, 'monotonicMs' | 'nowMs'>, pauseMs: number) {
    this.#clock = clock;
    this.#pauseMs = pauseMs;
  }

  /**
   * @param issue makes the certificate
   * @throws RENEWAL_TOO_SOON, or what `issue` does
   */
  async given(
    asked: AskedRenewal,
    issue: () => Promise<EnrollmentAnswer>,
  ): Promise<{ readonly answer: EnrollmentAnswer; readonly isRepeated: boolean }> {
    const nowMs = this.#clock.monotonicMs();
    this.#forget(nowMs);
    const last = this.#last.get(asked.holder);
    if (last?.issuer !== asked.issuer) return this.#first(asked, issue(), nowMs);
    if (last.subject === asked.subject) return { answer: await last.answer, isRepeated: true };
    const waitMs = last.atMs + this.#pauseMs - nowMs;
    throw new WaybillError({ code: 'RENEWAL_TOO_SOON', holder: asked.holder, waitMs });
  }

  async #first(asked: AskedRenewal, answer: Promise<EnrollmentAnswer>, atMs: number) {
    const renewal = { ...asked, answer, atMs, dateMs: this.#clock.nowMs() };
    this.#last.delete(asked.holder);
    this.#last.set(asked.holder, renewal);
    try {
      return { answer: await answer, isRepeated: false };
    } catch (error) {
      if (this.#last.get(asked.holder) === renewal) this.#last.delete(asked.holder);
      throw error;
    }
  }

  #forget(nowMs: number): void {
    const isIn = (ms: number) => Math.abs(ms) < this.#pauseMs;
    for (const [holder, { atMs, dateMs }] of this.#last) {
      if (isIn(nowMs - atMs) && isIn(this.#clock.nowMs() - dateMs)) continue;
      this.#last.delete(holder);
    }
  }
}
