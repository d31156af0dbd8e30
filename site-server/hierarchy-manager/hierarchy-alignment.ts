import { parseAddress } from '../../shared/domain/distribution-point.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import { type FirstWordsComponents, firstWords } from './first-words.ts';
import type { OwnContents } from './own-contents.ts';
import type { OwnSite } from './site-directory.ts';

/** What aligning needs. */
export interface HierarchyAlignmentComponents extends FirstWordsComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly contents: Pick<OwnContents, 'changesOf'>;
  readonly own: OwnSite;
  /** host:port by which others reach this site. */
  readonly siteAddress: () => string;
  /** Rows may be missing: then nothing is said to other sites that they know better. */
  readonly isStoreDamaged: boolean;
}

/** Changes of one batch: a site may have millions of wishes. */
const batchChangeCount = 500;

/** What the store remembers once all was said: from then on whoever writes a row says so with it. */
const allSaidKey = 'all-said';

/**
 * Makes the replicated rows of this site say what its own rows and its library say, at every start:
 * a site that was alone until now has none yet, and after a crash or damage they may be behind. When
 * all is well it writes nothing. A crash leaves whole batches; the rest is said at the next start.
 */
export async function alignWithHierarchy(components: HierarchyAlignmentComponents): Promise<void> {
  const { store, isStoreDamaged } = components;
  const memory = store.records(keySpaces.storeState);
  const isAllSaid = (await memory.get(allSaidKey)) === true;
  await written(store, changesAtStart(components, { isAllSaid }));
  // After damage, at the next start: by then the neighbours have given back what they know.
  if (isStoreDamaged && isAllSaid) await store.write([memory.delete(allSaidKey)], { sync: true });
  if (!isStoreDamaged && !isAllSaid) {
    await store.write([memory.put(allSaidKey, true)], { sync: true });
  }
}

async function* changesAtStart(
  components: HierarchyAlignmentComponents,
  { isAllSaid }: { isAllSaid: boolean },
): AsyncGenerator<Change[]> {
  yield await ownSite(components);
  const { packages, hierarchyPackages, contents } = components;
  for await (const [packageId] of packages.packages.list()) {
    if (!hierarchyPackages.isOwn(packageId)) yield await contents.changesOf(packageId);
  }
  if (!components.isStoreDamaged && !isAllSaid) yield* firstWords(components);
}

async function written(
  store: Pick<StateStore, 'write'>,
  all: AsyncIterable<readonly Change[]>,
): Promise<void> {
  let batch: Change[] = [];
  for await (const changes of all) {
    batch.push(...changes);
    if (batch.length < batchChangeCount) continue;
    await store.write(batch, { sync: false });
    batch = [];
  }
  // Synced with all before it.
  if (batch.length > 0) await store.write(batch, { sync: true });
}

/**
 * A site below another one is made known there; only the top makes itself known. What a site said of
 * its place before it was configured otherwise is put right.
 */
async function ownSite(components: HierarchyAlignmentComponents): Promise<Change[]> {
  const { store, own, siteAddress } = components;
  const sites = store.records(keySpaces.sites);
  const { siteCode, kind, parent } = own;
  const parentSiteCode = parent?.siteCode ?? '';
  const said = await sites.get(siteCode);
  const isTrue = said?.kind === kind && said.parentSiteCode === parentSiteCode;
  if (isTrue || (parent && !said)) return [];
  // Until the site listens, its port may not be known; its identity says it then.
  const address = said?.address || (parseAddress(siteAddress()) ?? '');
  const description = said?.description ?? '';
  return [sites.put(siteCode, { siteCode, kind, parentSiteCode, address, description })];
}
