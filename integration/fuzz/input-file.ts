import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** In memory, where the machine has such a place: a million files would wear out a disk. */
const directory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const path = join(directory, `waybill-fuzz-${process.pid}`);
process.once('exit', () => rmSync(path, { force: true }));

/** Puts an input where parsers of files find it, in place of the one before. @returns its path */
export function putInput(input: Uint8Array): string {
  writeFileSync(path, input);
  return path;
}
