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

/**
 * The one gate in front of every method of a server (SEC-1): lets pass what the call policy allows
 * and refuses the rest with PEER_NOT_ALLOWED, before the method sees anything of the call.
 */
export function callPolicyInterceptor(needs: CallPolicyNeeds): ServerInterceptor {
  return (method, call) => {
    const identity = identityOf(call);
    if (identity && mayCall(identity, method.path, needs.siteCode)) {
      return passed(call, { identity, address: call.getPeer() });
    }
    const caller = identity ? toIdentityUri(identity) : unauthenticated;
    const expected = callPolicy.get(method.path)?.callers.join('; ') ?? 'nobody';
    return refused(call, { caller, method: method.path, expected }, needs);
  };
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
  facts: { caller: string; method: string; expected: string },
  needs: CallPolicyNeeds,
): ServerInterceptingCall {
  const error = new WaybillError({ code: 'PEER_NOT_ALLOWED', ...facts });
  return new ServerInterceptingCall(call, {
    start: (next) =>
      next({
        // Not calling the next listener keeps the method from starting.
        onReceiveMetadata: () => {
          needs.onAudit({
            caller: facts.caller,
            address: call.getPeer(),
            method: facts.method,
            result: error.code,
            detail: `expected ${facts.expected}`,
          });
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
