import type { TransferLink } from '../../shared/domain/transfer-link.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** What goes, and is in no link any more. */
export interface GoneMembers {
  readonly isGoneDp: (dpId: string) => boolean;
  /** Of a site that goes, its own links go with it. @default none */
  readonly siteCode?: string;
}

/** Takes what goes out of all links; a link with nothing left in it goes too. Reads the whole table. */
export async function linksWithout(
  store: Pick<StateStore, 'records'>,
  gone: GoneMembers,
): Promise<Change[]> {
  const rows = store.records(keySpaces.links);
  const changes: Change[] = [];
  for await (const [linkName, link] of rows.list()) {
    const left = without(link, gone);
    if (left === link) continue;
    const isEmpty = left.dpIds.length + left.toSiteCodes.length === 0;
    changes.push(isEmpty ? rows.delete(linkName) : rows.put(linkName, left));
  }
  return changes;
}

function without(link: TransferLink, { isGoneDp, siteCode }: GoneMembers): TransferLink {
  if (link.siteCode === siteCode) return { ...link, dpIds: [], toSiteCodes: [] };
  const dpIds = link.dpIds.filter((dpId) => !isGoneDp(dpId));
  const toSiteCodes = link.toSiteCodes.filter((code) => code !== siteCode);
  const isSame =
    dpIds.length === link.dpIds.length && toSiteCodes.length === link.toSiteCodes.length;
  return isSame ? link : { ...link, dpIds, toSiteCodes };
}
