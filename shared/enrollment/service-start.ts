import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { WaybillError } from '../domain/errors.ts';

/** How a program was run: its exit code, and what it said. */
export interface ToolEnd {
  readonly exitCode: number;
  readonly stderr: string;
}

/** What starting a service needs. */
export interface ServiceStartNeeds {
  /** Whether this machine was started by systemd. */
  readonly hasSystemd: () => Promise<boolean>;
  readonly run: (program: string, words: readonly string[]) => Promise<ToolEnd>;
}

/** Longest a start may take: a start that repairs something says so, and systemd waits. */
const startMsMax = 150_000;

/** This machine's own. */
export const ownServices: ServiceStartNeeds = {
  hasSystemd: () =>
    stat('/run/systemd/system').then(
      (found) => found.isDirectory(),
      () => false,
    ),
  run: (program, words) =>
    new Promise((resolve) => {
      execFile(program, [...words], { timeout: startMsMax }, (error, _stdout, stderr) => {
        const exitCode = typeof error?.code === 'number' ? error.code : error ? 1 : 0;
        resolve({ exitCode, stderr: stderr || (error?.message ?? '') });
      });
    }),
};

/**
 * Starts a service now and at each start of the machine, when systemd is there and knows it.
 *
 * @param options.isRestarted one that runs begins anew: it has read what is no more
 * @returns false when there is no such service: the caller goes on by itself
 * @throws PEER_FAILED when it is there and does not start
 */
export async function startedAsService(
  unit: string,
  options: { readonly isRestarted: boolean },
  needs: ServiceStartNeeds = ownServices,
): Promise<boolean> {
  if (!(await needs.hasSystemd())) return false;
  if ((await needs.run('systemctl', ['cat', unit])).exitCode !== 0) return false;
  const commands = options.isRestarted
    ? [
        ['enable', unit],
        ['restart', unit],
      ]
    : [['enable', '--now', unit]];
  for (const words of commands) await requireDone(words, unit, needs);
  return true;
}

async function requireDone(
  words: readonly string[],
  unit: string,
  { run }: ServiceStartNeeds,
): Promise<void> {
  const { exitCode, stderr } = await run('systemctl', words);
  if (exitCode === 0) return;
  const why = stderr.trim().split('\n').at(-1) ?? '';
  const reason = `"systemctl ${words.join(' ')}" ended with ${exitCode}: ${why.slice(0, 300)}. "journalctl -u ${unit}" says more`;
  throw new WaybillError({ code: 'PEER_FAILED', peer: 'systemd', reason });
}
