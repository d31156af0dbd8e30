import { createCipheriv } from 'node:crypto';

/** Bytes that do not compress, the same for the same seed. */
export function noiseOf(lengthBytes: number, seed: number): Buffer {
  const key = Buffer.alloc(16);
  key.writeUInt32LE(seed >>> 0, 0);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(lengthBytes));
}
