/** The wiring of the site's authority, and of the roots it trusts (docs/trust.md). */
import { isKeptByAgent } from '../shared/certificates/pair-file.ts';
import { encodeTrustBundle } from '../shared/certificates/trust-bundle.ts';
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
import { SiteAuthorityRows } from './certificate-authority/site-authority-rows.ts';
import { TrustBundles } from './certificate-authority/trust-bundles.ts';
import type { RowRollbacks } from './replication-manager/change-applier.ts';
import type { RowChecks } from './replication-manager/change-check.ts';
import { LateRevocations } from './revocations/late-revocations.ts';
import type { Revocations } from './revocations/revocations.ts';
import type { ToldBundles } from './revocations/trust-teller.ts';
import type { Ground, SiteServerNeeds, SiteSettings } from './site-ground.ts';
import { authorityDirectoryOf } from './site-setup/authority-commands.ts';

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
  parts: { readonly store: StateStore; readonly revocations: Pick<Revocations, 'heardByIssuer'> },
  config: SiteSettings,
): Promise<SiteAuthority> {
  const { store, revocations } = parts;
  const { clock } = needs;
  const logger = needs.logger.child({ component: 'certificate-authority' });
  const issued = new IssuedCertificates({ store, clock, logger });
  if (!isKeptByAgent(config.certificates))
    return { issued, trustedRoots: undefined, authority: undefined };
  const { siteCode, certificates } = config;
  const trustedRoots = await TrustedRoots.open(certificates.caFile, clock);
  const directory = authorityDirectoryOf(config);
  const authority = await CertificateAuthority.open(
    {
      ...{ clock, logger, trustedRoots, issued },
      // Whoever has no say about a holder does not delay what he is given.
      revocationOf: (holder) => revocations.heardByIssuer(holder),
    },
    { ...config.authority, siteCode, directory, agentFile: certificates.certificateFile },
  );
  if (authority) await new IssuedEarlier(directory).handOver(issued);
  return { issued, trustedRoots, authority };
}

/** What keeps it up to date. */
export interface AuthorityParts {
  /** Absent where certificates are for development. */
  readonly bundles?: TrustBundles;
  /** Absent where certificates are for development. */
  readonly rows?: SiteAuthorityRows;
  readonly components: readonly Component[];
  readonly checks: RowChecks;
  readonly rollbacks: RowRollbacks;
}

/** The roots as DPs are told them, which take them only if one that they trust has signed. */
export function toldBundles(bundles: TrustBundles): ToldBundles {
  return {
    current: () => {
      const bundle = bundles.current();
      if (!bundle) return undefined;
      const base64 = encodeTrustBundle(bundle).toString('base64');
      return { generation: bundle.generation, base64 };
    },
    onChanged: (listener) => bundles.onChanged(listener),
  };
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
  // What is said of a site by one that has no say about it takes nothing from it (docs/trust.md, 5).
  const revocationOf = (holder: string) => ground.revocations.heardByIssuer(holder);
  const parts = { ...ground, directory, logger, trustedRoots, authority, revocationOf };
  const late = new LateRevocations({ ...ground, logger: ground.logOf('revocations') });
  const sites = authority && [late, new SiteAuthorities({ ...parts, authority }, config)];
  const rows = new SiteAuthorityRows({
    ...{ ...ground, trustedRoots, offeredRoots: () => bundles.offeredRoots() },
    onAudit: (event) => ground.auditTrail.record(event),
  });
  return {
    bundles,
    rows,
    components: [issued, bundles, rows, ...(sites ?? [])],
    checks: {
      'trust-bundles': (key, row) => bundles.checkRow(key, row),
      'site-authorities': (key, row) => rows.checkRow(key, row),
    },
    rollbacks: {
      'trust-bundles': (_key, row) => bundles.isRollback(row),
      'site-authorities': (key, row) => rows.isRollback(key, row),
    },
  };
}
