import { certificateStateName } from '../../shared/certificate-keeper/standing-message.ts';
import type {
  CertificateDue,
  CertificateKind,
  KnownCertificate,
} from '../../shared/domain/known-certificate.ts';
import type { Conversation } from '../../shared/rpc/conversation.ts';
import type { CertificateRecord } from '../../shared/rpc/generated/waybill/v1/CertificateRecord.ts';
import type { CertificateWatch } from '../certificate-watch/certificate-watch.ts';

/** What answering about certificates needs. */
export interface CertificateAnswersComponents {
  readonly certificates: Pick<CertificateWatch, 'known' | 'dueOf'>;
}

const kindNames = {
  root: 'CERTIFICATE_KIND_ROOT',
  'site-authority': 'CERTIFICATE_KIND_SITE_AUTHORITY',
  identity: 'CERTIFICATE_KIND_IDENTITY',
} as const satisfies Record<CertificateKind, string>;

const dueNames = {
  nothing: 'CERTIFICATE_DUE_NOTHING',
  renewal: 'CERTIFICATE_DUE_RENEWAL',
  soon: 'CERTIFICATE_DUE_SOON',
  urgent: 'CERTIFICATE_DUE_URGENT',
  expired: 'CERTIFICATE_DUE_EXPIRED',
  'not-yet-valid': 'CERTIFICATE_DUE_NOT_YET_VALID',
  'old-root': 'CERTIFICATE_DUE_OLD_ROOT',
  revoked: 'CERTIFICATE_DUE_REVOKED',
} as const satisfies Record<CertificateDue, string>;

/** Answers what administrators ask about certificates. */
export class CertificateAnswers {
  readonly #components: CertificateAnswersComponents;

  constructor(components: CertificateAnswersComponents) {
    this.#components = components;
  }

  methods() {
    const { certificates } = this.#components;
    return {
      listCertificates: async function* () {
        for (const one of await certificates.known()) {
          yield toCertificateRecord(one, certificates.dueOf(one));
        }
      },
    } satisfies Partial<Conversation<'Admin'>>;
  }
}

function toCertificateRecord(
  certificate: KnownCertificate,
  due: CertificateDue,
): CertificateRecord {
  const { kind, state, rootKeyId, revoked, ...facts } = certificate;
  return {
    ...facts,
    kind: kindNames[kind],
    rootKeyId: Buffer.from(rootKeyId, 'hex'),
    ...(state && { state: certificateStateName(state) }),
    due: dueNames[due],
    ...(revoked && {
      revokedAtMs: revoked.revokedAtMs,
      revokedAtSiteCode: revoked.siteCode,
      revokedHolder: revoked.holder,
    }),
  };
}
