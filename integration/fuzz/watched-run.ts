import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';

/** What a parser may take: resident memory of its process, and CPU time of one input. */
export const fuzzBounds = { rssBytesMax: 256 * 1024 * 1024, inputMsMax: 1_000 } as const;

/** How often the process is looked at. */
const lookMs = 100;
/** Longest silence, whatever the CPU does: it waits for what never comes. */
const silenceMsMax = 60_000;
/** The heap is collected before it is as large as all that the process may have. */
const heapMegabytes = 96;

/** An input on which a parser failed, and how. */
export interface FuzzFailure {
  readonly index: number;
  readonly reason: string;
}

/** How a run ended. */
export interface FuzzEnd {
  readonly failure: FuzzFailure | undefined;
  readonly peakRssBytes: number;
}

const child = fileURLToPath(new URL('fuzz-child.js', import.meta.url));

/** Lets a process parse inputs, and ends it on the first that breaks a bound. */
export async function runWatched(run: {
  readonly name: string;
  /** Right inputs. */
  readonly seeds: readonly Buffer[];
  readonly seed: number;
  readonly first: number;
  readonly end: number;
}): Promise<FuzzEnd> {
  await using directory = await TemporaryDirectory.create();
  const seedsPath = directory.join('seeds');
  await writeFile(seedsPath, JSON.stringify(run.seeds.map((one) => one.toString('base64'))));
  const words = [run.name, run.seed, run.first, run.end, seedsPath].map(String);
  const flags = [`--max-old-space-size=${heapMegabytes}`, '--max-semi-space-size=4', '--expose-gc'];
  const process_ = spawn(process.execPath, ['--enable-source-maps', ...flags, child, ...words], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
  const watch = new RunWatch(process_.pid ?? 0);
  watch.follow(process_.stdio[3] as Readable);
  let said = '';
  process_.stderr?.on('data', (text: Buffer) => {
    said = (said + text.toString()).slice(-4_000);
  });
  const timer = setInterval(() => {
    if (watch.look() !== undefined) process_.kill('SIGKILL');
  }, lookMs);
  const [code] = await once(process_, 'close');
  clearInterval(timer);
  const reason = watch.broken ?? (code === 0 ? undefined : said || `ended with ${code}`);
  const failure = reason === undefined ? undefined : { index: watch.index ?? run.first, reason };
  return { failure, peakRssBytes: watch.peakRssBytes };
}

/** Follows the numbers of inputs, and what each of them takes. */
class RunWatch {
  readonly #pid: number;
  #rest = Buffer.alloc(0);
  #seenIndex: number | undefined;
  #cpuMs = 0;
  #sinceMs = performance.now();
  index: number | undefined;
  broken: string | undefined;
  peakRssBytes = 0;

  constructor(pid: number) {
    this.#pid = pid;
  }

  follow(numbers: Readable): void {
    numbers.on('data', (bytes: Buffer) => {
      const all = Buffer.concat([this.#rest, bytes]);
      const whole = all.length - (all.length % 4);
      if (whole >= 4) this.index = all.readUInt32LE(whole - 4);
      this.#rest = all.subarray(whole);
    });
  }

  /** The bound that is broken, in words. */
  look(): string | undefined {
    const { rssBytes, cpuMs } = statusOf(this.#pid);
    this.peakRssBytes = Math.max(this.peakRssBytes, rssBytes);
    if (this.index !== this.#seenIndex || this.index === undefined) {
      this.#seenIndex = this.index;
      this.#cpuMs = cpuMs;
      this.#sinceMs = performance.now();
    }
    if (rssBytes > fuzzBounds.rssBytesMax) this.broken = `resident memory of ${rssBytes} bytes`;
    const isBusy = cpuMs - this.#cpuMs > fuzzBounds.inputMsMax;
    const isSilent = performance.now() - this.#sinceMs > silenceMsMax;
    if (isBusy || isSilent) this.broken ??= `no end within ${fuzzBounds.inputMsMax} ms`;
    return this.broken;
  }
}

function statusOf(pid: number): { rssBytes: number; cpuMs: number } {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const rss = /VmHWM:\s+(\d+) kB/.exec(status)?.[1];
    return {
      rssBytes: Number(rss ?? 0) * 1024,
      cpuMs: 10 * (Number(ticks[11]) + Number(ticks[12])),
    };
  } catch {
    // It has just ended.
    return { rssBytes: 0, cpuMs: 0 };
  }
}
