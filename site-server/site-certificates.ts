/** The wiring of what looks after certificates at a site server. */
import {
  CertificateKeeper,
  defaultCertificateKeeperConfig,
  type KeptSubject,
} from '../shared/certificate-keeper/certificate-keeper.ts';
import { ownIdentity } from '../shared/certificate-keeper/own-identity.ts';
import type { RevocationOf } from '../shared/certificate-keeper/refused-voucher.ts';
import { tellCertificateHealth } from '../shared/certificate-keeper/tell-health.ts';
import type { StandingReport } from '../shared/domain/root-standing.ts';
import type { RpcServer } from '../shared/rpc/rpc-server.ts';
import type { Component } from '../shared/runtime/component.ts';
import { keptAuthority } from './certificate-authority/kept-authority.ts';
import { writeStandingReport } from './certificate-authority/standing-report.ts';
import { CertificateWatch } from './certificate-watch/certificate-watch.ts';
import { RootStandings } from './certificate-watch/root-standings.ts';
import type { Ground } from './site-ground.ts';
import { authorityDirectoryOf } from './site-setup/authority-commands.ts';

/** Keeps the server's own certificates, and knows those of the hierarchy. */
export interface SiteCertificates {
  /** Start before all others. */
  readonly keepers: readonly Component[];
  readonly watch: CertificateWatch;
  /** Say who stands on an older root; none where certificates are for development. */
  readonly standings: readonly Component[];
}

/** Makes them; the server tells whoever asks its health. */
export function siteCertificates(ground: Ground, server: RpcServer): SiteCertificates {
  const { config, credentials, revocations, siteAuthority } = ground;
  const { authority, issued, trustedRoots } = siteAuthority;
  const renewal = authority && { isOwnIssuer: true, renew: () => authority.renewOwnLeaf() };
  const keeper = keeperOf(ground, ownIdentity(credentials, config.certificates, renewal));
  tellCertificateHealth(keeper, server);
  trustedRoots?.onChange(() => keeper.wake());
  const revocationOf: RevocationOf = (peer) => revocations.trust.revocationOf(peer);
  const above = authority && keptAuthority({ ...ground, authority, revocationOf }, config);
  const directory = authorityDirectoryOf(config);
  const report = authority?.isTop && {
    writeReport: (seen: StandingReport) => writeStandingReport(directory, seen),
  };
  const watch = new CertificateWatch({
    ...ground,
    own: () => keeper.report(),
    issued: () => issued.list(),
  });
  const standings =
    trustedRoots &&
    authority &&
    new RootStandings({
      ...{ ...ground, trustedRoots, watch, ...report },
      ...{ siteCode: config.siteCode, logger: ground.logOf('certificate-watch') },
    });
  return {
    standings: standings ? [standings] : [],
    keepers: [...(above ? [keeperOf(ground, above)] : []), keeper],
    watch,
  };
}

function keeperOf({ clock, config, logOf, random }: Ground, subject: KeptSubject) {
  return new CertificateKeeper(
    { subject, clock, random, logger: logOf('certificate-keeper') },
    { ...defaultCertificateKeeperConfig, ...config.renewal },
  );
}
