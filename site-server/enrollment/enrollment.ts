import {
  type EnrollmentAnswer,
  type EnrollmentRow,
  toldRefusal,
} from '../../shared/domain/enrollment.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import {
  fromIdentityUri,
  holderOf,
  type PeerIdentity,
  toIdentityUri,
} from '../../shared/domain/peer-identity.ts';
import { type AuditEvent, unauthenticated } from '../../shared/rpc/audit-event.ts';
import { BoundedAudit } from '../../shared/rpc/bounded-audit.ts';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import type { EnrollmentAnswers, Stranger } from '../../shared/rpc/enrollment-server.ts';
import type { EnrollRequest__Output } from '../../shared/rpc/generated/waybill/v1/EnrollRequest.ts';
import type { IssuedIdentity } from '../../shared/rpc/generated/waybill/v1/IssuedIdentity.ts';
import type { RenewRequest__Output } from '../../shared/rpc/generated/waybill/v1/RenewRequest.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { AddressPace } from './address-pace.ts';
import type { EnrolledHolders } from './enrolled-holders.ts';
import { hashOfKey } from './enrollment-authority.ts';
import { type CheckedEnroll, checkedEnroll } from './enrollment-requests.ts';
import { type EnrollmentTokens, secretHashOf, type TokenClaim } from './enrollment-tokens.ts';
import { type IssuedIdentityComponents, toIssuedIdentity } from './issued-identity.ts';
import type { ParentEnrollment } from './parent-enrollment.ts';
import type { PassingTurns } from './passing-turns.ts';
import { issuedAnswer, type RenewalClaim, type Renewals } from './renewals.ts';

/** What enrollment needs. */
export interface EnrollmentComponents extends IssuedIdentityComponents {
  readonly tokens: Pick<EnrollmentTokens, 'take'>;
  readonly holders: EnrolledHolders;
  readonly renewals: Pick<Renewals, 'claimOf' | 'renew'>;
  /** Where a site that is not the top asks for the authorities of sites; undefined at the top. */
  readonly parent: Pick<ParentEnrollment, 'enroll' | 'renew'> | undefined;
  /** Whether a site is the parent or a child of this one. */
  readonly isNeighbour: (siteCode: string) => boolean;
  readonly pace: AddressPace;
  /** Of strangers whom only the parent can tell from those who guess. */
  readonly turns: PassingTurns;
  /** The key a certificate is asked for (SPKI, DER). @throws CERTIFICATE_REQUEST_INVALID */
  readonly readKey: (request: Uint8Array) => Promise<Uint8Array>;
  readonly onAudit: (event: AuditEvent) => void;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

/** Who asks: somebody nobody knows, or a neighbour that passes on what somebody asked it. */
interface Asker {
  readonly address: string;
  /** For the audit trail. */
  readonly caller: string;
  readonly isStranger: boolean;
  readonly signal: AbortSignal;
  readonly onGuess?: (() => void) | undefined;
}

const methods = {
  enroll: '/waybill.v1.Enrollment/Enroll',
  renew: '/waybill.v1.Enrollment/Renew',
} as const;

/**
 * Answers the Enrollment conversation (docs/trust.md, 3 and 4): a certificate for a token, or for an older
 * certificate. What concerns the authority of a site is passed on, site by site, to the top. Each answer
 * and each refusal goes to the audit trail, without anything secret; of those who only guess, so many as
 * nobody can fill a disk with. Writes through its parts; a crash leaves a token unused, or used with its answer.
 */
export class Enrollment {
  readonly #components: EnrollmentComponents;
  /** Of those who know a token, and of those who do not: that these are many must not hide those. */
  readonly #refusals: { readonly known: BoundedAudit; readonly unknown: BoundedAudit };
  /** Of answers that were given before, and may be asked for again and again. */
  readonly #repeats: BoundedAudit;

  constructor(components: EnrollmentComponents) {
    this.#components = components;
    this.#refusals = {
      known: new BoundedAudit(components),
      unknown: new BoundedAudit(components),
    };
    this.#repeats = new BoundedAudit(components);
  }

  /** On the enrollment port. */
  answers(): EnrollmentAnswers {
    return {
      enroll: (request, stranger) => this.#enroll(request, toAsker(stranger)),
      renew: (request, stranger) => this.#renew(request, toAsker(stranger)),
    };
  }

  /** On the main port, for neighbours that pass something on. */
  passedOn(): Conversation<'SiteEnrollment'> {
    return {
      passEnroll: async (request, context) =>
        this.#enroll(request, this.#requireNeighbour(context, 'PassEnroll')),
      passRenew: async (request, context) =>
        this.#renew(request, this.#requireNeighbour(context, 'PassRenew')),
    };
  }

