// Not the native library: its threads share one compression context, and write wrong frames or crash.
// In WebAssembly each thread has its own, and a frame made to do harm gets no further than that.
import { compress, decompress } from '@cloudpss/zstd/wasm';
import { frameContentBytes } from './zstd-frame.ts';

/** A packed block has to be shorter by this part, or it is kept as it is: to unpack costs, too. */
const savedShareMin = 0.01;

/**
 * A block compressed; undefined when that does not pay, and it is kept as it is. What does not compress
 * costs little: Zstandard finds that out at several times the speed at which it compresses.
 */
export function packBlock(raw: Uint8Array, level: number): Uint8Array | undefined {
  const packed = compress(raw, level);
  return packed.length <= raw.length * (1 - savedShareMin) ? packed : undefined;
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
