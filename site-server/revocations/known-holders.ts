import type { Voucher } from '../../shared/domain/certificate-authority.ts';
import { fromIdentityUri, holderOf } from '../../shared/domain/peer-identity.ts';
import { nearestWord } from '../../shared/runtime/nearest-word.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { Revocations } from './revocations.ts';

/** What knowing holders needs. */
export interface KnownHoldersNeeds {
  readonly store: Pick<StateStore, 'records'>;
  readonly siteCode: string;
  readonly hierarchy: Pick<HierarchyManager, 'listAll'>;
  readonly sites: Pick<SiteDirectory, 'tree'>;
  readonly revocations: Pick<Revocations, 'list'>;
}

/** A holder of whom this site knows. */
export interface KnownHolder {
  readonly holder: string;
  /** Whose authority vouches for it; undefined: that is not known here. */
  readonly voucher: Voucher | undefined;
}

/**
 * All holders of certificates of whom this site knows: sites and DPs of the hierarchy; whom its own authority has
 * given a certificate, or is to, deleted or not; and who was revoked before. Reads only.
 */
export class KnownHolders {
  readonly #needs: KnownHoldersNeeds;

  constructor(needs: KnownHoldersNeeds) {
    this.#needs = needs;
  }

  /** Undefined: nobody of that name is known here. */
  async find(holder: string): Promise<KnownHolder | undefined> {
    return (await this.#all()).get(holder);
  }

  /** The name that was probably meant, of whatever kind; undefined when none is near. */
  async nearest(holder: string): Promise<string | undefined> {
    return nearestWord(holder, [...(await this.#all()).keys()]);
  }

  async #all(): Promise<ReadonlyMap<string, KnownHolder>> {
    const { siteCode: own, hierarchy, revocations, sites, store } = this.#needs;
    const all = new Map<string, KnownHolder>();
    const add = (holder: string, voucher: Voucher | undefined) => {
      if (all.get(holder)?.voucher === undefined) all.set(holder, { holder, voucher });
    };
    for (const { siteCode } of sites.tree.list()) add(`site/${siteCode}`, { siteCode });
    for await (const { dpId, siteCode } of hierarchy.listAll()) {
      const voucher = siteCode === '' ? own : siteCode;
      add(holderOf({ kind: 'dp', dpId }), { siteCode: voucher });
    }
    for await (const [, { kind, holder }] of store.records(keySpaces.issuedCertificates).list()) {
      add(holder, kind === 'leaf' ? { siteCode: own } : { siteCode: holder.slice('site/'.length) });
    }
    for await (const [, { identityUri }] of store.records(keySpaces.administrators).list()) {
      const identity = fromIdentityUri(identityUri);
      if (identity) add(holderOf(identity), { siteCode: own });
    }
    for (const { holder } of revocations.list()) add(holder, undefined);
    return all;
  }
}
