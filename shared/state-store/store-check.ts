import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readLog } from './level-format/log-file.ts';
import { type LiveFiles, liveFilesOf } from './level-format/manifest-file.ts';
import { checkTable } from './level-format/table-file.ts';

/** One thing found wrong with the files of a store. */
export interface FileFault {
  readonly file: string;
  readonly reason: string;
  /** In a damaged block of a table: where its compression type stands. */
  readonly typeOffset?: number;
}

/** What the files of a store are, and what is wrong with them. */
export interface StoreCheck {
  readonly faults: readonly FileFault[];
  /** Names of the files that make up the database; all files when the MANIFEST cannot tell. */
  readonly liveFiles: readonly string[];
}

const databaseFile = /^(CURRENT|MANIFEST-\d+|\d+\.(log|ldb|sst))$/;
const tableFile = /^(\d+)\.(ldb|sst)$/;
const logFile = /^(\d+)\.log$/;

/**
 * Verifies all checksums of a store that nobody has open. Changes nothing; LevelDB, when it opens,
 * throws away what it cannot read, so this comes first. An absent or empty directory is well.
 */
export async function checkStoreFiles(directory: string): Promise<StoreCheck> {
  const names = (await readdir(directory).catch(noneIfAbsent)).filter((name) =>
    databaseFile.test(name),
  );
  if (names.length === 0) return { faults: [], liveFiles: [] };
  const manifest = await checkManifest(directory, names);
  if ('fault' in manifest) return { faults: [manifest.fault], liveFiles: names };
  const live = names.filter((name) => isLive(name, manifest));
  const faults: FileFault[] = missingFiles(live, manifest);
  for (const name of live) faults.push(...(await checkFile(directory, name, manifest)));
  return { faults, liveFiles: [...live, 'CURRENT', manifest.name] };
}

function noneIfAbsent(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return [];
  throw error;
}

interface Manifest extends LiveFiles {
  readonly name: string;
}

async function checkManifest(
  directory: string,
  names: readonly string[],
): Promise<Manifest | { fault: FileFault }> {
  if (!names.includes('CURRENT')) return { fault: { file: 'CURRENT', reason: 'it is missing' } };
  const name = (await readFile(join(directory, 'CURRENT'), 'latin1')).trimEnd();
  if (!/^MANIFEST-\d+$/.test(name)) {
    return { fault: { file: 'CURRENT', reason: 'it names no MANIFEST' } };
  }
  if (!names.includes(name)) return { fault: { file: name, reason: 'it is missing' } };
  const log = readLog(await readFile(join(directory, name)));
  if (log.damage) return { fault: { file: name, reason: log.damage } };
  if (log.records.length === 0) return { fault: { file: name, reason: 'it holds no record' } };
  try {
    return { name, ...liveFilesOf(log.records) };
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
  const bytes = await readFile(join(directory, name));
  if (logFile.test(name)) {
    const { damage } = readLog(bytes);
    return damage === undefined ? [] : [{ file: name, reason: damage }];
  }
  if (bytes.length !== manifest.tables.get(Number.parseInt(name, 10))) {
    return [{ file: name, reason: `it has ${bytes.length} bytes, not those it should have` }];
  }
  return checkTable(bytes).map(({ reason, typeOffset }) => ({
    file: name,
    reason,
    ...(typeOffset === undefined ? {} : { typeOffset }),
  }));
}
