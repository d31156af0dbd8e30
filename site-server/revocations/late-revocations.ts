/**
 * Sees to it that a revocation which another site said counts for what this site has issued before it heard of it:
 * such a certificate may begin after the moment that was said. Then this site says so too, from now on. Called by
 * nobody; follows the tables "revocations" and "issued certificates", and which revocations are heard again. Writes
 * this site's rows of "revocations", and ends unused tokens, in one batch. After a crash the start looks at all that was issued.
 */
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { IssuedCertificateRecord } from '../../shared/domain/issued-certificate.ts';
import { toIdentityUri } from '../../shared/domain/peer-identity.ts';
import { holderKindOf, isRevoked, type Revocation } from '../../shared/domain/revocation.ts';
import { ignoreAbort, workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import { holderOfRow } from '../enrollment/enrollment-tokens.ts';
import { tokensGone } from '../enrollment/tokens-gone.ts';
import { revocationsOf } from './revocation-rows.ts';
import type { Revocations } from './revocations.ts';

export interface LateRevocationsNeeds {
  readonly store: Pick<StateStore, 'records' | 'write' | 'onWritten'>;
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  readonly siteCode: string;
  readonly revocations: Pick<Revocations, 'heardByIssuer' | 'onHeardAgain'>;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

/** How long is waited after the disk was full. */
const againMs = 60_000;

export class LateRevocations implements Component {
  readonly #needs: LateRevocationsNeeds;
  readonly #stopping = new AbortController();
  readonly #wake = new WakeSignal();
  /** Holders to be looked at: no more than there are revocations and issued certificates. */
  readonly #news = new Set<string>();
  #ends: readonly (() => void)[] = [];
  #running: Promise<void> | undefined;

  constructor(needs: LateRevocationsNeeds) {
    this.#needs = needs;
  }

  /** After the revocations, before anybody connects. */
  async start(): Promise<void> {
    const { store, revocations } = this.#needs;
    this.#ends = [
      store.onWritten((changes) => this.#onWritten(changes)),
      // It was passed over perhaps before anybody looked at it.
      revocations.onHeardAgain((holders) => this.#onHeardAgain(holders)),
    ];
    for await (const [, { holder }] of this.#issued.list()) this.#news.add(holder);
    for await (const [, row] of this.#needs.store.records(keySpaces.enrollmentTokens).list()) {
      const holder = holderOfRow(row);
      if (holder !== undefined) this.#news.add(holder);
    }
    this.#wake.wake();
    await this.#lookAtNews();
    this.#running = this.#run(this.#stopping.signal).catch(ignoreAbort);
  }

  async stop(): Promise<void> {
    for (const end of this.#ends) end();
    this.#stopping.abort(workIsOver);
    await this.#running;
  }

  #onWritten(changes: readonly Change[]): void {
    for (const { type, space, key } of changes) {
      if (type !== 'put') continue;
      const isIssued = space === keySpaces.issuedCertificates.name;
      if (!isIssued && space !== keySpaces.revocations.name) continue;
      // Both keys name the holder after the kind, or the site.
      this.#news.add(key.split('/').slice(1, 3).join('/'));
      this.#wake.wake();
    }
  }

  #onHeardAgain(holders: ReadonlySet<string>): void {
    for (const holder of holders) this.#news.add(holder);
    this.#wake.wake();
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#wake.wait(signal);
      if (await this.#lookAtNews()) continue;
      await this.#needs.clock.sleep(againMs, signal);
      this.#wake.wake();
    }
  }

  /** Those that cannot be written now are kept. @returns whether none is left */
  async #lookAtNews(): Promise<boolean> {
    try {
      for (const holder of this.#news) {
        this.#news.delete(holder);
        await this.#look(holder).catch((error: unknown) => {
          this.#news.add(holder);
          throw error;
        });
      }
      return true;
    } catch (err) {
      if (!isErrorWithCode(err, 'DISK_FULL')) throw err;
      this.#needs.logger.warn({ err }, 'What was revoked at another site could not be written');
      return false;
    }
  }

  async #look(holder: string): Promise<void> {
    const { siteCode, revocations, logger } = this.#needs;
    const said = revocations.heardByIssuer(holder);
    if (!said) return;
    await this.#endTokens(said);
    const issued = await this.#issuedTo(holder);
    if (!issued.some((one) => isMissedBy(said, one))) return;
    const revokedBy = toIdentityUri({ kind: 'site', siteCode });
    const why = { reason: said.reason, revokedBy };
    const notBeforeMs = Math.max(...issued.map((one) => one.notBeforeMs));
    const { changes } = await revocationsOf(this.#needs, [holder], why, notBeforeMs);
    await this.#needs.store.write(changes, { sync: true });
    logger.info({ holder, saidAt: said.siteCode }, 'Revoked what was issued before it was heard');
  }

  /** Those that were made before it was said let nobody in any more; a later one is for somebody to come back. */
  async #endTokens({ holder, revokedAtMs }: Revocation): Promise<void> {
    const { store, clock, logger } = this.#needs;
    const changes = await tokensGone(store, [holder], clock.nowMs(), revokedAtMs);
    if (changes.length === 0) return;
    await store.write(changes, { sync: true });
    logger.info({ holder }, 'Ended the tokens of a holder that was revoked at another site');
  }

  /** Of a site its authority, which the top has issued; a site's leaf falls with that. */
  async #issuedTo(holder: string): Promise<IssuedCertificateRecord[]> {
    const kind = holderKindOf(holder) === 'site' ? 'authority' : 'leaf';
    const prefix = `${joinKey(kind, ...holder.split('/'))}/`;
    const issued: IssuedCertificateRecord[] = [];
    for await (const [, one] of this.#issued.list({ prefix })) issued.push(one);
    return issued;
  }

  get #issued() {
    return this.#needs.store.records(keySpaces.issuedCertificates);
  }
}

/** Whether it was issued without knowing of the revocation, and begins after it. */
function isMissedBy(said: Revocation, issued: IssuedCertificateRecord): boolean {
  const { knownRevokedAtMs = Number.POSITIVE_INFINITY, notBeforeMs } = issued;
  return knownRevokedAtMs < said.revokedAtMs && !isRevoked(notBeforeMs, said);
}
