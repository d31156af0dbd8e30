import { authoritiesOf, chainOf } from '../rpc/certificate-trust.ts';
import type { LiveCredentials } from '../rpc/live-credentials.ts';
import { type PeerCredentialFiles, readPeerCredentials } from '../rpc/peer-credentials.ts';
import type { KeptSubject } from './certificate-keeper.ts';
import { toKeptCertificate, type VouchedCertificate } from './kept-certificate.ts';

/** How the agent's own certificate is followed by another; undefined: it is only watched. */
export interface OwnRenewal {
  readonly isOwnIssuer: boolean;
  /** Puts another one into the files. */
  readonly renew: (signal: AbortSignal) => Promise<void>;
}

/**
 * The agent's own certificate, for the keeper: what stands in its files, used as soon as it changes there,
 * whoever changed it.
 */
export function ownIdentity(
  credentials: LiveCredentials,
  files: PeerCredentialFiles,
  renewal: OwnRenewal | undefined,
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
