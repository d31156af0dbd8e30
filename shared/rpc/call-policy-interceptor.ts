import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import { type CertifiedPeer, toVoucherText } from '../domain/certificate-authority.ts';
import { WaybillError } from '../domain/errors.ts';
import { toIdentityUri } from '../domain/peer-identity.ts';
import { type AuditEvent, unauthenticated } from './audit-event.ts';
import { callPolicy, groupsOfCaller } from './call-policy.ts';
import type { Caller } from './conversation.ts';
import { toErrorTrailers } from './error-detail.ts';
import type { PeerTrust } from './peer-trust.ts';
import { scopeRefusalOf } from './scope-policy.ts';
import { grpcStatusOf } from './status-codes.ts';

/** What the interceptor needs: whose server it guards, and where refusals are written. */
export interface CallPolicyNeeds {
  readonly siteCode: string;
  readonly onAudit: (event: AuditEvent) => void;
  /** Who has the certificate of a connection that is open. */
  readonly peerOf: (fingerprint256: string) => CertifiedPeer | undefined;
  /** @default everybody counts, wherever */
  readonly trust?: PeerTrust | undefined;
}

/** Who makes each call that passed, kept by the metadata object that gRPC hands to its method. */
const callers = new WeakMap<Metadata, Caller>();

/**
 * Who makes a call that passed the policy. Asked of the gate and not of the connection, which may
 * be gone by now. Throws for a call that did not pass.
 */
export function callerOf(metadata: Metadata): Caller {
  const caller = callers.get(metadata);
  if (!caller) throw new Error('A call reached its method without passing the call policy');
  return caller;
}

/** Why a call does not pass: who calls, as the audit trail has it, the error, and what to note of it. */
interface Refusal {
  readonly caller: string;
  readonly error: WaybillError;
  readonly detail: string;
}

/**
 * The one gate in front of every method of a server (SEC-1): lets pass what the call policy allows
 * and refuses the rest with PEER_NOT_ALLOWED, before the method sees anything of the call; with
 * CERTIFICATE_REFUSED whose certificate does not count, or not here, and with SCOPE_EXCEEDED what no
 * scope holds.
 */
export function callPolicyInterceptor(needs: CallPolicyNeeds): ServerInterceptor {
  return (method, call) => {
    const { sslPeerCertificate: certificate } = call.getAuthContext();
    const peer = certificate && needs.peerOf(certificate.fingerprint256);
    if (!peer) return refused(call, notAllowed(unauthenticated, method.path), method.path, needs);
    const refusal = refusalOf(peer, method.path, needs);
    if (refusal) return refused(call, refusal, method.path, needs);
    return passed(call, { identity: peer.identity, address: call.getPeer() });
  };
}

function refusalOf(
  peer: CertifiedPeer,
  path: string,
  { siteCode, trust }: CallPolicyNeeds,
): Refusal | undefined {
  const caller = toIdentityUri(peer.identity);
  const reason = trust?.refusalOf(peer);
  if (reason !== undefined) return notCounting(caller, reason);
  const groups = groupsOfCaller(peer.identity, path, siteCode);
  if (groups.length === 0) return notAllowed(caller, path);
  if (!trust || groups.some((group) => trust.isVouchedHere(peer, group))) {
    return beyondScope(peer, path);
  }
  const issuer = toVoucherText(peer.voucher);
  return notCounting(
    caller,
    `it was issued by ${issuer}, which has no say about it at ${siteCode}`,
  );
}

function beyondScope({ identity }: CertifiedPeer, path: string): Refusal | undefined {
  const error = scopeRefusalOf(identity, path);
  const detail = 'expected an administrator without a scope';
  return error && { caller: toIdentityUri(identity), error, detail };
}

function notCounting(caller: string, reason: string): Refusal {
  const error = new WaybillError({ code: 'CERTIFICATE_REFUSED', caller, reason });
  return { caller, error, detail: reason };
}

function notAllowed(caller: string, method: string): Refusal {
  const expected = callPolicy.get(method)?.callers.join('; ') ?? 'nobody';
  const error = new WaybillError({ code: 'PEER_NOT_ALLOWED', caller, method, expected });
  return { caller, error, detail: `expected ${expected}` };
}

function passed(call: ServerInterceptingCallInterface, caller: Caller): ServerInterceptingCall {
  return new ServerInterceptingCall(call, {
    start: (next) =>
      next({
        onReceiveMetadata: (metadata, passOn) => {
          callers.set(metadata, caller);
          passOn(metadata);
        },
      }),
  });
}

function refused(
  call: ServerInterceptingCallInterface,
  { caller, error, detail }: Refusal,
  method: string,
  { onAudit }: CallPolicyNeeds,
): ServerInterceptingCall {
  return new ServerInterceptingCall(call, {
    start: (next) =>
      next({
        // Not calling the next listener keeps the method from starting.
        onReceiveMetadata: () => {
          onAudit({ caller, address: call.getPeer(), method, result: error.code, detail });
          call.sendStatus({
            code: grpcStatusOf[error.code],
            details: error.message,
            metadata: toErrorTrailers(error),
          });
        },
        onReceiveMessage: () => {},
        onReceiveHalfClose: () => {},
        onCancel: () => {},
      }),
  });
}
