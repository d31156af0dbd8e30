import assert from 'node:assert/strict';
import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Names of all files in the file library of an agent, sorted. */
export async function storedHashes(dataDirectory: string): Promise<string[]> {
  const directory = join(dataDirectory, 'content-library', 'file-lib');
  // A sweep may take a shard away meanwhile.
  const files = async (shard: string) => readdir(join(directory, shard)).catch(() => []);
  return (await Promise.all((await readdir(directory)).map(files))).flat().sort();
}

/**
 * Hashes of all files that the packages of an agent's library use, sorted; read from the files of
 * the library with nothing of ours.
 */
export async function referencedHashes(dataDirectory: string): Promise<string[]> {
  const library = join(dataDirectory, 'content-library');
  const hashes = new Set<string>();
  for (const name of await readdir(join(library, 'pkg-lib'))) {
    if (!/^[A-Z0-9]{8}\.json$/.test(name)) continue;
    const record = JSON.parse(await readFile(join(library, 'pkg-lib', name), 'utf8')) as {
      contents: readonly { contentId: string }[];
    };
    for (const { contentId } of record.contents) {
      const manifest = await readFile(join(library, 'data-lib', `${contentId}.manifest`), 'utf8');
      for (const line of manifest.split('\n').slice(1, -1)) {
        const fields = JSON.parse(line) as readonly string[];
        if (fields[0] === 'f') hashes.add(fields.at(-1) as string);
      }
      for (const hash of await deltaHashes(library, contentId)) hashes.add(hash);
    }
  }
  return [...hashes].sort();
}

/** Hashes of the deltas a content lists. */
async function deltaHashes(library: string, contentId: string): Promise<string[]> {
  const path = join(library, 'data-lib', `${contentId}.deltas`);
  const list = await readFile(path, 'utf8').catch(() => '');
  const lines = list.split('\n').slice(1, -1);
  return lines.map((line) => (JSON.parse(line) as readonly string[])[4] as string);
}

/** Where an agent's library keeps the bytes of a file. */
export function storedFilePath(dataDirectory: string, hash: string): string {
  return join(dataDirectory, 'content-library', 'file-lib', hash.slice(0, 4), hash);
}

/** Changes a byte of a stored file; its size stays. */
export async function damageStoredFile(dataDirectory: string, hash: string): Promise<void> {
  await using file = await open(storedFilePath(dataDirectory, hash), 'r+');
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, 0);
  await file.write(Buffer.of(~(buffer[0] ?? 0) & 0xff), 0, 1, 0);
}

/** How long a library may take to let go of what nothing uses, its sweep included. */
const sweptWithinMs = 30_000;
const lookMs = 50;

/** Resolves when the file library holds what the library's packages use, and nothing else. */
export async function storesOnlyWhatIsUsed(dataDirectory: string): Promise<void> {
  const giveUpMs = performance.now() + sweptWithinMs;
  for (;;) {
    const [stored, used] = [
      await storedHashes(dataDirectory),
      await referencedHashes(dataDirectory),
    ];
    if (stored.join() === used.join()) return;
    if (performance.now() > giveUpMs) assert.deepEqual(stored, used);
    await sleep(lookMs);
  }
}
