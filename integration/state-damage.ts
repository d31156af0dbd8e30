import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A way in which a state store is found one morning. */
export interface StateDamage {
  readonly name: string;
  /** Whether nobody can mistake it for the end of a store that was merely killed. */
  readonly isEvident: boolean;
  readonly inflict: (stateStore: string) => Promise<void>;
}

/** What power cuts, out-of-memory kills, bad disks and people have done to LevelDB. */
export const stateDamages: readonly StateDamage[] = [
  { name: 'deleted', isEvident: false, inflict: (path) => rm(path, { recursive: true }) },
  { name: 'CURRENT is empty', isEvident: true, inflict: onFiles(/^CURRENT$/, empty) },
  { name: 'CURRENT is gone', isEvident: true, inflict: onFiles(/^CURRENT$/, rm) },
  { name: 'CURRENT is noise', isEvident: true, inflict: onFiles(/^CURRENT$/, flipAll) },
  { name: 'the MANIFEST is empty', isEvident: true, inflict: onFiles(/^MANIFEST/, empty) },
  { name: 'the MANIFEST is gone', isEvident: true, inflict: onFiles(/^MANIFEST/, rm) },
  {
    name: 'a bit of the MANIFEST flipped',
    isEvident: true,
    inflict: onFiles(/^MANIFEST/, flipOne),
  },
  { name: 'tables are gone', isEvident: true, inflict: onFiles(/\.ldb$/, rm) },
  { name: 'tables are cut', isEvident: true, inflict: onFiles(/\.ldb$/, halve) },
  { name: 'a bit of each table flipped', isEvident: true, inflict: onFiles(/\.ldb$/, flipOne) },
  { name: 'tables are noise', isEvident: true, inflict: onFiles(/\.ldb$/, flipAll) },
  { name: 'a bit of the log flipped', isEvident: false, inflict: onFiles(/\.log$/, flipOne) },
  { name: 'the log is cut', isEvident: false, inflict: onFiles(/\.log$/, halve) },
];

function onFiles(pattern: RegExp, damage: (path: string) => Promise<void>) {
  return async (stateStore: string) => {
    const names = (await readdir(stateStore)).filter((name) => pattern.test(name));
    if (names.length === 0) throw new Error(`no ${pattern} in ${stateStore}`);
    for (const name of names) await damage(join(stateStore, name));
  };
}

async function empty(path: string): Promise<void> {
  await truncate(path, 0);
}

async function halve(path: string): Promise<void> {
  await truncate(path, Math.floor((await readFile(path)).length / 2));
}

/** A bit in the middle. */
async function flipOne(path: string): Promise<void> {
  const bytes = await readFile(path);
  const middle = Math.floor(bytes.length / 2);
  bytes[middle] = (bytes[middle] ?? 0) ^ 0x10;
  await writeFile(path, bytes);
}

async function flipAll(path: string): Promise<void> {
  const bytes = await readFile(path);
  await writeFile(
    path,
    bytes.map((byte) => ~byte & 0xff),
  );
}
