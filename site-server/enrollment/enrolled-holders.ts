import type { PeerIdentity } from '../../shared/domain/peer-identity.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { Administrators } from './administrators.ts';

/** What knowing who is part of the site needs. */
export interface EnrolledHoldersComponents {
  readonly hierarchy: Pick<HierarchyManager, 'get' | 'set'>;
  readonly sites: Pick<SiteDirectory, 'own' | 'tree'>;
  readonly administrators: Pick<Administrators, 'has' | 'enrolled' | 'wasEnrolled'>;
  /** Writes another address of a site down. */
  readonly setSiteAddress: (siteCode: string, address: string) => Promise<unknown>;
}

/** Who may have a certificate of this site: whoever an administrator added, and did not delete since. */
export class EnrolledHolders {
  readonly #components: EnrolledHoldersComponents;

  constructor(components: EnrolledHoldersComponents) {
    this.#components = components;
  }

  /** Whether this one is part of the site, or of a hierarchy of which it is the top. */
  async has(identity: PeerIdentity): Promise<boolean> {
    const { hierarchy, sites, administrators } = this.#components;
    switch (identity.kind) {
      case 'dp':
        return (await hierarchy.get(identity.dpId)) !== undefined;
      case 'site':
        return sites.tree.get(identity.siteCode) !== undefined;
      case 'admin':
        return administrators.has(identity);
      case 'client':
        return true;
    }
  }

  /**
   * The same of one with a certificate of this site that counts. An administrator of whom nothing is known, not
   * even that he was deleted, is taken back: the state store was lost.
   */
  async hasStill(identity: PeerIdentity, issuedAtMs: number): Promise<boolean> {
    const { administrators } = this.#components;
    if (identity.kind === 'admin') await administrators.wasEnrolled(identity, issuedAtMs);
    return this.has(identity);
  }

  /** host:port by which it is reached, as it is known here; empty of administrators and clients. */
  async addressOf(identity: PeerIdentity): Promise<string> {
    const { hierarchy, sites } = this.#components;
    if (identity.kind === 'dp') return (await hierarchy.get(identity.dpId))?.address ?? '';
    return identity.kind === 'site' ? (sites.tree.get(identity.siteCode)?.address ?? '') : '';
  }

  /** It was given a certificate. @param address where it says it is; empty: as it is known */
  async enrolled(identity: PeerIdentity, address: string): Promise<void> {
    const { hierarchy, administrators, setSiteAddress } = this.#components;
    if (identity.kind === 'admin') await administrators.enrolled(identity.name);
    if (address === '' || address === (await this.addressOf(identity))) return;
    if (identity.kind === 'dp') await hierarchy.set({ dpId: identity.dpId, address });
    if (identity.kind === 'site') await setSiteAddress(identity.siteCode, address);
  }
}
