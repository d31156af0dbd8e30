/** The wiring of what keeps the certificate of a DP agent. */
import {
  CertificateKeeper,
  defaultCertificateKeeperConfig,
} from '../shared/certificate-keeper/certificate-keeper.ts';
import { ownIdentity, renewalByOldKey } from '../shared/certificate-keeper/own-identity.ts';
import type { LiveCredentials } from '../shared/rpc/live-credentials.ts';
import type { Clock } from '../shared/runtime/clock.ts';
import type { Logger } from '../shared/runtime/logger.ts';
import type { DpConfig } from './dp-config.ts';

/** Makes the keeper. */
export function certificateKeeper(
  needs: {
    readonly credentials: LiveCredentials;
    readonly clock: Clock;
    /** The logger of a component. */
    readonly child: (component: string) => Logger;
  },
  { certificates, renewal, siteCode }: DpConfig,
): CertificateKeeper {
  const { credentials, clock, child } = needs;
  const logger = child('certificate-keeper');
  const byOldKey = renewalByOldKey(
    // Whoever else has the root's word does not give certificates to this DP.
    { ...needs, expected: (peer) => peer.kind === 'site' && peer.siteCode === siteCode },
    certificates,
  );
  const subject = ownIdentity(credentials, certificates, byOldKey);
  return new CertificateKeeper(
    { subject, clock, random: Math.random, logger },
    { ...defaultCertificateKeeperConfig, ...renewal },
  );
}
