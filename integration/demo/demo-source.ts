import { constants } from 'node:fs';
import { appendFile, cp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** @throws when there is no such directory */
export async function requireDirectory(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isDirectory()) throw new Error(`--source ${path}: expected an existing directory`);
}

/** A copy that shares its blocks with the original where the file system can. */
export async function copyTree(from: string, to: string): Promise<void> {
  const mode = constants.COPYFILE_FICLONE;
  await cp(from, to, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true, mode });
}

/** Changes one file, adds one, removes one. @returns the bytes that differ */
export async function changeSource(source: string): Promise<number> {
  const names = await readdir(source, { withFileTypes: true, recursive: true });
  const files = names.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  const added = Buffer.from('A file that was not there before.\n');
  await writeFile(join(source, 'added-by-the-demo.txt'), added);
  const [changed, removed] = files;
  if (!changed) return added.length;
  await appendFile(changed, '\nchanged by the demo\n');
  if (removed) await rm(removed);
  return added.length + (await stat(changed)).size;
}
