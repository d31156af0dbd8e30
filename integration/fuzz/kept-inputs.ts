import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** From dist/integration/fuzz: the folder of the work tree. */
const folder = fileURLToPath(new URL('../../../integration/fuzz/seeds/', import.meta.url));

/** Inputs that a parser failed on once; the unit tests give them to it for ever. */
export async function keptInputs(name: string): Promise<{ file: string; input: Buffer }[]> {
  const directory = join(folder, name);
  const files = await readdir(directory).catch(() => []);
  return Promise.all(
    files.sort().map(async (file) => ({ file, input: await readFile(join(directory, file)) })),
  );
}

/** Keeps an input. @returns where */
export async function keepInput(name: string, input: Buffer): Promise<string> {
  const directory = join(folder, name);
  await mkdir(directory, { recursive: true });
  const file = createHash('sha256').update(input).digest('hex').slice(0, 16);
  const path = join(directory, `${file}.bin`);
  await writeFile(path, input);
  return path;
}
