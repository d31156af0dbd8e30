import { addressForm, parseAddress } from '../../shared/domain/distribution-point.ts';
import {
  type EnrollmentToken,
  parseEnrollmentToken,
  tokenFaultWords,
} from '../../shared/domain/enrollment-token.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { fromIdentityUri, type PeerIdentity } from '../../shared/domain/peer-identity.ts';
import { quoted } from '../../shared/domain/request-invalid.ts';
import type { EnrollRequest__Output } from '../../shared/rpc/generated/waybill/v1/EnrollRequest.ts';
import type { RenewRequest__Output } from '../../shared/rpc/generated/waybill/v1/RenewRequest.ts';

/** Longest certificate, and certificate request, that is read, in bytes. */
export const certificateBytesMax = 4_096;
/** Longest text of a token that is read. */
export const tokenCharsMax = 200;
/** Longest identity URI: with as many sites and groups as a scope may have. */
export const identityCharsMax = 4_096;
/** Longest signature: ECDSA P-256 in DER has at most 72. */
const signatureBytesMax = 80;
const addressCharsMax = 300;

/** What an enrollment asks for, checked. */
export interface CheckedEnroll {
  readonly token: EnrollmentToken;
  readonly identity: PeerIdentity;
  readonly certificateRequest: Buffer;
  /** Empty: as it is known. */
  readonly address: string;
}

/** Nothing of the token stands in a refusal. @throws TOKEN_INVALID, MESSAGE_INVALID */
export function checkedEnroll(request: EnrollRequest__Output): CheckedEnroll {
  const { certificateRequest, address } = request;
  if (request.token.length > tokenCharsMax) throw tokenInvalid('wrong-length');
  const parsed = parseEnrollmentToken(request.token);
  if (!parsed.token) throw tokenInvalid(parsed.fault);
  requireBytes('certificate_request', certificateRequest, certificateBytesMax);
  if (address !== '' && (address.length > addressCharsMax || !parseAddress(address))) {
    throw messageInvalid('address', addressForm, quoted(address));
  }
  const identity = requireIdentity(request.identityUri);
  return { token: parsed.token, identity, certificateRequest, address };
}

/** @throws MESSAGE_INVALID */
export function checkRenew(request: RenewRequest__Output): void {
  requireBytes('certificate', request.certificate, certificateBytesMax);
  requireBytes('certificate_request', request.certificateRequest, certificateBytesMax);
  requireBytes('signature', request.signature, signatureBytesMax);
  if (request.authorityCertificate.length === 0) return;
  requireBytes('authority_certificate', request.authorityCertificate, certificateBytesMax);
}

function requireIdentity(uri: string): PeerIdentity {
  const identity = uri.length > identityCharsMax ? undefined : fromIdentityUri(uri);
  if (identity) return identity;
  throw messageInvalid('identity_uri', 'an identity such as waybill://dp/PS1DP1', quoted(uri));
}

function requireBytes(field: string, bytes: Uint8Array, bytesMax: number): void {
  if (bytes.length > 0 && bytes.length <= bytesMax) return;
  throw messageInvalid(field, `1 to ${bytesMax} bytes`, `${bytes.length}`);
}

function messageInvalid(field: string, expected: string, actual: string): WaybillError {
  return new WaybillError({ code: 'MESSAGE_INVALID', field, expected, actual });
}

function tokenInvalid(fault: keyof typeof tokenFaultWords): WaybillError {
  return new WaybillError({ code: 'TOKEN_INVALID', reason: tokenFaultWords[fault] });
}
