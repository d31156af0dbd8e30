import {
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import { WaybillError } from '../domain/errors.ts';
import { type PeerIdentity, toIdentityUri } from '../domain/peer-identity.ts';
import { type AuditEvent, unauthenticated } from './audit-event.ts';
import { callPolicy, mayCall } from './call-policy.ts';
import { identityOfSubjectAltName } from './certificate-identity.ts';
import type { Caller } from './conversation.ts';
import { toErrorTrailers } from './error-detail.ts';
import { grpcStatusOf } from './status-codes.ts';

/** What the interceptor needs: whose server it guards, and where refusals are written. */
export interface CallPolicyNeeds {
  readonly siteCode: string;
  readonly onAudit: (event: AuditEvent) => void;
}

type PeerOfCall = Pick<ServerInterceptingCallInterface, 'getAuthContext' | 'getPeer'>;

/** Who makes this call; undefined when its certificate speaks for nobody. */
export function callerOf(call: PeerOfCall): Caller | undefined {
  const identity = identityOf(call);
  return identity && { identity, address: call.getPeer() };
}

function identityOf(call: PeerOfCall): PeerIdentity | undefined {
  return identityOfSubjectAltName(call.getAuthContext().sslPeerCertificate?.subjectaltname);
}

/**
 * The one gate in front of every method of a server (SEC-1): lets pass what the call policy allows
 * and refuses the rest with PEER_NOT_ALLOWED, before the method sees anything of the call.
 */
export function callPolicyInterceptor(needs: CallPolicyNeeds): ServerInterceptor {
  return (method, call) => {
    const identity = identityOf(call);
    if (identity && mayCall(identity, method.path, needs.siteCode)) {
      return new ServerInterceptingCall(call);
    }
    const caller = identity ? toIdentityUri(identity) : unauthenticated;
    const expected = callPolicy.get(method.path)?.callers.join('; ') ?? 'nobody';
    return refused(call, { caller, method: method.path, expected }, needs);
  };
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
