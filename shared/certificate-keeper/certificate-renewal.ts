/**
 * One try to renew a certificate by its old key (docs/trust.md, 4). Used by the certificate keeper and by
 * `waybill`. Writes the identity's files; a crash leaves the old certificate or the new one, whole, and a key
 * that the next try asks with again.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { certificateRequestOf, newPrivateKey } from '../certificates/certificate-requests.ts';
import { isRootAllThatIsWanted, refusalOfRenewed } from '../domain/certificate-keeping.ts';
import { refusalOfLife } from '../domain/certificate-life.ts';
import { parseAddress } from '../domain/distribution-point.ts';
import { isErrorWithCode, WaybillError } from '../domain/errors.ts';
import { type PeerIdentity, toIdentityUri } from '../domain/peer-identity.ts';
import { checkedGrant } from '../enrollment/granted-identity.ts';
import type { IdentityPlace } from '../enrollment/identity-place.ts';
import {
  authoritiesOf,
  certificateBlocks,
  chainOf,
  isIssuedBy,
  lifeOf,
} from '../rpc/certificate-trust.ts';
import type { RequestOf, ResponseOf } from '../rpc/conversation.ts';
import { EnrollmentChannel } from '../rpc/enrollment-channel.ts';
import type { PeerCredentials } from '../rpc/peer-credentials.ts';
import { signRenewal } from '../rpc/renewal-proof.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { toKeptCertificate } from './kept-certificate.ts';
import { type RevocationOf, refusalOfVoucher } from './refused-voucher.ts';

/** Asks a site. @throws WaybillError, AbortError */
export type AskForRenewal = (
  request: RequestOf<'Enrollment', 'renew'>,
  signal: AbortSignal,
  /** It is wanted for the newest root alone: a site that does not stand on it itself is not asked. */
  isForRootAlone?: boolean,
) => Promise<ResponseOf<'Enrollment', 'renew'>>;

/**
 * Told when where else to ask can be neither read nor kept: it is a hint, and holds up nothing.
 *
 * @default nobody is
 */
export type OnHintFailure = (error: unknown) => void;

/** What renewing needs. */
export interface CertificateRenewalNeeds {
  readonly place: IdentityPlace;
  readonly ask: AskForRenewal;
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  /** Of what is given nothing is taken that is revoked. Absent for who is told of no revocations. */
  readonly revocationOf?: RevocationOf | undefined;
  /** See `OnHintFailure`. */
  readonly onHintFailure?: OnHintFailure | undefined;
}

/** How it is tuned. */
export interface CertificateRenewalConfig {
  /**
   * How long is waited for a new certificate to begin, by this machine's clock, while the old one counts; one that
   * begins later is not taken then.
   *
   * @default 10 minutes
   */
  readonly beginsAheadMsMax: number;
}

export const defaultCertificateRenewalConfig: CertificateRenewalConfig = {
  beginsAheadMsMax: 10 * 60_000,
};

/** What is to be followed: a certificate, its key, and the roots that are trusted. */
export type OldCredentials = Pick<PeerCredentials, 'ca' | 'certificate' | 'key' | 'identity'>;

export class CertificateRenewal {
  readonly #needs: CertificateRenewalNeeds;

  readonly #config: CertificateRenewalConfig;

  constructor(needs: CertificateRenewalNeeds, config = defaultCertificateRenewalConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  /** When it was last tried, by the clock; undefined: never, or it came to its end. */
  lastTriedAtMs(): Promise<number | undefined> {
    return this.#needs.place.renewalKey.lastAskedAtMs();
  }

  /**
   * Asks, checks what comes, and puts it on disk.
   *
   * @param old valid or not
   * @throws what asking throws; PEER_FAILED for an answer that is not taken, also because another certificate is in
   *   the place of the old one by then; CERTIFICATE_INVALID when others may read the files, they are spoilt, or they
   *   cannot be written; DISK_FULL
   */
  async renew(old: OldCredentials, signal: AbortSignal): Promise<void> {
    const { place, clock, onHintFailure } = this.#needs;
    const [own] = chainOf(old.certificate);
    await this.#requireInPlace(old);
    await place.dropUnmarkedKey();
    const keyPem = await place.renewalKey.toAskWith(newPrivateKey, own.publicKey);
    const answer = await this.#answer(old, keyPem, signal);
    const certificates = this.#checked(answer, old, keyPem);
    // The one before counts for so long: a crash in between asks again, with the same key.
    await untilItBegins(certificates, { old, clock }, signal);
    // Minutes may have passed: what was revoked or retired meanwhile counts, and who was enrolled anew stays so.
    this.#checked(answer, await this.#withRootsNow(old), keyPem);
    await this.#requireInPlace(old, keyPem);
    await place.writeCredentials({ key: keyPem, certificates });
    await keepToldAddress(place, answer, onHintFailure);
    await place.renewalKey.forget();
  }

  async #answer(old: OldCredentials, keyPem: string, signal: AbortSignal) {
    const { place, ask, clock } = this.#needs;
    await place.renewalKey.asking(clock.nowMs());
    const request = await toRenewalRequest(old, await certificateRequestOf(keyPem));
    const kept = toKeptCertificate(chainOf(old.certificate), authoritiesOf(old.ca));
    return ask(request, signal, isRootAllThatIsWanted(kept, clock.nowMs()));
  }

