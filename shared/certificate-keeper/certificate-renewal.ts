/**
 * One try to renew the certificate of an agent or an administrator by its old key (docs/trust.md, 4). Used
 * by the certificate keeper and by `waybill`. Writes the identity's files; a crash leaves the old
 * certificate or the new one, and a key that the next try asks with again.
 */
import { createPrivateKey, sign, X509Certificate } from 'node:crypto';
import { refusalOfRenewed } from '../domain/certificate-keeping.ts';
import { WaybillError } from '../domain/errors.ts';
import { toIdentityUri } from '../domain/peer-identity.ts';
import { certifiedPeerOf } from '../rpc/certificate-identity.ts';
import {
  authoritiesOf,
  type CertificateChain,
  chainOf,
  isIssuedBy,
  lifeOf,
} from '../rpc/certificate-trust.ts';
import type { PeerCredentials } from '../rpc/peer-credentials.ts';
import type { Clock } from '../runtime/clock.ts';
import { type IdentityFiles, isKeyOf } from './identity-files.ts';

/** What a site is asked: that somebody who has the key of a certificate is given another one. */
export interface RenewalRequest {
  /** DER: the certificate that is to be followed. */
  readonly certificate: Buffer;
  /** DER: what it was issued by; empty: the root. */
  readonly authorityCertificate: Buffer;
  /** PKCS #10, DER, of a new key. */
  readonly certificateRequest: Buffer;
  /** By the key of `certificate`, over `renewalSignatureText` and the request. */
  readonly signature: Buffer;
}

/** What a site gives. */
export interface RenewalAnswer {
  /** DER. */
  readonly certificate: Uint8Array;
  /** DER: the site authority it was issued by; empty: the root. */
  readonly issuerCertificate: Uint8Array;
}

/** What stands before the request in what the old key signs. */
export const renewalSignatureText = 'waybill renewal 1';

/** How keys and requests are made. */
export interface CertificateRequests {
  /** PEM. */
  newPrivateKey(): Promise<string>;
  /** PKCS #10, DER. */
  certificateRequestOf(keyPem: string): Promise<Buffer>;
}

/** What renewing needs. */
export interface CertificateRenewalNeeds {
  readonly files: IdentityFiles;
  readonly requests: CertificateRequests;
  /** Asks the site; every failure is a WaybillError or an AbortError. */
  readonly ask: (request: RenewalRequest, signal: AbortSignal) => Promise<RenewalAnswer>;
  readonly clock: Pick<Clock, 'nowMs'>;
}

export class CertificateRenewal {
  readonly #needs: CertificateRenewalNeeds;

  constructor(needs: CertificateRenewalNeeds) {
    this.#needs = needs;
  }

  /**
   * Asks, checks what comes, and puts it on disk.
   *
   * @param old what is to be followed; valid or not
   * @throws what asking throws; PEER_FAILED for an answer that cannot be used; DISK_FULL
   */
  async renew(old: PeerCredentials, signal: AbortSignal): Promise<void> {
    const { files, ask } = this.#needs;
    const chain = chainOf(old.certificate);
    const key = await this.#keyToAskWith(chain);
    const answer = await ask(await this.#toRequest(old, chain, key), signal);
    const next = checkedChain(answer, { old, key, nowMs: this.#needs.clock.nowMs() });
    await files.install(
      key,
      next.flatMap((one) => (one ? [one.toString()] : [])),
    );
  }

  /** The one that was asked with before, when nothing came of that: the site may have answered. */
  async #keyToAskWith([own]: CertificateChain): Promise<string> {
    const { files, requests, clock } = this.#needs;
    const pending = await files.pendingKey();
    const isUsed = pending !== undefined && isKeyOf(pending.pem, own.publicKey);
    if (pending && !isUsed) {
      await files.touchPendingKey(clock.nowMs());
      return pending.pem;
    }
    const pem = await requests.newPrivateKey();
    await files.keepPendingKey(pem);
    return pem;
  }

  async #toRequest(
    old: PeerCredentials,
    [own, issuer]: CertificateChain,
    keyPem: string,
  ): Promise<RenewalRequest> {
    const certificateRequest = await this.#needs.requests.certificateRequestOf(keyPem);
    const text = Buffer.concat([Buffer.from(renewalSignatureText), certificateRequest]);
    return {
      certificate: own.raw,
      authorityCertificate: issuer?.raw ?? Buffer.alloc(0),
      certificateRequest,
      signature: sign('sha256', text, createPrivateKey(old.key)),
    };
  }
}

/** What a site gave, if it is what was asked for. @throws PEER_FAILED */
function checkedChain(
  answer: RenewalAnswer,
  { old, key, nowMs }: { old: PeerCredentials; key: string; nowMs: number },
): CertificateChain {
  const chain = toChain(answer);
  const [own] = chain;
  if (!isIssuedBy(chain, authoritiesOf(old.ca))) {
    throw unusable('it is not from a root that is trusted here');
  }
  const peer = certifiedPeerOf(own.toLegacyObject());
  const expected = toIdentityUri(old.identity);
  if (own.ca || !peer || toIdentityUri(peer.identity) !== expected) {
    throw unusable(`it is not that of ${expected}`);
  }
  if (!isKeyOf(key, own.publicKey)) throw unusable('it is not of the key that was sent');
  const refusal = refusalOfRenewed(lifeOf(own), nowMs);
  if (refusal !== undefined) throw unusable(refusal);
  return chain;
}

function toChain({ certificate, issuerCertificate }: RenewalAnswer): CertificateChain {
  try {
    const own = new X509Certificate(certificate);
    return issuerCertificate.length === 0 ? [own] : [own, new X509Certificate(issuerCertificate)];
  } catch (cause) {
    throw unusable('it is not a certificate', cause);
  }
}

function unusable(reason: string, cause?: unknown): WaybillError {
  const details = {
    code: 'PEER_FAILED',
    peer: 'the site',
    reason: `the certificate that it gave cannot be used: ${reason}`,
  } as const;
  return new WaybillError(details, { cause });
}
