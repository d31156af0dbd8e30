import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { memoryFile } from './input-file.ts';

/** What a parser may take: memory its process grows by from the first input on, and CPU time of one input. */
export const fuzzBounds = { growthBytesMax: 256 * 1024 * 1024, inputMsMax: 1_000 } as const;

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
  /** CPU time of the process, as far as it was seen. */
  readonly cpuMs: number;
}

/** Inputs of one parser, one after another. */
export interface FuzzRun {
  readonly name: string;
  /** Right inputs. */
  readonly seeds: readonly Buffer[];
  readonly seed: number;
  readonly first: number;
  readonly end: number;
  /** Told every so often how far it is. */
  readonly onLook?: (index: number) => void;
  /** @default 60_000 */
  readonly silenceMsMax?: number;
}

const child = fileURLToPath(new URL('fuzz-child.js', import.meta.url));

/** Lets a process parse inputs, and ends it on the first that breaks a bound. */
export async function runWatched(run: FuzzRun): Promise<FuzzEnd> {
  await using directory = await TemporaryDirectory.create();
  const seedsPath = directory.join('seeds');
  await writeFile(seedsPath, JSON.stringify(run.seeds.map((one) => one.toString('base64'))));
  const numberPath = memoryFile('number');
  await writeFile(numberPath, '');
  const words = [run.name, run.seed, run.first, run.end, seedsPath, numberPath].map(String);
  const flags = [`--max-old-space-size=${heapMegabytes}`, '--max-semi-space-size=4', '--expose-gc'];
  const process_ = spawn(process.execPath, ['--enable-source-maps', ...flags, child, ...words], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const watch = new RunWatch(process_.pid ?? 0, numberPath, run.silenceMsMax ?? silenceMsMax);
  let said = '';
  process_.stderr?.on('data', (text: Buffer) => {
    said = (said + text.toString()).slice(-4_000);
  });
  const timer = setInterval(() => {
    if (watch.look() !== undefined) process_.kill('SIGKILL');
    else if (watch.index !== undefined) run.onLook?.(watch.index);
  }, lookMs);
  const [code] = await once(process_, 'close');
  clearInterval(timer);
  const reason = watch.broken ?? (code === 0 ? undefined : said || `ended with ${code}`);
  const failure = reason === undefined ? undefined : { index: watch.index ?? run.first, reason };
  watch.close();
  return { failure, peakRssBytes: watch.peakRssBytes, cpuMs: watch.cpuMs };
}

/** Follows the numbers of inputs, and what each of them takes. */
class RunWatch {
  readonly #pid: number;
  readonly #place: number;
  readonly #silenceMsMax: number;
  #seenIndex: number | undefined;
  /** When the input of now was seen first. */
  #cpuMsBefore = 0;
  #sinceMs = performance.now();
  broken: string | undefined;
  peakRssBytes = 0;
  cpuMs = 0;

  constructor(pid: number, numberPath: string, longestSilenceMs: number) {
    this.#pid = pid;
    this.#place = openSync(numberPath, 'r');
    this.#silenceMsMax = longestSilenceMs;
  }

  /** The input that is parsed now, or was last. */
  get index(): number | undefined {
    return this.#numberAt(0);
  }

  /** What it held before the first, as it says. */
  get #bytesBefore(): number | undefined {
    const kibibytes = this.#numberAt(4);
    return kibibytes === undefined ? undefined : kibibytes * 1024;
  }

  #numberAt(position: number): number | undefined {
    const number = Buffer.alloc(4);
    const length = readSync(this.#place, number, 0, number.length, position);
    return length === number.length ? number.readUInt32LE(0) : undefined;
  }

  close(): void {
    closeSync(this.#place);
  }

  /** The bound that is broken, in words. */
  look(): string | undefined {
    const { index } = this;
    const { peakBytes, cpuMs } = statusOf(this.#pid);
    this.peakRssBytes = Math.max(this.peakRssBytes, peakBytes);
    this.cpuMs = Math.max(this.cpuMs, cpuMs);
    if (index !== this.#seenIndex || index === undefined) {
      this.#seenIndex = index;
      this.#cpuMsBefore = cpuMs;
      this.#sinceMs = performance.now();
    }
    const growthBytes = peakBytes - (this.#bytesBefore ?? peakBytes);
    if (growthBytes > fuzzBounds.growthBytesMax)
      this.broken ??= `memory grew by ${growthBytes} bytes`;
    const isBusy = cpuMs - this.#cpuMsBefore > fuzzBounds.inputMsMax;
    const isSilent = performance.now() - this.#sinceMs > this.#silenceMsMax;
    if (index === undefined ? isSilent : isBusy || isSilent) {
      this.broken ??= isBusy
        ? `no end within ${fuzzBounds.inputMsMax} ms of CPU time`
        : `no end within ${this.#silenceMsMax} ms`;
    }
    return this.broken;
  }
}

function statusOf(pid: number): { peakBytes: number; cpuMs: number } {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const peak = /VmHWM:\s+(\d+) kB/.exec(status)?.[1];
    return {
      peakBytes: Number(peak ?? 0) * 1024,
      cpuMs: 10 * (Number(ticks[11]) + Number(ticks[12])),
    };
  } catch {
    // It has just ended.
    return { peakBytes: 0, cpuMs: 0 };
  }
}
