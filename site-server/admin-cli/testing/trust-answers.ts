import type { AdministratorRecord__Output } from '../../../shared/rpc/generated/waybill/v1/AdministratorRecord.ts';
import type { CertificateRecord__Output } from '../../../shared/rpc/generated/waybill/v1/CertificateRecord.ts';
import type { CreatedEnrollment__Output } from '../../../shared/rpc/generated/waybill/v1/CreatedEnrollment.ts';
import type { EnrollmentRecord__Output } from '../../../shared/rpc/generated/waybill/v1/EnrollmentRecord.ts';
import type { Revocation__Output } from '../../../shared/rpc/generated/waybill/v1/Revocation.ts';
import { thenMs } from './fake-moment.ts';

/** The certificate of a DP, a third of whose life is over. */
export function aCertificate(
  changes: Partial<CertificateRecord__Output> = {},
): CertificateRecord__Output {
  const dayMs = 24 * 3_600_000;
  return {
    kind: 'CERTIFICATE_KIND_IDENTITY',
    holder: 'dp/PS1DP1',
    identityUri: 'waybill://dp/PS1DP1',
    issuerSiteCode: 'PS1',
    notBeforeMs: String(thenMs - 30 * dayMs),
    notAfterMs: String(thenMs + 60 * dayMs),
    rootKeyId: Buffer.alloc(32, 0xab),
    isOnNewestRoot: true,
    state: 'CERTIFICATE_STATE_VALID',
    reason: '',
    toldAtMs: String(thenMs),
    due: 'CERTIFICATE_DUE_NOTHING',
    ...{ revokedAtMs: '0', revokedAtSiteCode: '', revokedHolder: '' },
    ...changes,
  };
}

/** That a DP was put out. */
export function aRevocation(changes: Partial<Revocation__Output> = {}): Revocation__Output {
  return {
    ...{ siteCode: 'PS1', holder: 'dp/PS1DP1', revokedAtMs: String(thenMs) },
    ...{ reason: 'stolen', revokedBy: 'waybill://admin/full/alice?site=PS1' },
    reach: 'REVOCATION_REACH_UNSPECIFIED',
    ...changes,
  };
}

/** A token for PS1DP1 that nobody has used. */
export function anEnrollment(
  changes: Partial<EnrollmentRecord__Output> = {},
): EnrollmentRecord__Output {
  return {
    ...{ tokenId: '0123456789abcdef', identityUri: 'waybill://dp/PS1DP1' },
    state: 'ENROLLMENT_STATE_UNUSED',
    ...{ createdAtMs: String(thenMs), createdBy: 'waybill://admin/full/alice' },
    ...{ expiresAtMs: String(thenMs + 3_780_000), usedAtMs: '0', usedFrom: '' },
    ...{ wrongSecretCount: 0, reason: '' },
    ...changes,
  };
}

/** The same, just made. */
export function aCreatedEnrollment(identityUri: string): CreatedEnrollment__Output {
  const enrollment = anEnrollment({ identityUri });
  return {
    token: 'wbt1_secret',
    enrollment,
    enrollmentAddress: 'site.example.org:8532',
    siteCode: 'PS1',
    wasEnrolled: false,
  };
}

/** An administrator of some DPs. */
export function anAdministrator(
  changes: Partial<AdministratorRecord__Output> = {},
): AdministratorRecord__Output {
  return {
    ...{ name: 'bob', identityUri: 'waybill://admin/operator/bob?site=PS1&group=Lab' },
    ...{ createdAtMs: String(thenMs), createdBy: 'waybill://admin/full/alice' },
    ...{ enrolledAtMs: '0', revokedAtMs: '0' },
    ...changes,
  };
}
