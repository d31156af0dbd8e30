import { dirname, resolve } from 'node:path';
import { isKeptByAgent } from '../certificates/pair-file.ts';
import type { PeerIdentity } from '../domain/peer-identity.ts';
import { IdentityPlace } from '../enrollment/identity-place.ts';
import { authoritiesOf, chainOf, isIssuedBy, lifeOf } from '../rpc/certificate-trust.ts';
import type { LiveCredentials } from '../rpc/live-credentials.ts';
import {
  type PeerCredentialFiles,
  type PeerCredentials,
  readPeerCredentials,
} from '../rpc/peer-credentials.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import {
  defaultCertificateKeeperConfig,
  type KeptRenewal,
  type KeptSubject,
} from './certificate-keeper.ts';
import { askingWhereItIs, CertificateRenewal, hintFailureTold } from './certificate-renewal.ts';
import { toKeptCertificate, type VouchedCertificate, vouchersOf } from './kept-certificate.ts';
import type { RevocationOf } from './refused-voucher.ts';

/**
 * The agent's own certificate, for the keeper: what stands in its files, used as soon as it changes there,
 * whoever changed it.
 *
 * @param renewal undefined: it is only watched
 */
export function ownIdentity(
  credentials: LiveCredentials,
  files: PeerCredentialFiles,
  renewal: KeptRenewal | undefined,
): KeptSubject {
  const inUse = () =>
    toKeptCertificate(chainOf(credentials.certificate), authoritiesOf(credentials.ca));
  return {
    name: 'agent',
    look: async (): Promise<VouchedCertificate> => {
      const { identity } = credentials;
      // Other roots may be trusted than when it was issued; another certificate must stand on them.
      const isInUse = (certificate: Buffer) => certificate.equals(credentials.certificate);
      const options = { identity, atAnyTime: true };
      const found = await readPeerCredentials(
        files,
        isKeptByAgent(files) ? { ...options, isTakenWithoutRoot: isInUse } : options,
      );
      const isNew =
        !found.certificate.equals(credentials.certificate) || !found.ca.equals(credentials.ca);
      if (isNew) credentials.replace(found);
      return inUse();
    },
    lastKnown: inUse,
    // Whoever has waited for that tries again, as with another certificate.
    countsAgain: () => credentials.replace(credentials),
    ...(renewal && { renewal }),
  };
}

/**
 * Whether a certificate that no trusted root stands behind may still be followed by its key: a site's authority
 * has issued it, whose key stays the same when the root changes, and the grace period is not over.
 */
export function mayComeBack(certificate: Buffer, nowMs: number): boolean {
  const chain = chainOf(certificate);
  const [own, issuer] = chain;
  const { issuerSiteCode } = vouchersOf(chain, []);
  if (issuerSiteCode === '' || !issuer?.ca || !isIssuedBy([own], [issuer])) return false;
  return nowMs <= lifeOf(own).notAfterMs + defaultCertificateKeeperConfig.graceMs;
}

/**
 * How an agent reads its own certificate at its start: with one that is over, not valid yet, or of a root that
 * was retired, it stays up and says so, as long as it can come back by itself.
 *
 * @param wayBack what brings it back otherwise, the end of a sentence
 */
export function ownCredentialsAtStart(
  files: RenewedFiles,
  facts: { readonly identity: PeerIdentity; readonly nowMs: number; readonly wayBack: string },
): Promise<PeerCredentials> {
  const { identity, nowMs, wayBack } = facts;
  const canRenew = isKeptByAgent(files) && files.renewalAddress !== undefined;
  return readPeerCredentials(files, {
    ...{ identity, atAnyTime: true },
    ...(isKeptByAgent(files) && { wayBack }),
    isTakenWithoutRoot: (certificate) => canRenew && mayComeBack(certificate, nowMs),
  });
}

/** Where an agent's certificate lies, and where it is renewed. */
export interface RenewedFiles extends PeerCredentialFiles {
  /** host:port of an enrollment port. */
  readonly renewalAddress?: string | undefined;
}

/**
 * How an agent renews by its old key, at the enrollment port of its site; undefined when its files are not its
 * own, or nobody has said where.
 *
 * @param needs.expected which site may answer
 * @param needs.revocationOf neither asks nor believes one that is revoked
 */
export function renewalByOldKey(
  needs: {
    readonly credentials: LiveCredentials;
    readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
    readonly expected: (peer: PeerIdentity) => boolean;
    readonly revocationOf: RevocationOf;
    readonly logger: Pick<Logger, 'warn'>;
  },
  files: RenewedFiles,
): KeptRenewal | undefined {
  const { renewalAddress: address, certificateFile } = files;
  if (address === undefined || !isKeptByAgent(files)) return undefined;
  const { credentials, clock, expected, revocationOf } = needs;
  const place = new IdentityPlace(dirname(resolve(certificateFile)), certificateFile);
  const roots = () => credentials.ca;
  const onHintFailure = hintFailureTold(needs.logger);
  const ask = askingWhereItIs({ address, place, roots, expected, revocationOf, onHintFailure });
  const renewal = new CertificateRenewal({ place, ask, clock, revocationOf, onHintFailure });
  return {
    isOwnIssuer: false,
    renew: (signal) => renewal.renew(credentials, signal),
    lastTriedAtMs: () => renewal.lastTriedAtMs(),
  };
}
