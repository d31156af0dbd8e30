import { mkdir, open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { loadLevel } from './level.ts';
import { diskFullError, levelErrorCode } from './level-error.ts';
import { readLog, toLog } from './level-format/log-file.ts';
import { checkTable } from './level-format/table-file.ts';
import { checkStoreFiles, isLogFile, isTableFile, readStoreFile } from './store-check.ts';

/** What was found damaged at open, and what became of it. */
export interface StateStoreDamage {
  /** The directory the damaged store was moved to; nothing in it was deleted. */
  readonly setAsideAs: string;
  readonly reason: string;
  /**
   * True: the rows that could be read are in the store; some may be missing, or be as they once
   * were. False: the store begins empty.
   */
  readonly repaired: boolean;
}

/**
 * Looks through the rows of a store that is to take the damaged one's place, deletes those that are
 * none, and notes the damage in it.
 */
export type FinishRepair = (
  directory: string,
  damage: StateStoreDamage,
) => Promise<{ rowCount: number }>;

/** Under way; thrown away when found at the next start. */
const repairingName = (directory: string) => `${directory}.repairing`;
/** Whole; takes the store's place, also at the next start. */
const repairedName = (directory: string) => `${directory}.repaired`;

/** What was found, and which files repair may use. */
export interface FoundDamage {
  readonly reason: string;
  readonly usableFiles: readonly string[];
}

/**
 * Puts a store in the place of a damaged one: what can be read of it, else an empty one. The damaged
 * one is renamed to `<directory>.damaged-<n>` at the very end, so a crash at any moment leaves
 * either it or its successor; call `finishSetAside` before looking at the directory.
 *
 * @throws DISK_FULL when there is no room for the copy: nothing has changed
 */
export async function setAside(
  directory: string,
  found: FoundDamage,
  finish: FinishRepair,
): Promise<StateStoreDamage> {
  const damage = { setAsideAs: await freeName(directory), reason: found.reason };
  const isRepaired = await tryRepair(directory, found, (copy) =>
    finish(copy, { ...damage, repaired: true }),
  );
  if (!isRepaired) {
    await emptyDirectory(repairingName(directory));
    await finish(repairingName(directory), { ...damage, repaired: false });
  }
  await syncDirectory(repairingName(directory));
  await rename(repairingName(directory), repairedName(directory));
  await rename(directory, damage.setAsideAs);
  await finishSetAside(directory);
  return { ...damage, repaired: isRepaired };
}

/** Ends what a crash in `setAside` left half done. */
export async function finishSetAside(directory: string): Promise<void> {
  await rm(repairingName(directory), { recursive: true, force: true });
  if (!(await exists(repairedName(directory)))) return;
  if (await exists(directory)) {
    // The damaged store was not out of the way yet: it is repaired again.
    await rm(repairedName(directory), { recursive: true });
    return;
  }
  await rename(repairedName(directory), directory);
  await syncDirectory(dirname(directory));
}

async function tryRepair(
  directory: string,
  found: FoundDamage,
  finish: (copy: string) => Promise<{ rowCount: number }>,
): Promise<boolean> {
  const copy = repairingName(directory);
  try {
    await copyUsable(directory, found.usableFiles);
    await repair(copy);
    const { rowCount } = await finish(copy);
    return rowCount > 0 && (await checkStoreFiles(copy)).faults.length === 0;
  } catch (error) {
    const full = await diskFullError(dirname(directory), error);
    if (!full && levelErrorCode(error)?.startsWith('LEVEL_')) return false;
    // No room, rows of a newer program, a directory we may not write: no reason to begin anew.
    await rm(copy, { recursive: true, force: true });
    throw full ?? error;
  }
}

/**
 * Copies tables and logs without what is damaged in them: LevelDB's repair looks at no checksum, and
 * would take damaged rows for good ones.
 */
async function copyUsable(directory: string, names: readonly string[]): Promise<void> {
  const copy = repairingName(directory);
  await emptyDirectory(copy);
  for (const name of names) {
    const bytes = await readStoreFile(join(directory, name));
    if (!bytes) continue;
    if (isLogFile(name)) await writeDurably(join(copy, name), toLog(readLog(bytes).records));
    else if (isTableFile(name)) await writeDurably(join(copy, name), withoutDamage(bytes));
  }
}

/** A compression type no block has: LevelDB's repair then leaves the block out. */
const noCompressionType = 0xff;

function withoutDamage(table: Buffer): Buffer {
  for (const { typeOffset } of checkTable(table)) {
    if (typeOffset !== undefined) table[typeOffset] = noCompressionType;
  }
  return table;
}

async function writeDurably(path: string, bytes: Buffer): Promise<void> {
  await writeFile(path, bytes, { flush: true });
}

async function repair(copy: string): Promise<void> {
  // `level` types itself for browsers too, which have no repair.
  const level = (await loadLevel()) as unknown as { repair(location: string): Promise<void> };
  await level.repair(copy);
  // What LevelDB could not use; the damaged store has it too.
  await rm(join(copy, 'lost'), { recursive: true, force: true });
}

async function emptyDirectory(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
  await mkdir(path, { recursive: true });
}

async function freeName(directory: string): Promise<string> {
  for (let number = 1; ; number++) {
    const name = `${directory}.damaged-${number}`;
    if (!(await exists(name))) return name;
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  await directory.sync();
  await directory.close();
}
