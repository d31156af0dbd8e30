/** The wiring of the site's authority, and of the roots it trusts (docs/trust.md). */
import { TrustedRoots } from '../shared/certificates/trusted-roots.ts';
import type { Component } from '../shared/runtime/component.ts';
import type { StateStore } from '../shared/state-store/state-store.ts';
import { hoursToMs } from './certificate-authority/authority-config.ts';
import { CertificateAuthority } from './certificate-authority/certificate-authority.ts';
import { IssuedCertificates } from './certificate-authority/issued-certificates.ts';
import { IssuedEarlier } from './certificate-authority/issued-earlier.ts';
import {
  defaultSiteAuthoritiesConfig,
  SiteAuthorities,
} from './certificate-authority/site-authorities.ts';
import { TrustBundles } from './certificate-authority/trust-bundles.ts';
import type { RowRollbacks } from './replication-manager/change-applier.ts';
import type { RowChecks } from './replication-manager/change-check.ts';
import type { Ground, SiteServerNeeds, SiteSettings } from './site-ground.ts';
import { authorityDirectoryOf, keepsOwnIdentity } from './site-setup/authority-commands.ts';

/** What a site has to do with certificates. */
export interface SiteAuthority {
  readonly issued: IssuedCertificates;
  /** Absent where somebody else puts certificates in their files, as with development certificates. */
  readonly trustedRoots: TrustedRoots | undefined;
  /** Absent at a site without `<data>/authority`. */
  readonly authority: CertificateAuthority | undefined;
}

/** Opens it; before anybody issues certificates. @throws CERTIFICATE_INVALID */
export async function openSiteAuthority(
  needs: SiteServerNeeds,
  store: StateStore,
  config: SiteSettings,
): Promise<SiteAuthority> {
  const { clock } = needs;
  const logger = needs.logger.child({ component: 'certificate-authority' });
  const issued = new IssuedCertificates({ store, clock, logger });
  if (!keepsOwnIdentity(config)) return { issued, trustedRoots: undefined, authority: undefined };
  const { siteCode, certificates } = config;
  const trustedRoots = await TrustedRoots.open(certificates.caFile, clock);
  const directory = authorityDirectoryOf(config);
  const authority = await CertificateAuthority.open(
    { clock, logger, trustedRoots, issued },
    { ...config.authority, siteCode, directory, agentFile: certificates.certificateFile },
  );
  if (authority) await new IssuedEarlier(directory).handOver(issued);
  return { issued, trustedRoots, authority };
}

/** What keeps it up to date. */
export interface AuthorityParts {
  readonly components: readonly Component[];
  readonly checks: RowChecks;
  readonly rollbacks: RowRollbacks;
}

/** Makes that. */
export function authorityParts(ground: Ground): AuthorityParts {
  const { issued, trustedRoots, authority } = ground.siteAuthority;
  if (!trustedRoots) return { components: [issued], checks: {}, rollbacks: {} };
  const logger = ground.logOf('certificate-authority');
  const bundles = new TrustBundles({ ...ground, logger, trustedRoots, authority });
  const rootOverlapMs = hoursToMs(ground.config.authority.rootOverlapHours);
  const config = { ...defaultSiteAuthoritiesConfig, rootOverlapMs };
  const directory = ground.sites;
  const sites = authority && [
    new SiteAuthorities({ ...ground, directory, logger, trustedRoots, authority }, config),
  ];
  return {
    components: [issued, bundles, ...(sites ?? [])],
    checks: { 'trust-bundles': (key, row) => bundles.checkRow(key, row) },
    rollbacks: {
      'trust-bundles': (_key, row) => bundles.isRollback(row),
      'site-authorities': (_key, row) => row === undefined,
    },
  };
}
