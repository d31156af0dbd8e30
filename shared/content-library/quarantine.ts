import { lstat, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../runtime/clock.ts';
import { isSystemError } from './library-failure.ts';

/** How long, and how much of it, what is set aside is kept. */
export interface QuarantineConfig {
  /** @default 7 days */
  readonly keptMs: number;
  /** All of it together, but for the newest; the oldest goes first. @default 1 GiB */
  readonly bytesMax: number;
  /** The same in files. @default 10,000 */
  readonly countMax: number;
}

export const defaultQuarantineConfig: QuarantineConfig = {
  keptMs: 7 * 24 * 3_600_000,
  bytesMax: 2 ** 30,
  countMax: 10_000,
};

interface SetAside {
  readonly atMs: number;
  readonly sizeBytes: number;
}

/**
 * What was found damaged in a content library, moved out of it by one rename: nobody serves it any
 * more, and somebody may look at it. The folder describes itself: `<name>.<Unix milliseconds>`, the name
 * being that of a file's hash, or of what stood in `data-lib`. A crash leaves a file in the one place or
 * in the other.
 */
export class Quarantine {
  readonly directory: string;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #config: QuarantineConfig;
  /** Name of an entry → what is known of it, oldest first. */
  readonly #entries = new Map<string, SetAside>();
  /** Name without the time → when it was set aside last. */
  readonly #newest = new Map<string, number>();
  readonly #listeners = new Set<() => void>();

  constructor(
    directory: string,
    clock: Pick<Clock, 'nowMs'>,
    config: QuarantineConfig = defaultQuarantineConfig,
  ) {
    this.directory = directory;
    this.#clock = clock;
    this.#config = config;
  }

  /** Learns what is there; once, before anything else. */
  async load(): Promise<void> {
    const names = await readdir(this.directory).catch(ignoreAbsence);
    const found: [name: string, entry: SetAside][] = [];
    for (const name of names ?? []) {
      const atMs = Number(/\.(\d{1,15})$/.exec(name)?.[1] ?? 0);
      found.push([name, { atMs, sizeBytes: await sizeOf(join(this.directory, name)) }]);
    }
    found.sort(([, a], [, b]) => a.atMs - b.atMs);
    for (const [name, entry] of found) this.#remember(name, entry);
  }

  /** Bytes that are set aside. */
  get sizeBytes(): number {
    let sum = 0;
    for (const { sizeBytes } of this.#entries.values()) sum += sizeBytes;
    return sum;
  }

  get count(): number {
    return this.#entries.size;
  }

  /** What is set aside, by its names without the time. */
  names(): Iterable<string> {
    return this.#newest.keys();
  }

  /** When something of this name was set aside last, by what is there still; undefined: not. */
  setAsideAtMs(name: string): number | undefined {
    return this.#newest.get(name);
  }

  #remember(name: string, entry: SetAside): void {
    this.#entries.set(name, entry);
    this.#newest.set(bareName(name), entry.atMs);
  }

  /** Makes the folder; where what is set aside now goes, under its name. */
  async prepare(): Promise<(name: string) => string> {
    await mkdir(this.directory, { recursive: true });
    const atMs = this.#clock.nowMs();
    return (name) => join(this.directory, `${name}.${atMs}`);
  }

  /** Notes what was moved to such places; whoever has it open is told, then what is too much goes. */
  async noteTaken(paths: readonly string[]): Promise<void> {
    for (const listener of this.#listeners) listener();
    for (const path of paths) {
      const name = path.slice(this.directory.length + 1);
      const atMs = Number(name.slice(name.lastIndexOf('.') + 1));
      this.#remember(name, { atMs, sizeBytes: await sizeOf(path) });
    }
    await this.trim();
  }

  /** Calls the listener whenever files have left the library: what of them is open is to be closed. */
  onTaken(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Deletes what was kept long enough, and the oldest of what is too much. */
  async trim(): Promise<void> {
    const { keptMs, bytesMax, countMax } = this.#config;
    const nowMs = this.#clock.nowMs();
    let sizeBytes = this.sizeBytes;
    const newest = [...this.#entries.keys()].at(-1);
    for (const [name, entry] of [...this.#entries]) {
      // A file that alone is too much is evidence all the same, until the next one comes.
      const isTooMuch = name !== newest && (sizeBytes > bytesMax || this.#entries.size > countMax);
      if (!isTooMuch && nowMs - entry.atMs < keptMs) continue;
      await rm(join(this.directory, name), { recursive: true, force: true });
      this.#entries.delete(name);
      if (this.#newest.get(bareName(name)) === entry.atMs) this.#newest.delete(bareName(name));
      sizeBytes -= entry.sizeBytes;
    }
  }
}

function bareName(name: string): string {
  return name.slice(0, name.lastIndexOf('.'));
}

async function sizeOf(path: string): Promise<number> {
  const stats = await lstat(path).catch(ignoreAbsence);
  return stats?.isFile() ? stats.size : 0;
}

function ignoreAbsence(error: unknown): undefined {
  if (!isSystemError(error, 'ENOENT', 'ENOTDIR', 'EIO')) throw error;
}
