import { replicatedTables } from '../../shared/domain/replicated-tables.ts';
import type { SiteTree } from '../../shared/domain/site-tree.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { RowName } from './replicated-rows.ts';

/** A site next to this one, and what travels between the two, as the hierarchy is now. */
export class Neighbour {
  readonly siteCode: string;
  readonly isParent: boolean;
  readonly #directory: Pick<SiteDirectory, 'own' | 'tree'>;

  constructor(siteCode: string, directory: Pick<SiteDirectory, 'own' | 'tree'>) {
    this.siteCode = siteCode;
    this.isParent = directory.own.parent?.siteCode === siteCode;
    this.#directory = directory;
  }

  /** Whether an origin's changes come from this neighbour. */
  isOnItsSide(origin: string): boolean {
    const { own, tree } = this.#directory;
    if (origin === own.siteCode) return false;
    if (origin === this.siteCode) return true;
    return this.isParent
      ? !isUnder(tree, origin, own.siteCode)
      : isUnder(tree, origin, this.siteCode);
  }

  /** Whether a row of an origin that is sent to it is for it (REP-8). */
  isFor({ table, key }: RowName, origin: string): boolean {
    // What it wrote itself and lost.
    if (origin === this.siteCode) return true;
    if (this.isParent || replicatedTables[table].scope === 'everywhere') return true;
    const sourceSiteCode = key.slice(0, 3);
    const { own, tree } = this.#directory;
    if (sourceSiteCode === own.parent?.siteCode) return false;
    // Of a site that nobody knows yet, nobody knows where it is.
    return !tree.get(sourceSiteCode) || isUnder(tree, sourceSiteCode, this.siteCode);
  }
}

/** Whether a site is next to this one, as the hierarchy is now. */
export function isNeighbour(
  siteCode: string,
  { own, tree }: Pick<SiteDirectory, 'own' | 'tree'>,
): boolean {
  return own.parent?.siteCode === siteCode || tree.parentOf(siteCode) === own.siteCode;
}

function isUnder(tree: SiteTree, siteCode: string, top: string): boolean {
  return tree.get(siteCode) !== undefined && tree.isUnder(siteCode, top);
}
