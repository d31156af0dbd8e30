import { readFile, stat, utimes } from 'node:fs/promises';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Connection } from './connection.ts';

const dayMs = 24 * 3_600_000;
/** Nobody waits for this longer: the command itself is done. */
const answerMsMax = 2_000;

/**
 * Once a day, after a command is done: hears from the site server whether other roots count, and takes them into
 * `roots.crt` when one that is trusted has signed them (docs/trust.md, 6). So whoever uses `waybill` while the
 * root changes needs no new token. A file that Waybill has not written is left alone. Never fails: the
 * next command tries again.
 */
export async function lookAfterRoots(
  { channel, rootsFile }: Pick<Connection, 'channel' | 'rootsFile'>,
  clock: Pick<Clock, 'nowMs'>,
): Promise<void> {
  try {
    if (rootsFile === undefined || !(await isDue(rootsFile, clock.nowMs()))) return;
    const request = channel.unary('getTrustBundle', {}, { deadlineMs: answerMsMax });
    const { trustBundle } = await request;
    // Loaded only now: most commands need none of it.
    const { decodeTrustBundle } = await import('../../shared/certificates/trust-bundle.ts');
    const { TrustedRoots } = await import('../../shared/certificates/trusted-roots.ts');
    const roots = await TrustedRoots.open(rootsFile, clock);
    await roots.take(decodeTrustBundle(trustBundle));
    const now = new Date(clock.nowMs());
    await utimes(rootsFile, now, now);
  } catch {
    // An older site server, one that went away, or a file that may not be written.
  }
}

async function isDue(rootsFile: string, nowMs: number): Promise<boolean> {
  const { mtimeMs } = await stat(rootsFile);
  if (Math.abs(nowMs - mtimeMs) < dayMs) return false;
  return (await readFile(rootsFile, 'latin1')).startsWith('# Waybill roots, generation ');
}
