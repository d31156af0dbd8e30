import { writeSync } from 'node:fs';

/** Writes all bytes at a position: one write of a nearly full disk may take only a part. */
export function writeFully(descriptor: number, bytes: Uint8Array, position: number): void {
  let written = 0;
  while (written < bytes.length) {
    const left = bytes.length - written;
    written += writeSync(descriptor, bytes, written, left, position + written);
  }
}
