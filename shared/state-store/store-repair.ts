import { copyFile, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Level } from 'level';
import { WaybillError } from '../domain/errors.ts';
import { diskFullError } from './level-error.ts';
import { checkStoreFiles, type StoreCheck } from './store-check.ts';

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

/** A compression type no block has: LevelDB's repair then leaves the block out. */
const noCompressionType = 0xff;

/** Under way; thrown away when found at the next start. */
const repairingName = (directory: string) => `${directory}.repairing`;
/** Whole; takes the store's place, also at the next start. */
const repairedName = (directory: string) => `${directory}.repaired`;

/**
 * Puts a store in the place of a damaged one: what can be read of it, else an empty one. The damaged
 * one is renamed to `<directory>.damaged-<n>` at the very end, so a crash at any moment leaves
 * either it or its successor; call `finishSetAside` before looking at the directory.
 *
 * @throws DISK_FULL when there is no room for the copy: nothing has changed
 */
export async function setAside(
  directory: string,
  found: { check: StoreCheck; reason: string },
  finish: FinishRepair,
): Promise<StateStoreDamage> {
  const damage = { setAsideAs: await freeName(directory), reason: found.reason };
  const isRepaired = await tryRepair(directory, found.check, (copy) =>
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
  check: StoreCheck,
  finish: (copy: string) => Promise<{ rowCount: number }>,
): Promise<boolean> {
  const copy = repairingName(directory);
  try {
    await copyLiveFiles(directory, check);
    await repair(copy);
    const { faults } = await checkStoreFiles(copy);
    return faults.length === 0 && (await finish(copy)).rowCount > 0;
  } catch (error) {
    const full = await diskFullError(dirname(directory), error);
    if (full) throw full;
    // Newer rows than this program knows, or the like: not for us to throw away.
    if (error instanceof WaybillError) throw error;
    return false;
  }
}

async function copyLiveFiles(directory: string, check: StoreCheck): Promise<void> {
  const copy = repairingName(directory);
  await emptyDirectory(copy);
  for (const name of check.liveFiles) {
    // A repair that had to do without this file is still a repair.
    if (!(await exists(join(directory, name)))) continue;
    await copyFile(join(directory, name), join(copy, name));
    const file = await open(join(copy, name), 'r+');
    for (const fault of check.faults) {
      if (fault.file !== name || fault.typeOffset === undefined) continue;
      await file.write(Uint8Array.of(noCompressionType), 0, 1, fault.typeOffset);
    }
    await file.sync();
    await file.close();
  }
}

async function repair(copy: string): Promise<void> {
  // `level` types itself for browsers too, which have no repair.
  await (Level as unknown as { repair(location: string): Promise<void> }).repair(copy);
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
