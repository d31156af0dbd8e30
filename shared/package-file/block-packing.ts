import { compress, decompress } from '@cloudpss/zstd';
import { frameContentBytes } from './zstd-frame.ts';

/** A packed block has to be shorter by this part, or it is kept as it is: to unpack costs, too. */
const savedShareMin = 0.01;

/**
 * A block compressed, or the very same bytes when that does not pay. What does not compress costs
 * little: Zstandard finds that out at several times the speed at which it compresses.
 */
export function packBlock(raw: Uint8Array, level: number): Uint8Array {
  const packed = compress(raw, level);
  return packed.length <= raw.length * (1 - savedShareMin) ? packed : raw;
}

/**
 * A block as it was; equal lengths say that it was kept as it is. Undefined when it does not become
 * that: found out before memory is taken, as far as its header tells.
 */
export function unpackBlock(packed: Uint8Array, rawBytes: number): Uint8Array | undefined {
  if (packed.length === rawBytes) return packed;
  if (frameContentBytes(packed) !== rawBytes) return undefined;
  try {
    const raw = decompress(packed);
    return raw.length === rawBytes ? raw : undefined;
  } catch {
    return undefined;
  }
}
