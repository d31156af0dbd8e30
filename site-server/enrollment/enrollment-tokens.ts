import { createHash } from 'node:crypto';
import {
  type EnrollmentAnswer,
  type EnrollmentClaim,
  type EnrollmentDecision,
  type EnrollmentRow,
  enrollmentDecision,
  enrollmentEndedAtMs,
  revokedEnrollment,
  stateOfEnrollment,
  type TokenRevocation,
} from '../../shared/domain/enrollment.ts';
import {
  type EnrollmentToken,
  encodeEnrollmentToken,
  enrollmentSecretBytes,
} from '../../shared/domain/enrollment-token.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import {
  fromIdentityUri,
  holderOf,
  type PeerIdentity,
  toIdentityUri,
} from '../../shared/domain/peer-identity.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { KeyedTurns } from '../../shared/runtime/keyed-turns.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** What keeping tokens needs. */
export interface EnrollmentTokensComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  /** So many random bytes, fit for secrets. */
  readonly randomBytes: (count: number) => Uint8Array;
}

/** How many tokens are kept. */
export interface EnrollmentTokensConfig {
  /** Tokens in all; when there are more, those that ended first go. @default 10_000 */
  readonly countMax: number;
  /** How long one that is of no use any more is kept, to be looked at. @default 30 days */
  readonly keptMs: number;
}

export const defaultEnrollmentTokensConfig: EnrollmentTokensConfig = {
  countMax: 10_000,
  keptMs: 30 * 24 * 3_600_000,
};

/** What a token is to be for. */
export interface NewEnrollment {
  readonly identity: PeerIdentity;
  readonly validForMs: number;
  /** Identity URI of the administrator. */
  readonly createdBy: string;
  /** SHA-256 of the public key info of the root that the new machine is to believe. */
  readonly rootKeyHash: Uint8Array;
}

/** Somebody who comes with a token. */
export interface TokenClaim extends Pick<EnrollmentClaim, 'secretHash'> {
  /** Whom he wants to be. */
  readonly holder: string;
  readonly callerAddress: string;
  /** Reads the key he wants a certificate for; called only when he knows the secret. */
  readonly publicKeyHash: () => Promise<string>;
}

/** Somebody who came with a token and got something for it, or not. */
export type TakenToken =
  | { readonly row: EnrollmentRow; readonly answer: EnrollmentAnswer; readonly isRepeated: boolean }
  | Extract<EnrollmentDecision, { kind: 'refuse' }>;

/**
 * The enrollment tokens of this site (SEC-2): only the hash of each secret. Owns the table "enrollment
 * tokens". Using a token up and keeping what it has brought are one synced batch; a crash before it
 * leaves the token unused, and a certificate that nobody was given.
 */
export class EnrollmentTokens {
  readonly #components: EnrollmentTokensComponents;
  readonly #config: EnrollmentTokensConfig;
  readonly #turns = new KeyedTurns();
  readonly #making = new SerialQueue();

  constructor(components: EnrollmentTokensComponents, config = defaultEnrollmentTokensConfig) {
    this.#components = components;
    this.#config = config;
  }

