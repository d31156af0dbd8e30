import type { Logger } from '../runtime/logger.ts';
import { Database, type Operation } from './database.ts';
import { keySpaces } from './key-space.ts';
import { levelErrorCode } from './level-error.ts';
import { requireKnownLayout } from './migrations.ts';
import { RecordStore, toRowKey } from './record-store.ts';
import { scanRows } from './row-scan.ts';
import { checkStoreFiles, type FileFault } from './store-check.ts';
import {
  type FoundDamage,
  finishSetAside,
  type StateStoreDamage,
  setAside,
} from './store-repair.ts';

/** The row of "store state" that tells of damage nobody has handled yet. */
export const damageKey = 'damage';

/**
 * Opens the database of a directory whose lock is held, whole: every checksum verified and every row
 * read. What is damaged is set aside first, and told in the row `damageKey`.
 *
 * @throws STATE_STORE_NEWER, DISK_FULL
 */
export async function openDatabase(directory: string, logger: Logger): Promise<Database> {
  await finishSetAside(directory);
  const check = await checkStoreFiles(directory);
  const opened =
    check.faults.length > 0
      ? { reason: toReason(check.faults), usableFiles: check.liveFiles }
      : await openScanned(directory);
  if ('database' in opened) return opened.database;
  logger.error({ reason: opened.reason }, 'State store was found damaged');
  const damage = await setAside(directory, opened, finishRepair);
  logger.error({ ...damage }, 'State store was set aside');
  return Database.open(directory);
}

async function openScanned(directory: string): Promise<{ database: Database } | FoundDamage> {
  let database: Database | undefined;
  try {
    database = await Database.open(directory);
    await requireKnownLayout(storeStateOf(database, directory), { path: directory });
    const { garbageKeys } = await scanRows(database);
    if (garbageKeys.length === 0) return { database };
    await database.close();
    const reason = `${garbageKeys.length} rows are not JSON, the first ${garbageKeys[0]}`;
    // Opening has changed which files are in use.
    return { reason, usableFiles: (await checkStoreFiles(directory)).liveFiles };
  } catch (error) {
    await database?.close();
    if (levelErrorCode(error) !== 'LEVEL_CORRUPTION') throw error;
    // The MANIFEST is whole but wrong: it may be older than the files.
    return { reason: toSentence(error), usableFiles: (await checkStoreFiles(directory)).files };
  }
}

async function finishRepair(
  directory: string,
  damage: StateStoreDamage,
): Promise<{ rowCount: number }> {
  const database = await Database.open(directory);
  try {
    await requireKnownLayout(storeStateOf(database, directory), { path: directory });
    await database.compact();
    const { rowCount, garbageKeys } = await scanRows(database);
    const key = toRowKey({ space: keySpaces.storeState.name, key: damageKey });
    const operations: Operation[] = garbageKeys.map((garbage) => ({ type: 'del', key: garbage }));
    operations.push({ type: 'put', key, value: JSON.stringify(damage) });
    await database.write(operations, { sync: true });
    return { rowCount };
  } finally {
    await database.close();
  }
}

function storeStateOf(database: Database, path: string): RecordStore<unknown> {
  return new RecordStore({ database, path }, keySpaces.storeState);
}

function toReason(faults: readonly FileFault[]): string {
  const [first] = faults;
  const others = faults.length > 1 ? ` (and ${faults.length - 1} more faults)` : '';
  return `${first?.file}: ${first?.reason}${others}`;
}

/** LevelDB's own words, which are in the cause of what `level` throws. */
function toSentence(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : toSentence(error.cause);
}
