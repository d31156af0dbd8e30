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
}

/** The prebuilt native library; undefined where there is none for this platform. */
export async function loadNativeHash(): Promise<HashImplementation | undefined> {
  try {
    const { Blake3Hasher } = await import('@napi-rs/blake-hash');
    const create = () => {
      const hasher = new Blake3Hasher();
      return {
        // The library takes a Buffer; this one looks at the same memory.
        update: ({ buffer, byteOffset, byteLength }: Uint8Array) =>
          hasher.update(Buffer.from(buffer, byteOffset, byteLength)),
        digest: () => hasher.digestBuffer(),
      };
    };
    return { name: 'native', create };
  } catch {
    return undefined;
  }
}

/** The portable library, about six times slower. */
export async function loadWasmHash(): Promise<HashImplementation> {
  const { createHash } = await import('blake3');
  return { name: 'wasm', create: createHash };
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
  return new ContentHash().update(bytes).digest();
}