  /**
   * Makes a token, in the place of those that were made for the same holder and not used.
   *
   * @param addHolder what is to be done first, once there is room for the token: what fails before it, or in it, has
   *   made nobody and ended no token
   * @returns the text to hand over, which is not to be had again
   * @throws REQUEST_INVALID when there are too many
   */
  create(
    enrollment: NewEnrollment,
    addHolder: () => Promise<unknown> = async () => {},
  ): Promise<{ text: string; row: EnrollmentRow }> {
    return this.#making.run(async () => {
      await this.#sweep();
      await addHolder();
      await this.revokeUnusedOf(holderOf(enrollment.identity), 'newer-token');
      const { clock, randomBytes } = this.#components;
      const token: EnrollmentToken = {
        tokenId: Buffer.from(randomBytes(8)).toString('hex'),
        secret: randomBytes(enrollmentSecretBytes),
        rootKeyHash: enrollment.rootKeyHash,
      };
      const createdAtMs = clock.nowMs();
      const row: EnrollmentRow = {
        tokenId: token.tokenId,
        secretHash: secretHashOf(token.secret),
        identityUri: toIdentityUri(enrollment.identity),
        createdAtMs,
        createdBy: enrollment.createdBy,
        expiresAtMs: createdAtMs + enrollment.validForMs,
        wrongSecretCount: 0,
      };
      await this.#write([this.#rows.put(row.tokenId, row)]);
      return { text: encodeEnrollmentToken(token), row };
    });
  }

  /**
   * What a token brings whoever comes with it. One after another for the same token.
   *
   * @param issue makes the certificate; called only when the token is good and unused
   */
  take(
    tokenId: string,
    claim: TokenClaim,
    issue: (row: EnrollmentRow) => Promise<EnrollmentAnswer>,
  ): Promise<TakenToken> {
    return this.#turns.run(tokenId, async () => {
      const row = await this.#rows.get(tokenId);
      const nowMs = this.#components.clock.nowMs();
      const isHolder = row !== undefined && holderOfRow(row) === claim.holder;
      const { callerAddress, secretHash } = claim;
      // Who only guesses must not cost more than a look.
      const publicKeyHash = row?.secretHash === secretHash ? await claim.publicKeyHash() : '';
      const decision = enrollmentDecision(row, { secretHash, publicKeyHash, isHolder }, nowMs);
      if (decision.kind === 'refuse') {
        if (decision.row) await this.#write([this.#rows.put(tokenId, decision.row)]);
        return decision;
      }
      if (!row) throw new Error('A token that is not there was taken');
      if (decision.kind === 'repeat') return { row, answer: decision.answer, isRepeated: true };
      const answer = await issue(row);
      const isRevoked = (await this.#rows.get(tokenId))?.revoked !== undefined;
      if (isRevoked) return { kind: 'refuse', refusal: 'revoked' };
      const used = { ...row, used: { atMs: nowMs, callerAddress, publicKeyHash, answer } };
      await this.#write([this.#rows.put(tokenId, used)]);
      return { row: used, answer, isRepeated: false };
    });
  }

  /** From now on nobody gets in by it; again, nothing changes. @throws ENROLLMENT_UNKNOWN, ENROLLMENT_STATE_CONFLICT */
  revoke(tokenId: string): Promise<EnrollmentRow> {
    return this.#turns.run(tokenId, async () => {
      const row = await this.#rows.get(tokenId);
      if (!row) throw new WaybillError({ code: 'ENROLLMENT_UNKNOWN', tokenId });
      if (row.used) {
        const expected = 'unused: revoke its certificate with "waybill certs revoke"';
        throw new WaybillError({
          code: 'ENROLLMENT_STATE_CONFLICT',
          tokenId,
          state: 'used',
          expected,
        });
      }
      return row.revoked ? row : this.#revoke(row, 'administrator');
    });
  }

  /** The same for all of a holder that are not used. */
  async revokeUnusedOf(holder: string, because: TokenRevocation): Promise<void> {
    for await (const { tokenId } of this.list()) {
      await this.#turns.run(tokenId, async () => {
        const row = await this.#rows.get(tokenId);
        if (!row || holderOfRow(row) !== holder) return;
        const state = stateOfEnrollment(row, this.#components.clock.nowMs());
        if (state === 'unused') await this.#revoke(row, because);
      });
    }
  }

  /** All that are kept, in no order that says anything. */
  async *list(): AsyncGenerator<EnrollmentRow> {
    for await (const [, row] of this.#rows.list()) yield row;
  }

  async #revoke(row: EnrollmentRow, because: TokenRevocation): Promise<EnrollmentRow> {
    const revoked = revokedEnrollment(row, this.#components.clock.nowMs(), because);
    await this.#write([this.#rows.put(row.tokenId, revoked)]);
    return revoked;
  }

  /** Forgets what ended long ago; when there are too many, more of it. @throws REQUEST_INVALID */
  async #sweep(): Promise<void> {
    const { countMax, keptMs } = this.#config;
    const nowMs = this.#components.clock.nowMs();
    const ended: { tokenId: string; atMs: number }[] = [];
    let count = 0;
    for await (const row of this.list()) {
      count += 1;
      const atMs = enrollmentEndedAtMs(row, nowMs);
      if (atMs !== undefined) ended.push({ tokenId: row.tokenId, atMs });
    }
    ended.sort((a, b) => a.atMs - b.atMs);
    const tooMany = Math.max(0, count + 1 - countMax);
    const gone = ended.filter(({ atMs }, index) => index < tooMany || atMs < nowMs - keptMs);
    await this.#write(gone.map(({ tokenId }) => this.#rows.delete(tokenId)));
    if (count - gone.length < countMax) return;
    const expected = `at most ${countMax} tokens that can still be used`;
    const remedy = '"waybill enrollment revoke" ends one, "waybill enrollment list" shows them';
    throw requestInvalid('', { expected, actual: `${count + 1}`, remedy });
  }

  async #write(changes: readonly Change[]): Promise<void> {
    await this.#components.store.write(changes, { sync: true });
  }

  get #rows() {
    return this.#components.store.records(keySpaces.enrollmentTokens);
  }
}

/** SHA-256 of a token's secret, hex: what a site keeps. */
export function secretHashOf(secret: Uint8Array): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** Whom a token is for. Rows that say nobody are nobody's. */
export function holderOfRow({ identityUri }: EnrollmentRow): string | undefined {
  const identity = fromIdentityUri(identityUri);
  return identity && holderOf(identity);
}
