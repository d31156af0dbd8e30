import { spawn, spawnSync } from 'node:child_process';
import { text } from 'node:stream/consumers';
import type { ProgramEnd } from './programs.ts';

/** After this a program that waits for an answer is killed. */
const runMsMax = 60_000;

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
  const command = [process.execPath, program, ...words].map((word) => `'${word}'`).join(' ');
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    env: { PATH: process.env.PATH, HOME: home, TZ: 'UTC', TERM: 'dumb', NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: runMsMax,
    killSignal: 'SIGKILL',
  });
  const exit = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? -1));
  });
  const stdout = await text(child.stdout);
  return { exitCode: await exit, stdout, stderr: '' };
}
