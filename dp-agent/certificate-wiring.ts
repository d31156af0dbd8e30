/** The wiring of what keeps the certificate of a DP agent. */
import {
  CertificateKeeper,
  defaultCertificateKeeperConfig,
} from '../shared/certificate-keeper/certificate-keeper.ts';
import { ownIdentity, renewalByOldKey } from '../shared/certificate-keeper/own-identity.ts';
import { tellCertificateHealth } from '../shared/certificate-keeper/tell-health.ts';
import type { TrustedRoots } from '../shared/certificates/trusted-roots.ts';
import type { KnownTrust } from '../shared/rpc/known-trust.ts';
import type { LiveCredentials } from '../shared/rpc/live-credentials.ts';
import type { RpcServer } from '../shared/rpc/rpc-server.ts';
import type { Clock } from '../shared/runtime/clock.ts';
import type { Logger } from '../shared/runtime/logger.ts';
import type { DpConfig } from './dp-config.ts';

/** Makes the keeper; the server tells whoever asks its health. */
export function certificateKeeper(
  needs: {
    readonly credentials: LiveCredentials;
    /** What its site has told before is known by the time the keeper starts. */
    readonly trust: Pick<KnownTrust, 'revocationOf'>;
    readonly clock: Clock;
    /** The logger of a component. */
    readonly child: (component: string) => Logger;
    readonly server: Pick<RpcServer, 'tellHealth'>;
    /** Absent where somebody else puts the roots there. */
    readonly trustedRoots?: Pick<TrustedRoots, 'onChange'>;
  },
  { certificates, renewal, siteCode }: DpConfig,
): CertificateKeeper {
  const { credentials, trust, clock, child } = needs;
  const logger = child('certificate-keeper');
  const byOldKey = renewalByOldKey(
    {
      ...{ credentials, clock, logger, revocationOf: (peer) => trust.revocationOf(peer) },
      // Whoever else has the root's word does not give certificates to this DP.
      expected: (peer) => peer.kind === 'site' && peer.siteCode === siteCode,
    },
    certificates,
  );
  const subject = ownIdentity(credentials, certificates, byOldKey);
  const keeper = new CertificateKeeper(
    { subject, clock, random: Math.random, logger },
    { ...defaultCertificateKeeperConfig, ...renewal },
  );
  tellCertificateHealth(keeper, needs.server);
  needs.trustedRoots?.onChange(() => keeper.wake());
  return keeper;
}