  #checked(answer: ResponseOf<'Enrollment', 'renew'>, old: OldCredentials, keyPem: string) {
    const { clock, revocationOf } = this.#needs;
    const { beginsAheadMsMax } = this.#config;
    const asked = { old, keyPem, nowMs: clock.nowMs(), beginsAheadMsMax, revocationOf };
    return checkedRenewal(answer, asked);
  }

  /** With the roots on disk: whoever waited here did not look at them meanwhile. */
  async #withRootsNow({ ca, certificate, key, identity }: OldCredentials): Promise<OldCredentials> {
    return { ca: (await this.#needs.place.roots()) ?? ca, certificate, key, identity };
  }

  /**
   * Makes sure that nobody was enrolled anew since the old certificate was read: an enrollment is never written over.
   * What no root stands behind that is trusted now is none: nobody can use it, and it is put right.
   *
   * @param keyPem the same key may have been asked with, and given a certificate, by another program of this holder
   * @throws PEER_FAILED; CERTIFICATE_INVALID when what is there is spoilt
   */
  async #requireInPlace(old: OldCredentials, keyPem?: string): Promise<void> {
    const held = await this.#needs.place.held();
    if (!held || held.chain[0].raw.equals(chainOf(old.certificate)[0].raw)) return;
    const { ca } = await this.#withRootsNow(old);
    if (!isIssuedBy(held.chain, authoritiesOf(ca))) return;
    const isOfSameKey =
      keyPem !== undefined && held.chain[0].checkPrivateKey(createPrivateKey(keyPem));
    if (!isOfSameKey) throw notTaken('another one is in the place of the old one meanwhile');
  }
}

/** The proof that whoever asks has the old key is the old key's signature. */
export async function toRenewalRequest(
  old: Pick<PeerCredentials, 'certificate' | 'key'>,
  certificateRequest: Buffer,
): Promise<RequestOf<'Enrollment', 'renew'>> {
  const [own, issuer] = chainOf(old.certificate);
  return {
    certificate: own.raw,
    authorityCertificate: issuer?.raw ?? Buffer.alloc(0),
    certificateRequest,
    signature: signRenewal(old.key, certificateRequest),
  };
}

/**
 * The certificates that a site gave, PEM, if they are what was asked for. Roots that it names are not looked
 * at: which there are is told by trust bundles alone.
 *
 * @throws PEER_FAILED
 */
export function checkedRenewal(
  answer: ResponseOf<'Enrollment', 'renew'>,
  asked: {
    readonly old: OldCredentials;
    readonly keyPem: string;
    readonly nowMs: number;
    /** See `CertificateRenewalConfig`. */
    readonly beginsAheadMsMax?: number;
    /** See `CertificateRenewalNeeds`. */
    readonly revocationOf?: RevocationOf | undefined;
  },
): readonly string[] {
  const { old, keyPem, nowMs, revocationOf } = asked;
  const { beginsAheadMsMax } = { ...defaultCertificateRenewalConfig, ...asked };
  const expected: PeerIdentity = old.identity;
  const roots = authoritiesOf(old.ca);
  const { certificates, identity } = checkedGrant(answer, { identity: expected, keyPem, roots });
  const [is, shouldBe] = [toIdentityUri(identity), toIdentityUri(expected)];
  if (is !== shouldBe) throw notTaken(`it is that of ${is}; expected ${shouldBe}`);
  const chain = chainOf(Buffer.from(certificates.join('\n'), 'latin1'));
  const [, heldIssuer] = chainOf(old.certificate);
  const aheadMsMax = isCounting(old, nowMs) ? beginsAheadMsMax : undefined;
  const refusal =
    refusalOfVoucher(chain, { heldIssuer, roots, revocationOf }) ??
    refusalOfRenewed(lifeOf(chain[0]), nowMs, aheadMsMax);
  if (refusal !== undefined) throw notTaken(refusal);
  return certificates;
}

