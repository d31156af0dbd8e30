import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** In memory, where the machine has such a place: a million files would wear out a disk. */
const directory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const path = join(directory, `waybill-fuzz-${process.pid}`);
/** What the others say, by their paths. */
const fixed = new Map<string, string>();
process.once('exit', () => {
  for (const one of [path, ...fixed.keys()]) rmSync(one, { force: true });
});

/** Puts an input where parsers of files find it, in place of the one before. @returns its path */
export function putInput(input: Uint8Array): string {
  writeFileSync(path, input, { mode: 0o600 });
  return path;
}

/** Puts what belongs to every input beside it, once. @returns its path */
export function putFixed(name: string, text: string): string {
  const place = `${path}-${name}`;
  if (fixed.get(place) !== text) writeFileSync(place, text, { mode: 0o600 });
  fixed.set(place, text);
  return place;
}

/** A file for as long as this process lasts, in memory where there is such a place. */
export function memoryFile(name: string): string {
  return putFixed(name, '');
}
