/** One hash in the making. */
interface Hasher {
  update(bytes: Uint8Array): unknown;
  /** 32 bytes; the hasher is not used after. */
  digest(): Buffer;
}

/** A library that computes BLAKE3-256. */
export interface HashImplementation {
  readonly name: 'native' | 'wasm';
  readonly create: () => Hasher;
  /** The hash of bytes that are all there: quicker than a hasher, for small files twice as quick. */
  readonly hash: (bytes: Uint8Array) => Buffer;
}

/** The prebuilt native library; undefined where there is none for this platform. */
export async function loadNativeHash(): Promise<HashImplementation | undefined> {
  try {
    const { Blake3Hasher, blake3 } = await import('@napi-rs/blake-hash');
    const create = () => {
      const hasher = new Blake3Hasher();
      return {
        update: (bytes: Uint8Array) => hasher.update(toBuffer(bytes)),
        digest: () => hasher.digestBuffer(),
      };
    };
    return { name: 'native', create, hash: (bytes) => blake3(toBuffer(bytes)) };
  } catch {
    return undefined;
  }
}

/** The portable library, about six times slower. */
export async function loadWasmHash(): Promise<HashImplementation> {
  const { createHash } = await import('blake3');
  const hash = (bytes: Uint8Array) => createHash().update(bytes).digest();
  return { name: 'wasm', create: createHash, hash };
}

/** What this process hashes with. */
export const hashImplementation = (await loadNativeHash()) ?? (await loadWasmHash());

/** BLAKE3-256 of bytes that come in parts, in whatever cuts. */
export class ContentHash {
  readonly #hasher = hashImplementation.create();

  update(bytes: Uint8Array): this {
    this.#hasher.update(bytes);
    return this;
  }

  /** Lower-case hexadecimal. Ends this hash. */
  digest(): string {
    return this.digestBytes().toString('hex');
  }

  /** 32 bytes. Ends this hash. */
  digestBytes(): Buffer {
    return this.#hasher.digest();
  }
}

/** BLAKE3-256 of some bytes, in lower-case hexadecimal. */
export function hashOf(bytes: Uint8Array): string {
  return hashImplementation.hash(bytes).toString('hex');
}

/** The same memory: the native library takes nothing but a Buffer. */
function toBuffer(bytes: Uint8Array): Buffer {
  if (Buffer.isBuffer(bytes)) return bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
