/** Everything the agents and programs of a test run have said, looked through for secrets (F43). */
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { CommandLines } from './command-lines.ts';
import { type FoundSecret, SecretScan } from './secret-scan.ts';

const scan = new SecretScan();
const commandLines = new CommandLines();
const found: FoundSecret[] = [];
let scannedCount = 0;

/** Most findings that are told. */
const toldMax = 20;

/** A text that a test uses as a passphrase: it must be found nowhere. */
export function notePassphrase(text: string): void {
  scan.note(text);
}

/** A process that looks for secrets itself, below it too. */
export function leaveOut(pid: number | undefined): void {
  if (pid !== undefined) commandLines.leaveOut(pid);
}

/** From now on command lines of processes are sampled. */
export function beginToWatch(): void {
  commandLines.start();
}

/** Looks through the standard output of an agent, and its logs beside it in `<name>/logs`. */
export function scanLogsOf(stdoutLogPath: string): void {
  const name = basename(stdoutLogPath).replace(/\.stdout\.log$/, '');
  const logs = join(dirname(stdoutLogPath), name, 'logs');
  const others = existsSync(logs) ? readdirSync(logs).map((file) => join(logs, file)) : [];
  for (const path of [stdoutLogPath, ...others]) {
    if (!existsSync(path)) continue;
    scannedCount += 1;
    found.push(...scan.inFile(path));
  }
}

/**
 * Looks through what a program has said. A command that makes a token says it to whoever asked, on
 * standard output: there only keys and passphrases are secrets.
 */
export function scanProgramEnd(words: readonly string[], end: { stdout: string; stderr: string }) {
  const where = `waybill ${words.slice(0, 3).join(' ')}`;
  const ofStdout = scan.inText(end.stdout, `stdout of ${where}`);
  scannedCount += 1;
  found.push(...ofStdout.filter(({ kind }) => kind !== 'an enrollment token'));
  found.push(...scan.inText(end.stderr, `stderr of ${where}`));
}

/** Looks through a text that is kept, such as a transcript. */
export function scanKept(text: string, where: string): void {
  scannedCount += 1;
  found.push(...scan.inText(text, where));
}

/** Ends the watching. @throws when there was a secret, with file and line */
export function requireNoSecrets(): void {
  commandLines.stop();
  for (const line of commandLines.all) found.push(...scan.inText(line, 'a command line'));
  // A process that goes on to another file of tests tells each only once.
  const all = found.splice(0);
  if (all.length === 0) return;
  const told = all.slice(0, toldMax).map(({ where, line, kind }) => `${where}:${line}: ${kind}`);
  const more = all.length > toldMax ? [`and ${all.length - toldMax} more`] : [];
  throw new Error(
    `Secrets in what the tests have produced (${scannedCount} files and texts):\n${[...told, ...more].join('\n')}`,
  );
}
