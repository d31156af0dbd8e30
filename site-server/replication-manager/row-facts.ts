import { isDeepStrictEqual } from 'node:util';
import { compareHybridTimes } from '../../shared/domain/hybrid-time.ts';
import { sourceSiteOf } from '../../shared/domain/package.ts';
import type { CheckedRow } from './change-check.ts';
import type { ChangeLog } from './change-log.ts';
import { isRanked } from './owned-row-authority.ts';
import { rowIdOf } from './replicated-rows.ts';

type FactsLog = Pick<ChangeLog, 'versionsOf' | 'valueOf'>;

/** What is to be known of the rows of a message besides what is here of them: read before they are judged. */
export class RowFacts {
  readonly #others: ReadonlySet<CheckedRow>;
  readonly #goneOwners: ReadonlySet<string>;

  private constructor(others: ReadonlySet<CheckedRow>, goneOwners: ReadonlySet<string>) {
    this.#others = others;
    this.#goneOwners = goneOwners;
  }

  static async read(log: FactsLog, rows: readonly CheckedRow[]): Promise<RowFacts> {
    return new RowFacts(await othersThan(log, rows), await goneOwnersOf(log, rows));
  }

  /**
   * Whether a row is here with the same version, and yet another one: a repair left it as it once was.
   * One that this site writes meanwhile has a later version.
   */
  isOther(row: CheckedRow): boolean {
    return this.#others.has(row);
  }

  /** Whether a row is of a package whose source site was there, and was taken out. */
  isOwnerGone({ name }: CheckedRow): boolean {
    return isRanked(name) && this.#goneOwners.has(sourceSiteOf(name.key));
  }
}

async function othersThan(log: FactsLog, rows: readonly CheckedRow[]): Promise<Set<CheckedRow>> {
  const versions = await log.versionsOf(rows.map(({ name }) => rowIdOf(name)));
  const others = new Set<CheckedRow>();
  for (const [index, row] of rows.entries()) {
    const before = versions[index];
    if (!before || compareHybridTimes(row.version.changedAt, before.changedAt) !== 0) continue;
    if (!isDeepStrictEqual(await log.valueOf(row.name), row.value)) others.add(row);
  }
  return others;
}

async function goneOwnersOf(log: FactsLog, rows: readonly CheckedRow[]): Promise<Set<string>> {
  const packages = rows.filter(({ name }) => isRanked(name));
  const owners = [...new Set(packages.map(({ name }) => sourceSiteOf(name.key)))];
  const versions = await log.versionsOf(owners.map((key) => rowIdOf({ table: 'sites', key })));
  // One that was only made up has not been there.
  const isGone = (index: number) => versions[index]?.isDeleted && !versions[index]?.isOfNothing;
  return new Set(owners.filter((_, index) => isGone(index)));
}
