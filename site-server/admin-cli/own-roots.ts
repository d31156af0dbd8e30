import { readFile } from 'node:fs/promises';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Connection } from './connection.ts';

/** Nobody waits for this longer: the command itself is done. */
const answerMsMax = 1_000;

/**
 * After each command that reached the site server: hears from it whether other roots count, and takes them into
 * `roots.crt` when one that is trusted has signed them (docs/trust.md, 6). So whoever uses `waybill` while the
 * root changes needs no new token, however soon the old one is retired. A file that Waybill has not written is left alone. Never fails: the
 * next command tries again.
 */
export async function lookAfterRoots(
  { channel, rootsFile }: Pick<Connection, 'channel' | 'rootsFile'>,
  clock: Pick<Clock, 'nowMs'>,
): Promise<void> {
  try {
    if (rootsFile === undefined || !(await isOurs(rootsFile))) return;
    const request = channel.unary('getTrustBundle', {}, { deadlineMs: answerMsMax });
    const { trustBundle } = await request;
    // Loaded only now: most commands need none of it.
    const { decodeTrustBundle } = await import('../../shared/certificates/trust-bundle.ts');
    const { TrustedRoots } = await import('../../shared/certificates/trusted-roots.ts');
    const roots = await TrustedRoots.open(rootsFile, clock);
    await roots.take(decodeTrustBundle(trustBundle));
  } catch {
    // An older site server, one that went away, or a file that may not be written.
  }
}

async function isOurs(rootsFile: string): Promise<boolean> {
  return (await readFile(rootsFile, 'latin1')).startsWith('# Waybill roots, generation ');
}