  /** @throws PEER_NOT_ALLOWED unless it is a neighbour */
  #requireNeighbour(context: CallContext, method: string): Asker {
    const { identity } = context.caller;
    if (identity.kind === 'site' && this.#components.isNeighbour(identity.siteCode)) {
      return toPassingAsker(context);
    }
    throw new WaybillError({
      code: 'PEER_NOT_ALLOWED',
      caller: toIdentityUri(identity),
      method: `/waybill.v1.SiteEnrollment/${method}`,
      expected: 'the parent and the children of this site',
    });
  }

  async #enroll(request: EnrollRequest__Output, asker: Asker): Promise<IssuedIdentity> {
    let asked = '';
    try {
      const checked = checkedEnroll(request);
      const { tokenId } = checked.token;
      // Without the role that he names: it is not his to choose, and nobody has given it.
      asked = `token=${tokenId} holder=${holderOf(checked.identity)}`;
      const given = await this.#given(request, checked, asker);
      this.#audit('enroll', asker, asked + given.detail, given.repeatOf);
      return given.answer;
    } catch (error) {
      throw this.#refused('enroll', asker, asked, error);
    }
  }

  async #given(
    request: EnrollRequest__Output,
    checked: CheckedEnroll,
    asker: Asker,
  ): Promise<{ answer: IssuedIdentity; detail: string; repeatOf?: string | undefined }> {
    const { parent, turns } = this.#components;
    if (checked.identity.kind === 'site' && parent) {
      // Only the top knows such tokens: a guess costs every site up to it.
      const ask = () => parent.enroll(request, asker.signal);
      const answer = await (asker.isStranger ? turns.run(asker, ask, isGuessed) : ask());
      const repeatOf = holderOf(checked.identity);
      return { answer: this.#fromAbove(answer), detail: ' passed on to the parent', repeatOf };
    }
    const { identity, answer, detail, isRepeated } = await this.#take(checked, asker);
    await this.#components.holders.enrolled(identity, checked.address);
    const repeatOf = isRepeated ? holderOf(identity) : undefined;
    return { answer: await toIssuedIdentity(this.#components, identity, answer), detail, repeatOf };
  }

  /** Whoever the token says: of an administrator, role and scope are not his to choose. */
  async #take(
    { token, identity, certificateRequest }: CheckedEnroll,
    asker: Asker,
  ): Promise<{
    identity: PeerIdentity;
    answer: EnrollmentAnswer;
    detail: string;
    isRepeated: boolean;
  }> {
    const { tokens, readKey, authority } = this.#components;
    const holder = holderOf(identity);
    const claim: TokenClaim = {
      ...{ secretHash: secretHashOf(token.secret), holder, callerAddress: asker.address },
      publicKeyHash: async () => hashOfKey(await readKey(certificateRequest)).toString('hex'),
    };
    const taken = await tokens.take(token.tokenId, claim, async (row) => {
      const given = identityOf(row);
      await this.#requireThere(given);
      const answer = await issuedAnswer(authority, given, certificateRequest);
      // Who was deleted meanwhile was perhaps given one that begins after that.
      await this.#requireThere(given);
      return answer;
    });
    if ('refusal' in taken) throw new TokenRefusal(holder, taken.refusal);
    const repeated = taken.isRepeated ? ' again' : '';
    const { identityUri, used } = taken.row;
    const detail = `${repeated} as=${identityUri} key=${used?.publicKeyHash.slice(0, 16)}`;
    const { answer, isRepeated } = taken;
    return { identity: identityOf(taken.row), answer, detail, isRepeated };
  }

  /** @throws ENROLLMENT_REFUSED */
  async #requireThere(identity: PeerIdentity): Promise<void> {
    if (await this.#components.holders.has(identity)) return;
    throw refusal(holderOf(identity), 'holder-gone');
  }

  async #renew(request: RenewRequest__Output, asker: Asker): Promise<IssuedIdentity> {
    let asked = '';
    try {
      const claim = this.#components.renewals.claimOf(request);
      asked = `identity=${toIdentityUri(claim.identity)}`;
      const { answer, detail, repeatOf } = await this.#renewed(claim, asker);
      this.#audit('renew', asker, asked + detail, repeatOf);
      return answer;
    } catch (error) {
      throw this.#refused('renew', asker, asked, error);
    }
  }

  async #renewed(
    claim: RenewalClaim,
    { signal }: Asker,
  ): Promise<{ answer: IssuedIdentity; detail: string; repeatOf?: string | undefined }> {
    const { parent, renewals } = this.#components;
    const { identity, request } = claim;
    const holder = holderOf(identity);
    if (identity.kind === 'site' && parent) {
      const answer = this.#fromAbove(await parent.renew(request, signal));
      return { answer, detail: ' passed on to the parent', repeatOf: holder };
    }
    const given = await renewals.renew(claim);
    const answer = await toIssuedIdentity(this.#components, identity, given.answer);
    return given.isRepeated
      ? { answer, detail: ' again', repeatOf: holder }
      : { answer, detail: '' };
  }

  /** Where it has found somebody who passes on, it will again. */
  #fromAbove(answer: IssuedIdentity): IssuedIdentity {
    return { ...answer, enrollmentAddress: this.#components.enrollmentAddress() };
  }

  /** @param repeatOf whose answer it was that may have been given before; what the parent gave, it has audited */
  #audit(
    method: keyof typeof methods,
    { address, caller }: Asker,
    detail: string,
    repeatOf?: string,
  ): void {
    const event = { caller, address, method: methods[method], result: 'ok', detail };
    // A token that was used for the first time: whatever else is going on, somebody new belongs to the hierarchy.
    if (repeatOf === undefined) this.#components.onAudit({ ...event, ...onceOf(method) });
    else this.#repeats.record(event, repeatOf);
  }

  /** Writes it down, slows down who guesses. @returns what the caller is told */
  #refused(method: keyof typeof methods, asker: Asker, asked: string, error: unknown): unknown {
    if (!(error instanceof WaybillError)) return error;
    const isGuess = isGuessed(error);
    const why = error instanceof TokenRefusal ? error.refusal : wordOf(error);
    const told = isGuess ? this.#paced(asker, error) : error;
    const isKnown = asked !== '' && !isGuess;
    this.#refusals[isKnown ? 'known' : 'unknown'].record({
      ...{ caller: asker.caller, address: asker.address, method: methods[method] },
      ...{ result: told.code, detail: [asked, why].filter((text) => text !== '').join(' ') },
    });
    return told;
  }

  /**
   * Whoever is right is heard at once, also from an address where others guess. A neighbour has slowed down
   * strangers itself.
   */
  #paced({ address, isStranger, onGuess }: Asker, guess: WaybillError): WaybillError {
    const { pace } = this.#components;
    if (!isStranger) return guess;
    onGuess?.();
    const waitMs = pace.waitMsOf(address);
    if (waitMs > 0) return new WaybillError({ code: 'ENROLLMENT_TOO_SOON', waitMs });
    pace.failed(address);
    return guess;
  }
}

