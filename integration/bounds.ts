import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentProcess } from './agent-process.ts';
import type { AdminChannel } from './network.ts';

const lookMs = 50;
/** How long an administrator waits at most for an answer, whatever the site has to do. */
const answerMsMax = 1_000;

/** Looks again and again while work goes on. @returns what came of the work */
async function whileWorking<T>(work: Promise<T>, look: () => Promise<void>): Promise<T> {
  let isOver = false;
  const over = work.then(
    () => {
      isOver = true;
    },
    () => {
      isOver = true;
    },
  );
  while (!isOver) {
    await look();
    await Promise.race([sleep(lookMs), over]);
  }
  return work;
}

/** An administrator of the site gets an answer within a second, all the while. */
export function staysResponsive<T>(admin: AdminChannel, work: Promise<T>): Promise<T> {
  return whileWorking(work, async () => {
    await admin.unary('getSite', {}, { deadlineMs: answerMsMax });
  });
}

/** The most bytes that were in the files under a directory while work went on. */
export async function peakBytesUnder(directory: string, work: Promise<unknown>): Promise<number> {
  let peakBytes = 0;
  await whileWorking(work, async () => {
    peakBytes = Math.max(peakBytes, await bytesUnder(directory));
  });
  return peakBytes;
}

async function bytesUnder(directory: string): Promise<number> {
  const names = await readdir(directory, { recursive: true }).catch(() => []);
  // A file may go meanwhile.
  const sizes = names.map((name) =>
    stat(join(directory, name)).then(
      ({ size }) => size,
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** The most memory a process ever had; told by Linux. */
export async function peakMemoryBytes({ pid }: AgentProcess): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}
