import { X509Certificate } from 'node:crypto';
import { createSecureContext, type DetailedPeerCertificate, type PeerCertificate } from 'node:tls';
import { ChannelCredentials, Client, Metadata } from '@grpc/grpc-js';
import { peerOfAnotherCa, WaybillError } from '../domain/errors.ts';
import { type PeerIdentity, toIdentityUri } from '../domain/peer-identity.ts';
import { AbortError } from '../runtime/abort-error.ts';
import { isServiceError, toCallFailure } from './call-failure.ts';
import { type CertificateChain, isIssuedBy, shownPeerOf } from './certificate-trust.ts';
import { isForeignCa } from './connection-failure.ts';
import type { MethodName, RequestOf, ResponseOf } from './conversation.ts';
import { methodDefinition } from './service-definitions.ts';

/** Which enrollment port to ask. */
export interface EnrollmentChannelOptions {
  /** host:port. */
  readonly address: string;
  /** PEM: the roots that the site must be of. */
  readonly roots: Buffer | string;
  /** Whether a site of this identity may be asked. @default every site of these roots */
  readonly expected?: (peer: PeerIdentity) => boolean;
  /** The same in words. @default a site of this hierarchy */
  readonly expectedText?: string;
  /** PEM: only a site that stands on this root is asked anything. @default one on any of them */
  readonly onlyOnRoot?: string | undefined;
  /** Why one of the expected is asked nothing all the same, as the end of a sentence. @default all are asked */
  readonly refusalOf?: (shown: CertificateChain) => string | undefined;
}

/** Longest answer that is taken, in bytes. */
const answerBytesMax = 65_536;
const peer = 'the enrollment port';

/**
 * Asks the enrollment port of a site, without a certificate of our own; the site must have one of these
 * roots. Used by whoever enrolls or renews. One call, no retry: that is the caller's business.
 */
export class EnrollmentChannel {
  readonly #options: EnrollmentChannelOptions;
  readonly #client: Client;
  #shown: string | undefined;

  constructor(options: EnrollmentChannelOptions) {
    this.#options = options;
    const roots = Buffer.from(options.roots);
    const context = createSecureContext({ ca: roots, minVersion: 'TLSv1.3' });
    const credentials = ChannelCredentials.createFromSecureContext(context, {
      checkServerIdentity: (_host, certificate) => {
        // Node gives it with its issuers, whatever gRPC's types say.
        const { identity } = shownPeerOf(certificate as DetailedPeerCertificate, roots) ?? {};
        const chain = chainShown(certificate);
        if (!isOnRoot(chain, options.onlyOnRoot)) return new Error(olderRootMark);
        const isExpected = identity?.kind === 'site' && (options.expected?.(identity) ?? true);
        const refusal = options.refusalOf?.(chain);
        const why = refusal === undefined ? '' : ` (which does not count: ${refusal})`;
        this.#shown = identity
          ? `${toIdentityUri(identity)}${why}`
          : 'nobody (it has no Waybill identity)';
        return isExpected && why === '' ? undefined : new Error(mismatchMark);
      },
    });
    this.#client = new Client(options.address, credentials, {
      'grpc.max_receive_message_length': answerBytesMax,
      'grpc.service_config_disable_resolution': 1,
      'grpc.enable_http_proxy': 0,
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_channelz': 0,
      'grpc.enable_retries': 0,
      // Servers are known by identity, not by host name; TLS does not allow an IP address here.
      'grpc.ssl_target_name_override': 'waybill.invalid',
    });
  }

  /**
   * @throws PEER_UNREACHABLE, PEER_IDENTITY_MISMATCH, DEADLINE_EXCEEDED, PEER_FAILED, or the code and
   * facts the site sent; AbortError
   */
  call<M extends MethodName<'Enrollment'>>(
    method: M,
    request: RequestOf<'Enrollment', M>,
    { deadlineMs, signal }: { readonly deadlineMs: number; readonly signal?: AbortSignal },
  ): Promise<ResponseOf<'Enrollment', M>> {
    const { path, requestSerialize, responseDeserialize } = methodDefinition('Enrollment', method);
    const facts = { peer, address: this.#options.address, method: path, deadlineMs };
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        path,
        (message: unknown) => requestSerialize(message),
        responseDeserialize,
        request,
        new Metadata(),
        { deadline: Date.now() + deadlineMs },
        (error, answer) => {
          signal?.removeEventListener('abort', cancel);
          if (signal?.aborted) reject(new AbortError(undefined, { cause: signal.reason }));
          else if (error) reject(this.#toFailure(error, facts));
          else resolve(answer as ResponseOf<'Enrollment', M>);
        },
      );
      const cancel = () => call.cancel();
      signal?.addEventListener('abort', cancel, { once: true });
      if (signal?.aborted) cancel();
    });
  }

  close(): void {
    this.#client.close();
  }

  #toFailure(error: unknown, facts: Parameters<typeof toCallFailure>[1]): Error {
    if (!isServiceError(error)) return error instanceof Error ? error : new Error(String(error));
    const { address, expectedText: expected = 'a site of this hierarchy' } = this.#options;
    if (error.details.includes(olderRootMark)) {
      const reason = 'it still stands on the older root itself';
      return new WaybillError({ code: 'PEER_FAILED', peer: 'the site', reason });
    }
    const isMismatch = error.details.includes(mismatchMark);
    if (!isMismatch && !isForeignCa(error.details)) return toCallFailure(error, facts);
    const actual = isMismatch ? (this.#shown ?? 'nobody') : peerOfAnotherCa;
    return new WaybillError({
      code: 'PEER_IDENTITY_MISMATCH',
      expected,
      actual,
      address,
    });
  }
}

/** Whether this root stands behind what a site shows; any does when none is named. */
function isOnRoot(shown: CertificateChain, root: string | undefined): boolean {
  return root === undefined || isIssuedBy(shown, [new X509Certificate(root)]);
}

function chainShown(shown: PeerCertificate): CertificateChain {
  const { raw, issuerCertificate } = shown as DetailedPeerCertificate;
  return [
    new X509Certificate(raw),
    issuerCertificate && new X509Certificate(issuerCertificate.raw),
  ];
}

/** Marks our own refusals of a server's certificate among gRPC's connection errors. */
const mismatchMark = 'waybill-enrollment-mismatch';
const olderRootMark = 'waybill-enrollment-older-root';
