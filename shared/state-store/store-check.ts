import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readLog } from './level-format/log-file.ts';
import { type LiveFiles, liveFilesOf } from './level-format/manifest-file.ts';
import { checkTable } from './level-format/table-file.ts';

/** One thing found wrong with the files of a store. */
export interface FileFault {
  readonly file: string;
  readonly reason: string;
}

/** What the files of a store are, and what is wrong with them. */
export interface StoreCheck {
  readonly faults: readonly FileFault[];
  /** Names of all files of the database. */
  readonly files: readonly string[];
  /** Those that are not left over from before; all of them when the MANIFEST may be wrong. */
  readonly liveFiles: readonly string[];
}

const databaseFile = /^(CURRENT|MANIFEST-\d+|\d+\.(log|ldb|sst))$/;
const tableFile = /^(\d+)\.(ldb|sst)$/;
const logFile = /^(\d+)\.log$/;

/** Whether this is the name of a table of LevelDB. */
export function isTableFile(name: string): boolean {
  return tableFile.test(name);
}

/** Whether this is the name of a log of LevelDB: writes that are in no table yet. */
export function isLogFile(name: string): boolean {
  return logFile.test(name);
}

/**
 * Verifies all checksums of a store that nobody has open. Changes nothing; LevelDB, when it opens,
 * throws away what it cannot read, so this comes first. An absent or empty directory is well.
 */
export async function checkStoreFiles(directory: string): Promise<StoreCheck> {
  const files = (await readdir(directory).catch(noneIfAbsent)).filter((name) =>
    databaseFile.test(name),
  );
  if (isNew(files)) return { faults: [], files, liveFiles: [] };
  const manifest = await checkManifest(directory, files);
  if ('fault' in manifest) return { faults: [manifest.fault], files, liveFiles: files };
  const live = files.filter((name) => isLive(name, manifest));
  const missing = missingFiles(live, manifest);
  const faults = [...missing];
  for (const name of live) faults.push(...(await checkFile(directory, name, manifest)));
  const isDoubtful = manifest.isTorn || missing.length > 0;
  return { faults, files, liveFiles: isDoubtful ? files : live };
}

/** The bytes of a file; undefined when the disk has lost them. */
export async function readStoreFile(path: string): Promise<Buffer | undefined> {
  return readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EIO') return undefined;
    throw error;
  });
}

function noneIfAbsent(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return [];
  throw error;
}

/** No row was ever written; a first start may have been killed before it had a CURRENT. */
function isNew(files: readonly string[]): boolean {
  const holdsRows = (name: string) => isTableFile(name) || isLogFile(name);
  return !files.includes('CURRENT') && !files.some(holdsRows);
}

interface Manifest extends LiveFiles {
  /** Its end is missing: it may not know the newest files. */
  readonly isTorn: boolean;
}

async function checkManifest(
  directory: string,
  names: readonly string[],
): Promise<Manifest | { fault: FileFault }> {
  if (!names.includes('CURRENT')) return { fault: { file: 'CURRENT', reason: 'it is missing' } };
  const name = String(await readStoreFile(join(directory, 'CURRENT'))).trimEnd();
  if (!/^MANIFEST-\d+$/.test(name)) {
    return { fault: { file: 'CURRENT', reason: 'it names no MANIFEST' } };
  }
  if (!names.includes(name)) return { fault: { file: name, reason: 'it is missing' } };
  const bytes = await readStoreFile(join(directory, name));
  if (!bytes) return { fault: { file: name, reason: 'the disk cannot read it' } };
  const log = readLog(bytes);
  if (log.damage) return { fault: { file: name, reason: log.damage } };
  if (log.records.length === 0) return { fault: { file: name, reason: 'it holds no record' } };
  try {
    return { ...liveFilesOf(log.records), isTorn: log.isTorn };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { fault: { file: name, reason: error.message } };
  }
}

function isLive(name: string, manifest: Manifest): boolean {
  const table = tableFile.exec(name);
  if (table) return manifest.tables.has(Number(table[1]));
  const log = logFile.exec(name);
  return log !== null && Number(log[1]) >= manifest.logNumber;
}

function missingFiles(live: readonly string[], manifest: Manifest): FileFault[] {
  const numbers = new Set(live.map((name) => Number.parseInt(name, 10)));
  const needed = [...manifest.tables.keys()];
  if (manifest.logNumber > 0) needed.push(manifest.logNumber);
  return needed
    .filter((number) => !numbers.has(number))
    .map((number) => ({ file: String(number).padStart(6, '0'), reason: 'it is missing' }));
}

async function checkFile(
  directory: string,
  name: string,
  manifest: Manifest,
): Promise<FileFault[]> {
  const bytes = await readStoreFile(join(directory, name));
  if (!bytes) return [{ file: name, reason: 'the disk cannot read it' }];
  if (isLogFile(name)) {
    const { damage } = readLog(bytes);
    return damage === undefined ? [] : [{ file: name, reason: damage }];
  }
  if (bytes.length !== manifest.tables.get(Number.parseInt(name, 10))) {
    return [{ file: name, reason: `it has ${bytes.length} bytes, not those it should have` }];
  }
  return checkTable(bytes).map(({ reason }) => ({ file: name, reason }));
}
