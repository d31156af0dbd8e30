import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import { scopeText } from '../domain/admin-scope.ts';
import { WaybillError } from '../domain/errors.ts';
import { type PeerIdentity, toIdentityUri } from '../domain/peer-identity.ts';
import { type AuditEvent, unauthenticated } from './audit-event.ts';
import { callPolicy, mayCall } from './call-policy.ts';
import { certifiedPeerOf } from './certificate-identity.ts';
import type { Caller } from './conversation.ts';
import { toErrorTrailers } from './error-detail.ts';
import { isBeyondScope } from './scope-policy.ts';
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
 * and refuses the rest with PEER_NOT_ALLOWED, or SCOPE_EXCEEDED for what no scope holds, before the
 * method sees anything of the call.
 */
export function callPolicyInterceptor(needs: CallPolicyNeeds): ServerInterceptor {
  return (method, call) => {
    const identity = identityOf(call);
    const caller = identity ? toIdentityUri(identity) : unauthenticated;
    if (!identity || !mayCall(identity, method.path, needs.siteCode)) {
      const expected = callPolicy.get(method.path)?.callers.join('; ') ?? 'nobody';
      const facts = { caller, method: method.path, expected };
      const error = new WaybillError({ code: 'PEER_NOT_ALLOWED', ...facts });
      return refused(call, { ...facts, error }, needs);
    }
    if (isBeyondScope(identity, method.path)) {
      const facts = {
        caller,
        scope: scopeOf(identity),
        outside: 'what belongs to no site or group',
      };
      const error = new WaybillError({ code: 'SCOPE_EXCEEDED', ...facts });
      const expected = 'an administrator without a scope';
      return refused(call, { caller, method: method.path, expected, error }, needs);
    }
    return passed(call, { identity, address: call.getPeer() });
  };
}

function scopeOf(identity: PeerIdentity): string {
  return identity.kind === 'admin' && identity.scope ? scopeText(identity.scope) : '';
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
  facts: { caller: string; method: string; expected: string; error: WaybillError },
  needs: CallPolicyNeeds,
): ServerInterceptingCall {
  const { error } = facts;
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
