import { spawnSync } from 'node:child_process';
import { closeSync, constants, existsSync, lutimesSync, openSync } from 'node:fs';
import type { DirectoryCursor } from './directory-cursor.ts';

/** Most bytes of a path below an anchor; with a name more it is still well under PATH_MAX. */
const pathBytesMax = 3_000;

/** Times that are set in one go. */
const batchMax = 4_096;

/** A directory that paths are relative to. */
interface Anchor {
  readonly depth: number;
  readonly descriptor: number;
  /** For each entry: seconds and nanoseconds, path. */
  records: string[];
}

/**
 * Sets modification times to the nanosecond. Node cuts them to microseconds, so what needs more is
 * gathered and set by another program: perl, by the system call itself; else touch, which is slow.
 * Where neither is, the microseconds stay.
 *
 * Follows a cursor that goes through the tree; times of entries are set once, after their content.
 * Blocks: for worker threads.
 */
export class TreeTimes implements Disposable {
  readonly #cursor: DirectoryCursor;
  readonly #names: string[] = [];
  readonly #anchors: Anchor[] = [];

  constructor(cursor: DirectoryCursor) {
    this.#cursor = cursor;
    this.#pushAnchor();
  }

  /** The cursor has gone into this directory. */
  entered(name: string): void {
    this.#names.push(name);
    if (Buffer.byteLength(this.#pathOf('')) > pathBytesMax) this.#pushAnchor();
  }

  /** The cursor is about to go up. */
  leaving(): void {
    if (this.#anchor.depth === this.#names.length) this.#popAnchor();
    this.#names.pop();
  }

  /** Sets the time of an entry in the cursor's directory, now or with the next `flush`. */
  set(name: string, mtimeNs: string): void {
    const ns = BigInt(mtimeNs);
    const seconds = toSeconds(ns);
    lutimesSync(this.#cursor.pathOf(name), seconds, seconds);
    if (isExact(ns)) return;
    const second = BigInt.asIntN(64, (ns - positiveModulo(ns)) / 1_000_000_000n);
    const nanosecond = String(positiveModulo(ns)).padStart(9, '0');
    this.#anchor.records.push(`@${second}.${nanosecond}`, `./${this.#pathOf(name)}`);
    if (this.#anchor.records.length >= 2 * batchMax) this.flush();
  }

  /** Sets the times gathered so far; to be done before a directory becomes impassable. */
  flush(): void {
    for (const anchor of this.#anchors) flushAnchor(anchor);
  }

  [Symbol.dispose](): void {
    for (const anchor of this.#anchors) closeSync(anchor.descriptor);
  }

  get #anchor(): Anchor {
    const anchor = this.#anchors.at(-1);
    if (!anchor) throw new Error('The tree was left');
    return anchor;
  }

  #pathOf(name: string): string {
    return [...this.#names.slice(this.#anchor.depth), name].join('/');
  }

  #pushAnchor(): void {
    const descriptor = openSync(this.#cursor.here, constants.O_RDONLY | constants.O_DIRECTORY);
    this.#anchors.push({ depth: this.#names.length, descriptor, records: [] });
  }

  #popAnchor(): void {
    flushAnchor(this.#anchor);
    closeSync(this.#anchor.descriptor);
    this.#anchors.pop();
  }
}

/** The number of the system call utimensat, where we know it, by processor. */
const utimensatNumbers: Readonly<Record<string, number>> = {
  x64: 280,
  arm64: 88,
  riscv64: 88,
  loong64: 88,
  ppc64: 304,
  s390x: 315,
};

/** Reads "@seconds.nanoseconds" and a path, each ended by NUL; AT_FDCWD, AT_SYMLINK_NOFOLLOW. */
const perlProgram = `
  my $number = shift; $/ = "\\0";
  while (defined(my $time = <STDIN>)) {
    chomp $time; my $path = <STDIN>; chomp $path;
    my ($s, $ns) = $time =~ /^\\@(-?\\d+)\\.(\\d+)$/ or die "no time: $time";
    syscall($number, -100, $path, pack("q4", $s, $ns, $s, $ns), 0x100) == 0 or die "$path: $!";
  }`;

function flushAnchor(anchor: Anchor): void {
  if (anchor.records.length === 0) return;
  const input = `${anchor.records.join('\0')}\0`;
  anchor.records = [];
  // The directory as the program sees it: through this process's open files.
  const cwd = `/proc/${process.pid}/fd/${anchor.descriptor}`;
  if (!existsSync(cwd)) return;
  const number = process.platform === 'linux' ? utimensatNumbers[process.arch] : undefined;
  if (number !== undefined && runs('perl', ['-e', perlProgram, String(number)], { input, cwd })) {
    return;
  }
  runs('xargs', ['-0', '-n', '2', 'touch', '-h', '-c', '-d'], { input, cwd });
}

function runs(program: string, words: string[], options: { input: string; cwd: string }): boolean {
  return (
    spawnSync(program, words, { ...options, stdio: ['pipe', 'ignore', 'ignore'] }).status === 0
  );
}

/** Whether Node's own call sets this time exactly: whole microseconds, not before 1970. */
function isExact(ns: bigint): boolean {
  return ns >= 0n && ns % 1_000n === 0n && ns < 2n ** 62n;
}

/** Seconds that Node cuts to the right microsecond: the middle of it, not its edge. */
function toSeconds(ns: bigint): number {
  const whole = ns / 1_000_000_000n;
  const rest = ns % 1_000_000_000n;
  if (rest === 0n) return Number(whole);
  return Number(whole) + (Number(rest / 1_000n) + 0.5) / 1e6;
}

function positiveModulo(ns: bigint): bigint {
  return ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
}
