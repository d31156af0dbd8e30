import { type ChildProcess, type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProgramEnd } from './programs.ts';

/** After this a program that waits for an answer is killed. */
const runMsMax = 60_000;
/** How often what is shown is looked at. */
const lookMs = 50;

/** Whether this machine has the program that makes terminals. */
export function hasTerminals(): boolean {
  return spawnSync('script', ['--version']).status === 0;
}

/**
 * Runs a program of ours on a terminal whose input has ended before it began: `script` of util-linux, which reads
 * /dev/null. All it says is in `stdout`.
 */
export async function runOnEndedTerminal(
  program: string,
  words: readonly string[],
  home: string,
): Promise<ProgramEnd> {
  const child = spawn('script', ['-qec', commandOf(program, words), '/dev/null'], {
    env: environmentOf(home),
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: runMsMax,
    killSignal: 'SIGKILL',
  });
  const exit = exitOf(child);
  const stdout = await text(child.stdout);
  return { exitCode: await exit, stdout, stderr: '' };
}

/** A program of ours on a terminal at which somebody sits. Dispose of it: it is killed then. */
export class TerminalProgram implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #exit: Promise<number>;
  #said = '';

  constructor(program: string, words: readonly string[], home: string) {
    const command = `tty; exec ${commandOf(program, words)}`;
    this.#child = spawn('script', ['-qec', command, '/dev/null'], {
      env: environmentOf(home),
      stdio: ['pipe', 'pipe', 'inherit'],
      timeout: runMsMax,
      killSignal: 'SIGKILL',
    });
    this.#child.stdout.on('data', (part) => {
      this.#said += String(part);
    });
    this.#exit = exitOf(this.#child);
  }

  /** All that the terminal has shown. */
  get said(): string {
    return this.#said;
  }

  /** Waits until this was shown. */
  async shown(what: string): Promise<void> {
    for (const startMs = performance.now(); !this.#said.includes(what); await sleep(lookMs)) {
      if (performance.now() - startMs > runMsMax) throw new Error(`not shown: ${this.#said}`);
    }
  }

  type(keys: string): void {
    this.#child.stdin.write(keys);
  }

  /** How the terminal is set, in the words of `stty`, such as `isig`. */
  settings(): readonly string[] {
    const [path = ''] = /\/dev\/\S+/.exec(this.#said) ?? [];
    const { stdout } = spawnSync('stty', ['-a', '-F', path], { encoding: 'utf8' });
    return stdout.split(/[\s;]+/);
  }

  /** @returns the exit code of the program */
  ended(): Promise<number> {
    return this.#exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The program hears that its terminal is gone.
    this.#child.kill('SIGKILL');
    await this.#exit;
  }
}

function commandOf(program: string, words: readonly string[]): string {
  return [process.execPath, program, ...words].map((word) => `'${word}'`).join(' ');
}

function environmentOf(home: string): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, HOME: home, TZ: 'UTC', TERM: 'dumb', NO_COLOR: '1' };
}

function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? -1));
  });
}
