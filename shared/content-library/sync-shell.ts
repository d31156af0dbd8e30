import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { isSystemError } from './library-failure.ts';

/** How a `sync -f` ended. */
export interface SyncResult {
  /** Undefined where there is no shell to ask. */
  readonly exitCode: number | undefined;
  readonly errorText: string;
}

interface PendingSync {
  readonly resolve: (result: SyncResult) => void;
  readonly reject: (error: Error) => void;
}

/** The script's word for a directory it cannot enter: `sync` ends with 0 or 1. */
const noDirectory = 3;

/**
 * Reads a directory a line, as `printf %b` wants it; answers each with an exit code and what `sync`
 * said, which cannot name the directory. What ends the agent does not end it before the agent: a sync
 * that is broken off makes files suspect that are well.
 */
const script = `trap '' INT TERM HUP
set -f
LC_ALL=C
export LC_ALL
while IFS= read -r directory; do
  said=$(cd "$(printf %b "$directory")" 2>/dev/null || exit ${noDirectory}; sync -f . 2>&1)
  printf %s "$?"
  printf ' %s' $said
  echo
done`;

/**
 * Node cannot sync a file system, and to start a program costs an agent of some hundred MiB tens of
 * milliseconds, in which its memory is marked for copying. So a small shell starts it, which stays
 * for the next time. It ends with its standard input: no crash leaves it.
 */
export class SyncShell {
  readonly #pending: PendingSync[] = [];
  #child: ChildProcess | undefined;

  /** @throws when the shell was killed: nothing is known to be on disk */
  sync(directory: string): Promise<SyncResult> {
    return new Promise((resolve, reject) => {
      const child = this.#running();
      this.#pending.push({ resolve, reject });
      // Without pipes it could not be started: that is told in a moment.
      if (!child.stdin || !child.stdout) return;
      hold(child);
      child.stdin.write(`${inOctal(directory)}\n`);
    });
  }

  #running(): ChildProcess {
    if (this.#child) return this.#child;
    const child: ChildProcess = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'ignore'] });
    this.#child = child;
    child.on('error', (error) => this.#lost(child, error));
    child.on('close', () => this.#lost(child, new Error('The shell that syncs was ended')));
    // A shell that died is told by its end.
    child.stdin?.on('error', () => {});
    if (!child.stdout) return child;
    createInterface({ input: child.stdout }).on('line', (line) => this.#answered(child, line));
    return child;
  }

  #answered(child: ChildProcess, line: string): void {
    const [code = '', ...words] = line.split(' ');
    const exitCode = Number(code);
    const errorText = exitCode === noDirectory ? 'no such directory' : words.join(' ').trim();
    this.#pending.shift()?.resolve({ exitCode, errorText });
    if (this.#pending.length === 0) letGo(child);
  }

  #lost(child: ChildProcess, error: Error): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    const isAbsent = isSystemError(error, 'ENOENT');
    for (const { resolve, reject } of this.#pending.splice(0)) {
      if (isAbsent) resolve({ exitCode: undefined, errorText: '' });
      else reject(error);
    }
  }
}

/** Every byte as `\0ooo`; and `/.` at the end, for a shell drops line breaks there. */
function inOctal(path: string): string {
  const bytes = Buffer.from(`${path}/.`);
  return Array.from(bytes, (byte) => `\\0${byte.toString(8).padStart(3, '0')}`).join('');
}

/** The program does not end while it waits for an answer, and is not kept from its end else. */
function hold(child: ChildProcess): void {
  for (const handle of handlesOf(child)) handle.ref();
}

function letGo(child: ChildProcess): void {
  for (const handle of handlesOf(child)) handle.unref();
}

function handlesOf(child: ChildProcess): { ref(): void; unref(): void }[] {
  return [child, child.stdin as Socket, child.stdout as Socket];
}
