import { X509Certificate } from 'node:crypto';
import { dirname, join, resolve } from 'node:path';
import type { KeptSubject } from '../../shared/certificate-keeper/certificate-keeper.ts';
import {
  askingWhereItIs,
  checkedRenewal,
  hintFailureTold,
  keepToldAddress,
  notTaken,
  toRenewalRequest,
  untilItBegins,
} from '../../shared/certificate-keeper/certificate-renewal.ts';
import { toKeptCertificate } from '../../shared/certificate-keeper/kept-certificate.ts';
import type { RevocationOf } from '../../shared/certificate-keeper/refused-voucher.ts';
import { certificateRequestOf } from '../../shared/certificates/certificate-requests.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { IdentityPlace } from '../../shared/enrollment/identity-place.ts';
import { authoritiesOf } from '../../shared/rpc/certificate-trust.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { SiteConfig } from '../site-config.ts';
import { authorityDirectoryOf } from '../site-setup/authority-commands.ts';
import { readAuthority } from './authority-files.ts';
import type { CertificateAuthority } from './certificate-authority.ts';
import { refusalOfFollower } from './site-authority-certificate.ts';

/**
 * The certificate of this site's authority, for the keeper. The top signs it again by rows that travel
 * (`site-authorities.ts`); of a site that those have not reached in time, because its own certificate is over or
 * it was off for long, the old key asks, at the enrollment port of a site above. For the same key: what it has
 * issued counts as before. A site that is revoked is not asked.
 */
export function keptAuthority(
  needs: {
    readonly authority: Pick<
      CertificateAuthority,
      'authorityCertificate' | 'isTop' | 'replaceCertificate' | 'roots' | 'siteCode'
    >;
    readonly credentials: Pick<PeerCredentials, 'ca'>;
    readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
    readonly revocationOf: RevocationOf;
    readonly logger: Pick<Logger, 'warn'>;
  },
  config: Pick<SiteConfig, 'certificates' | 'dataDirectory'>,
): KeptSubject {
  const { authority, credentials, clock, revocationOf } = needs;
  const lastKnown = () => {
    const certificate = new X509Certificate(authority.authorityCertificate());
    const kept = toKeptCertificate([certificate], authoritiesOf(credentials.ca));
    // After the rows have had their time; and which root it stands on, those say alone.
    return { ...kept, jitter: 1, isOnOldRoot: false };
  };
  const { renewalAddress: address } = config.certificates;
  const watched = { name: 'authority', look: async () => lastKnown(), lastKnown };
  if (address === undefined || authority.isTop) return watched;
  const { certificateFile } = config.certificates;
  const place = new IdentityPlace(dirname(resolve(certificateFile)), certificateFile);
  const onHintFailure = hintFailureTold(needs.logger);
  const roots = () => credentials.ca;
  const ask = askingWhereItIs({ address, place, roots, revocationOf, onHintFailure });
  const renew = async (signal: AbortSignal) => {
    const { key } = await requireAuthority(authorityDirectoryOf(config));
    const certificate = Buffer.from(authority.authorityCertificate());
    const identity = { kind: 'site', siteCode: authority.siteCode } as const;
    const old = { ca: credentials.ca, certificate, key: Buffer.from(key), identity };
    const answer = await ask(await toRenewalRequest(old, await certificateRequestOf(key)), signal);
    const checked = () => {
      const nowMs = clock.nowMs();
      const [next = ''] = checkedRenewal(answer, { old, keyPem: key, nowMs });
      requireFollower(authority, next, nowMs);
      return next;
    };
    const next = checked();
    await untilItBegins([next], { old, clock }, signal);
    // A row may have brought another one meanwhile.
    checked();
    await authority.replaceCertificate(next);
    await keepToldAddress(place, answer, onHintFailure);
  };
  // The rows come first; and a program that is started again and again asks no more often.
  const lastTriedAtMs = async () => clock.nowMs();
  return { ...watched, renewal: { isOwnIssuer: false, renew, lastTriedAtMs } };
}

/** @throws PEER_FAILED */
function requireFollower(
  authority: Pick<CertificateAuthority, 'authorityCertificate' | 'roots' | 'siteCode'>,
  offered: string,
  nowMs: number,
): void {
  const { siteCode } = authority;
  const current = authority.authorityCertificate();
  const held = { roots: authority.roots() };
  const refusal = refusalOfFollower({ siteCode, current, offered, held, nowMs });
  if (refusal !== undefined) throw notTaken(refusal);
}

async function requireAuthority(directory: string) {
  const content = await readAuthority(directory);
  if (content) return content.authority;
  const path = join(directory, 'authority.pem');
  const reason = 'there is no such file; call "waybill site enroll" for this site at the top site';
  throw new WaybillError({ code: 'CERTIFICATE_INVALID', path, reason });
}