function onceOf(method: keyof typeof methods): Pick<AuditEvent, 'isOnce'> {
  return method === 'enroll' ? { isOnce: true } : {};
}

/** A refused token, and why in truth: who does not know its secret is told less. */
class TokenRefusal extends WaybillError {
  readonly refusal: string;

  constructor(holder: string, reason: Parameters<typeof toldRefusal>[0]) {
    super({ code: 'ENROLLMENT_REFUSED', holder, reason: toldRefusal(reason) });
    this.refusal = reason;
  }
}

function refusal(holder: string, reason: Parameters<typeof toldRefusal>[0]): WaybillError {
  return new TokenRefusal(holder, reason);
}

/** Whether the caller has shown nothing that lets one think he was ever given anything. */
function isGuessed(error: unknown): boolean {
  if (!(error instanceof WaybillError)) return false;
  const { details } = error;
  if (details.code === 'TOKEN_INVALID') return true;
  if (details.code === 'ENROLLMENT_REFUSED') return details.reason === 'unknown';
  return (
    details.code === 'RENEWAL_REFUSED' &&
    (details.reason === 'foreign' || details.reason === 'wrong-key')
  );
}

function wordOf({ details }: WaybillError): string {
  return 'reason' in details ? details.reason : '';
}

function identityOf({ identityUri }: EnrollmentRow): PeerIdentity {
  const identity = fromIdentityUri(identityUri);
  if (!identity) throw new Error(`A token is for ${identityUri}, which is nobody`);
  return identity;
}

function toPassingAsker({ caller, signal }: CallContext): Asker {
  const { address, identity } = caller;
  return { address, caller: toIdentityUri(identity), isStranger: false, signal };
}

function toAsker({ address, signal, onGuess }: Stranger): Asker {
  return { address, caller: unauthenticated, isStranger: true, signal, onGuess };
}
