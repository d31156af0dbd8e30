/**
 * One try to renew a certificate by its old key (docs/trust.md, 4). Used by the certificate keeper and by
 * `waybill`. Writes the identity's files; a crash leaves the old certificate or the new one, whole, and a key
 * that the next try asks with again.
 */
import { certificateRequestOf, newPrivateKey } from '../certificates/certificate-requests.ts';
import { refusalOfRenewed } from '../domain/certificate-keeping.ts';
import { WaybillError } from '../domain/errors.ts';
import { type PeerIdentity, toIdentityUri } from '../domain/peer-identity.ts';
import { checkedGrant } from '../enrollment/granted-identity.ts';
import type { IdentityPlace } from '../enrollment/identity-place.ts';
import { authoritiesOf, chainOf, lifeOf } from '../rpc/certificate-trust.ts';
import type { RequestOf, ResponseOf } from '../rpc/conversation.ts';
import { EnrollmentChannel } from '../rpc/enrollment-channel.ts';
import type { PeerCredentials } from '../rpc/peer-credentials.ts';
import { signRenewal } from '../rpc/renewal-proof.ts';
import type { Clock } from '../runtime/clock.ts';

/** Asks a site. @throws WaybillError, AbortError */
export type AskForRenewal = (
  request: RequestOf<'Enrollment', 'renew'>,
  signal: AbortSignal,
) => Promise<ResponseOf<'Enrollment', 'renew'>>;

/** What renewing needs. */
export interface CertificateRenewalNeeds {
  readonly place: IdentityPlace;
  readonly ask: AskForRenewal;
  readonly clock: Pick<Clock, 'nowMs'>;
}

/** What is to be followed: a certificate, its key, and the roots that are trusted. */
export type OldCredentials = Pick<PeerCredentials, 'ca' | 'certificate' | 'key' | 'identity'>;

export class CertificateRenewal {
  readonly #needs: CertificateRenewalNeeds;

  constructor(needs: CertificateRenewalNeeds) {
    this.#needs = needs;
  }

  /** When it was last tried, by the clock; undefined: never, or it came to its end. */
  lastTriedAtMs(): Promise<number | undefined> {
    return this.#needs.place.lastAskedAtMs();
  }

  /**
   * Asks, checks what comes, and puts it on disk.
   *
   * @param old valid or not
   * @throws what asking throws; PEER_FAILED for an answer that is not taken; CERTIFICATE_INVALID when others
   *   may read the files; the system's failure when they cannot be written
   */
  async renew(old: OldCredentials, signal: AbortSignal): Promise<void> {
    const { place, ask, clock } = this.#needs;
    // A crash may have come between the new certificate and this.
    if ((await place.held())?.isNew) await place.finish();
    const keyPem = await place.keyToAskWith(newPrivateKey);
    await place.asking(clock.nowMs());
    const request = await toRenewalRequest(old, await certificateRequestOf(keyPem));
    const answer = await ask(request, signal);
    const certificates = checkedRenewal(answer, { old, keyPem, nowMs: clock.nowMs() });
    await place.writeCredentials({ key: keyPem, certificates });
    await place.finish();
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
  asked: { readonly old: OldCredentials; readonly keyPem: string; readonly nowMs: number },
): readonly string[] {
  const { old, keyPem, nowMs } = asked;
  const expected: PeerIdentity = old.identity;
  const roots = authoritiesOf(old.ca);
  const { certificates, identity } = checkedGrant(answer, { identity: expected, keyPem, roots });
  const [is, shouldBe] = [toIdentityUri(identity), toIdentityUri(expected)];
  if (is !== shouldBe) throw notTaken(`it is that of ${is}; expected ${shouldBe}`);
  const [own] = chainOf(Buffer.from(certificates.join('\n'), 'latin1'));
  const refusal = refusalOfRenewed(lifeOf(own), nowMs);
  if (refusal !== undefined) throw notTaken(refusal);
  return certificates;
}

function notTaken(why: string): WaybillError {
  const reason = `the new certificate was not taken: ${why}`;
  return new WaybillError({ code: 'PEER_FAILED', peer: 'the site', reason });
}

/** How long a site may take to answer: it may have to ask the sites above it. */
const askMsMax = 30_000;

/** Asks at the enrollment port of a site, without a certificate of our own; nothing is retried. */
export function askingAt(site: {
  readonly address: string;
  /** PEM, as they are now. */
  readonly roots: () => Buffer;
  readonly expected?: (peer: PeerIdentity) => boolean;
  readonly deadlineMs?: number;
}): AskForRenewal {
  const { address, roots, expected, deadlineMs = askMsMax } = site;
  return async (request, signal) => {
    const channel = new EnrollmentChannel({
      ...{ address, roots: roots() },
      ...(expected && { expected }),
    });
    try {
      return await channel.call('renew', request, { deadlineMs, signal });
    } finally {
      channel.close();
    }
  };
}
