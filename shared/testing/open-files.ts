import { readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** Files under a directory that a process, by default this one, has open now; told by Linux. */
export async function openFilesUnder(
  directory: string,
  pid: number | string = 'self',
): Promise<string[]> {
  const descriptors = `/proc/${pid}/fd`;
  const names = await readdir(descriptors);
  const links = names.map((name) => readlink(join(descriptors, name)).catch(() => ''));
  return (await Promise.all(links)).filter((path) => path.startsWith(`${directory}/`)).sort();
}
