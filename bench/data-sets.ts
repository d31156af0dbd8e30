import { createCipheriv } from 'node:crypto';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const chunkBytes = 1024 * 1024;

/** Bytes that do not compress, the same for the same seed. */
export class NoiseStream {
  readonly #cipher;
  readonly #zeros = Buffer.alloc(chunkBytes);

  constructor(seed: number) {
    const key = Buffer.alloc(16, seed & 0xff);
    key.writeUInt32LE(seed >>> 0, 0);
    this.#cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  }

  next(bytes: number): Buffer {
    return this.#cipher.update(this.#zeros.subarray(0, bytes));
  }
}

/** The name of that file. */
export const bigFileName = 'image.wim';

/** One file of incompressible bytes in a folder of its own. */
export async function makeBigFile(directory: string, bytes: number, seed: number): Promise<void> {
  await mkdir(directory, { recursive: true });
  const noise = new NoiseStream(seed);
  await using file = await open(join(directory, bigFileName), 'w');
  for (let written = 0; written < bytes; written += chunkBytes) {
    await file.write(noise.next(Math.min(chunkBytes, bytes - written)));
  }
}

/** Many small files, a hundred in each folder. */
export async function makeSmallFiles(
  directory: string,
  files: { count: number; bytes: number; seed: number },
): Promise<void> {
  const noise = new NoiseStream(files.seed);
  for (let index = 0; index < files.count; index++) {
    const folder = join(directory, String(Math.floor(index / 100)).padStart(3, '0'));
    if (index % 100 === 0) await mkdir(folder, { recursive: true });
    await writeFile(
      join(folder, `${String(index % 100).padStart(2, '0')}.bin`),
      noise.next(files.bytes),
    );
  }
}

/** Writes every hundredth file anew. */
export async function changeOnePercent(
  directory: string,
  files: { count: number; bytes: number; seed: number },
): Promise<void> {
  const noise = new NoiseStream(files.seed);
  for (let index = 0; index < files.count; index += 100) {
    const folder = String(Math.floor(index / 100)).padStart(3, '0');
    await writeFile(join(directory, folder, '00.bin'), noise.next(files.bytes));
  }
}
