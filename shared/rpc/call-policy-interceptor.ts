import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import { WaybillError } from '../domain/errors.ts';
import { type PeerIdentity, toIdentityUri } from '../domain/peer-identity.ts';
import { type AuditEvent, unauthenticated } from './audit-event.ts';
import { callPolicy, mayCall } from './call-policy.ts';
import { certifiedPeerOf } from './certificate-identity.ts';
import type { Caller } from './conversation.ts';
import { toErrorTrailers } from './error-detail.ts';
import { scopeRefusalOf } from './scope-policy.ts';
import { grpcStatusOf } from './status-codes.ts';

/** What the interceptor needs: whose server it guards, and where refusals are written. */
export interface CallPolicyNeeds {
  readonly siteCode: string;
  readonly onAudit: (event: AuditEvent) => void;
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

function identityOf(call: ServerInterceptingCallInterface): PeerIdentity | undefined {
  const certificate = call.getAuthContext().sslPeerCertificate;
  return certificate && certifiedPeerOf(certificate)?.identity;
}

/** Why a call does not pass: who calls, as the audit trail has it, the error, and what to note of it. */
interface Refusal {
  readonly caller: string;
  readonly error: WaybillError;
  readonly detail: string;
}

/**
 * The one gate in front of every method of a server (SEC-1): lets pass what the call policy allows
 * and refuses the rest with PEER_NOT_ALLOWED, or SCOPE_EXCEEDED for what no scope holds, before the
 * method sees anything of the call.
 */
export function callPolicyInterceptor(needs: CallPolicyNeeds): ServerInterceptor {
  return (method, call) => {
    const identity = identityOf(call);
    if (!identity)
      return refused(call, notAllowed(unauthenticated, method.path), method.path, needs);
    const refusal = refusalOf(identity, method.path, needs);
    if (refusal) return refused(call, refusal, method.path, needs);
    return passed(call, { identity, address: call.getPeer() });
  };
}

function refusalOf(
  identity: PeerIdentity,
  path: string,
  { siteCode }: CallPolicyNeeds,
): Refusal | undefined {
  const caller = toIdentityUri(identity);
  if (!mayCall(identity, path, siteCode)) return notAllowed(caller, path);
  const error = scopeRefusalOf(identity, path);
  return error && { caller, error, detail: 'expected an administrator without a scope' };
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