/**
 * Resolves when what was given has begun by this machine's clock: until then what was before is used, for it counts
 * and the new one does not. At once when that counts no more.
 */
export async function untilItBegins(
  certificates: readonly string[],
  { old, clock }: { readonly old: OldCredentials; readonly clock: Pick<Clock, 'nowMs' | 'sleep'> },
  signal: AbortSignal,
): Promise<void> {
  const [own] = chainOf(Buffer.from(certificates.join('\n'), 'latin1'));
  const leftMs = lifeOf(own).notBeforeMs - clock.nowMs();
  if (leftMs > 0 && isCounting(old, clock.nowMs())) await clock.sleep(leftMs, signal);
}

/** Whether peers take a certificate now, as far as its holder can tell. */
function isCounting({ certificate, ca }: OldCredentials, nowMs: number): boolean {
  const kept = toKeptCertificate(chainOf(certificate), authoritiesOf(ca));
  return !kept.isOfRetiredRoot && refusalOfLife(kept, nowMs) === undefined;
}

/** That what was given is not taken. @param why the end of a sentence */
export function notTaken(why: string): WaybillError {
  const reason = `the new certificate was not taken: ${why}`;
  return new WaybillError({ code: 'PEER_FAILED', peer: 'the site', reason });
}

/**
 * Asks where the configuration says, and where nobody is reached there, where the site last said itself: it may have
 * moved since. What it says with its answer is for `keepToldAddress`, once that is believed.
 */
export function askingWhereItIs(
  site: Parameters<typeof askingAt>[0] & {
    readonly place: Pick<IdentityPlace, 'toldRenewalAddress'>;
    readonly onHintFailure?: OnHintFailure | undefined;
  },
): AskForRenewal {
  const { address, place, onHintFailure = () => {} } = site;
  return async (request, signal, isForRootAlone) => {
    const at = (where: string) => askingAt({ ...site, address: where });
    return at(address)(request, signal, isForRootAlone).catch(async (error: unknown) => {
      if (!isNobodyThere(error)) throw error;
      const told = await place.toldRenewalAddress().catch((unread: unknown) => {
        onHintFailure(unread);
        return undefined;
      });
      if (told === undefined || told === address) throw error;
      return at(told)(request, signal, isForRootAlone);
    });
  };
}

/** Keeps where the site says with an answer that it is, once what it gave is taken. */
export async function keepToldAddress(
  place: Pick<IdentityPlace, 'keepRenewalAddress'>,
  { enrollmentAddress: told }: Pick<ResponseOf<'Enrollment', 'renew'>, 'enrollmentAddress'>,
  onHintFailure: OnHintFailure = () => {},
): Promise<void> {
  if (told === '' || told !== parseAddress(told)) return;
  await place.keepRenewalAddress(told).catch(onHintFailure);
}

/** Says it in the log. */
export function hintFailureTold(logger: Pick<Logger, 'warn'>): OnHintFailure {
  return (err) => logger.warn({ err }, 'Where else it may be renewed cannot be read or kept');
}

/** Whether it was not the site that answered. */
function isNobodyThere(error: unknown): boolean {
  return isErrorWithCode(
    error,
    ...(['PEER_UNREACHABLE', 'PEER_IDENTITY_MISMATCH', 'DEADLINE_EXCEEDED'] as const),
  );
}

/** How long a site may take to answer: it may have to ask the sites above it. */
const askMsMax = 30_000;

/** Asks at the enrollment port of a site, without a certificate of our own; nothing is retried. */
export function askingAt(site: {
  readonly address: string;
  /** PEM, as they are now. */
  readonly roots: () => Buffer;
  readonly expected?: (peer: PeerIdentity) => boolean;
  /** A site that shows a certificate that is revoked is asked nothing. Absent for who is told of no revocations. */
  readonly revocationOf?: RevocationOf | undefined;
  readonly deadlineMs?: number;
}): AskForRenewal {
  const { address, roots, expected, revocationOf, deadlineMs = askMsMax } = site;
  return async (request, signal, isForRootAlone = false) => {
    const trusted = roots();
    const [newest] = certificateBlocks(trusted);
    const { authorityCertificate: issuer } = request;
    const heldIssuer = issuer?.length ? new X509Certificate(issuer) : undefined;
    const known = { heldIssuer, roots: authoritiesOf(trusted), revocationOf };
    const channel = new EnrollmentChannel({
      ...{ address, roots: trusted, onlyOnRoot: isForRootAlone ? newest : undefined },
      refusalOf: (shown) => refusalOfVoucher(shown, known),
      ...(expected && { expected }),
    });
    try {
      return await channel.call('renew', request, { deadlineMs, signal });
    } finally {
      channel.close();
    }
  };
}
