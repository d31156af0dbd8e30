import { closeSync, openSync } from 'node:fs';
import { writeFully } from '../content-library/write-fully.ts';

/**
 * Writes a file of bytes that come in parts; each is used before the next is asked for. Blocks. What
 * fails leaves a part of it.
 */
export function writeParts(path: string, parts: Iterable<Uint8Array>): void {
  // Only the agent reads what is not checked yet.
  const descriptor = openSync(path, 'w', 0o600);
  try {
    let offset = 0;
    for (const bytes of parts) {
      writeFully(descriptor, bytes, offset);
      offset += bytes.length;
    }
  } finally {
    closeSync(descriptor);
  }
}
