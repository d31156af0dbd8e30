import { dirname, resolve } from 'node:path';
import { isKeptByAgent } from '../certificates/pair-file.ts';
import type { PeerIdentity } from '../domain/peer-identity.ts';
import { IdentityPlace } from '../enrollment/identity-place.ts';
import { authoritiesOf, chainOf } from '../rpc/certificate-trust.ts';
import type { LiveCredentials } from '../rpc/live-credentials.ts';
import { type PeerCredentialFiles, readPeerCredentials } from '../rpc/peer-credentials.ts';
import type { Clock } from '../runtime/clock.ts';
import type { KeptRenewal, KeptSubject } from './certificate-keeper.ts';
import { askingAt, CertificateRenewal } from './certificate-renewal.ts';
import { toKeptCertificate, type VouchedCertificate } from './kept-certificate.ts';

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
      const found = await readPeerCredentials(files, { identity, atAnyTime: true });
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
 */
export function renewalByOldKey(
  needs: {
    readonly credentials: LiveCredentials;
    readonly clock: Pick<Clock, 'nowMs'>;
    readonly expected: (peer: PeerIdentity) => boolean;
  },
  files: RenewedFiles,
): KeptRenewal | undefined {
  const { renewalAddress: address, certificateFile } = files;
  if (address === undefined || !isKeptByAgent(files)) return undefined;
  const { credentials, clock, expected } = needs;
  const place = new IdentityPlace(dirname(resolve(certificateFile)), certificateFile);
  const ask = askingAt({ address, roots: () => credentials.ca, expected });
  const renewal = new CertificateRenewal({ place, ask, clock });
  return {
    isOwnIssuer: false,
    renew: (signal) => renewal.renew(credentials, signal),
    lastTriedAtMs: () => renewal.lastTriedAtMs(),
  };
}
