import { createCipheriv } from 'node:crypto';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

const chunkBytes = 1024 * 1024;

/** Bytes that do not compress, the same for the same seed. */
export class Noise {
  readonly #cipher;

  constructor(seed: number) {
    const key = Buffer.alloc(16);
    key.writeUInt32LE(seed >>> 0, 0);
    this.#cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  }

  /** The next so many bytes. */
  next(length: number): Buffer {
    return this.#cipher.update(Buffer.alloc(length));
  }
}

/** Writes a file of noise and the directories it stands in. */
export async function writeNoise(path: string, size: { bytes: number; seed: number }) {
  await mkdir(dirname(path), { recursive: true });
  const noise = new Noise(size.seed);
  await using file = await open(path, 'w');
  for (let left = size.bytes; left > 0; left -= chunkBytes) {
    await file.writeFile(noise.next(Math.min(chunkBytes, left)));
  }
}

/** Writes small files, a hundred in each directory. */
export async function writeSmallFiles(
  directory: string,
  files: { count: number; bytes: number; seed: number },
): Promise<void> {
  const noise = new Noise(files.seed);
  for (let index = 0; index < files.count; index++) {
    const folder = join(directory, String(Math.floor(index / 100)));
    if (index % 100 === 0) await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `${index % 100}.bin`), noise.next(files.bytes));
  }
}

/** Writes files by their paths in the directory; texts as they are. */
export async function writeFiles(
  directory: string,
  files: Readonly<Record<string, string | Uint8Array>>,
): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), content);
  }
}
