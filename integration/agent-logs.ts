import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { scanLogsOf } from './secrets/produced-output.ts';

const tailLinesMax = 25;

/** Logs of agents that run. */
const live = new Set<string>();
/** Ends of logs whose agents were stopped: their directory may be gone when a test has failed. */
let ended: string[] = [];

/** From now on these logs belong to what a failed test prints. */
export function followLogs(logPaths: readonly string[]): void {
  for (const path of logPaths) live.add(path);
}

/** The agents have stopped; the end of their logs is kept until the next `takeLogs`. */
export function keepLogs(logPaths: readonly string[]): void {
  for (const path of logPaths) {
    ended.push(endOf(path));
    scanLogsOf(path);
    live.delete(path);
  }
}

/** The ends of the logs of all agents that run, or have stopped since the last call. */
export function takeLogs(): string {
  const text = [...ended, ...[...live].map(endOf)].join('\n');
  ended = [];
  return text;
}

/** Looks for secrets in the logs of agents that nobody has stopped. */
export function scanLiveLogs(): void {
  for (const path of live) scanLogsOf(path);
}

function endOf(path: string): string {
  const lines = readLog(path).trimEnd().split('\n').slice(-tailLinesMax);
  return `── end of ${basename(path)}\n${lines.join('\n')}`;
}

function readLog(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    return String(error);
  }
}
