import { type ContentEntry, compareNames } from '../domain/content.ts';

/** One directory that is open: the sibling before, and the names a later sibling may collide with. */
interface Level {
  lastName: string | undefined;
  normalised: Set<string> | undefined;
}

/**
 * Most names remembered for the check of duplicates, over all directories that are open. It bounds
 * a reader's memory; plain ASCII names are not remembered and cost nothing.
 */
const rememberedNamesMax = 500_000;

/**
 * Whether entries come as a manifest must have them: depth-first, siblings ascending by UTF-8
 * bytes, none twice, and no two that a file system which normalises Unicode would take for one.
 */
export class EntryOrder {
  readonly #levels: Level[] = [{ lastName: undefined, normalised: undefined }];
  #rememberedCount = 0;

  /** Why this entry may not come next, or undefined when it may; then it counts as having come. */
  refusalOfNext(entry: Pick<ContentEntry, 'depth' | 'name' | 'type'>): string | undefined {
    if (entry.depth >= this.#levels.length) return 'the entry is deeper than the directory before';
    this.#closeLevelsBelow(entry.depth);
    const level = this.#levels[entry.depth];
    if (!level) return 'the depth is negative';
    if (level.lastName !== undefined && compareNames(level.lastName, entry.name) >= 0) {
      return level.lastName === entry.name ? 'the name is there twice' : 'the name is out of order';
    }
    level.lastName = entry.name;
    if (entry.type === 'directory') {
      this.#levels.push({ lastName: undefined, normalised: undefined });
    }
    return mayCollide(entry.name) ? this.#refusalOfNormalised(level, entry.name) : undefined;
  }

  #refusalOfNormalised(level: Level, name: string): string | undefined {
    const normalised = name.normalize('NFC');
    level.normalised ??= new Set();
    if (level.normalised.has(normalised)) {
      return 'the name is there twice once Unicode is normalised';
    }
    if (this.#rememberedCount >= rememberedNamesMax) {
      return `over ${rememberedNamesMax} names that are not plain ASCII share a directory`;
    }
    level.normalised.add(normalised);
    this.#rememberedCount++;
    return undefined;
  }

  #closeLevelsBelow(depth: number): void {
    while (this.#levels.length > depth + 1) {
      this.#rememberedCount -= this.#levels.pop()?.normalised?.size ?? 0;
    }
  }
}

/**
 * Whether a different name can have the same normal form: every name beyond ASCII, and ASCII names
 * with a character that another character is the twin of (U+212A for K, U+037E for the semicolon,
 * U+1FEF for the backtick).
 */
function mayCollide(name: string): boolean {
  for (let index = 0; index < name.length; index++) {
    const unit = name.charCodeAt(index);
    if (unit > 0x7f || unit === 0x4b || unit === 0x3b || unit === 0x60) return true;
  }
  return false;
}
