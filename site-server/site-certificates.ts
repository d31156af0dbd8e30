/** The wiring of what looks after certificates at a site server. */
import {
  CertificateKeeper,
  defaultCertificateKeeperConfig,
} from '../shared/certificate-keeper/certificate-keeper.ts';
import { ownIdentity } from '../shared/certificate-keeper/own-identity.ts';
import { tellCertificateHealth } from '../shared/certificate-keeper/tell-health.ts';
import type { RpcServer } from '../shared/rpc/rpc-server.ts';
import { CertificateWatch } from './certificate-watch/certificate-watch.ts';
import type { Ground } from './site-ground.ts';

/** Keeps the server's own certificate, and knows those of the hierarchy. */
export interface SiteCertificates {
  readonly keeper: CertificateKeeper;
  readonly watch: CertificateWatch;
}

/** Makes them; the server tells whoever asks its health. */
export function siteCertificates(ground: Ground, server: RpcServer): SiteCertificates {
  const { clock, config, credentials, logOf, random } = ground;
  const subject = ownIdentity(credentials, config.certificates, undefined);
  const keeper = new CertificateKeeper(
    { subject, clock, random, logger: logOf('certificate-keeper') },
    { ...defaultCertificateKeeperConfig, ...config.renewal },
  );
  tellCertificateHealth(keeper, server);
  const watch = new CertificateWatch({
    ...ground,
    own: () => keeper.report(),
    issued: async function* () {},
  });
  return { keeper, watch };
}
