import { execFile } from 'node:child_process';
import { chmod, type FileHandle, mkdir, open, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const composed = 'caf\u00e9';
const decomposed = 'cafe\u0301';

/** Names that are odd, and allowed. */
const oddNames = [
  ' ',
  ' leading and trailing ',
  'two  spaces',
  'new\nline',
  '\ttab\u0007bell\u001b[31m',
  '-rf',
  '--checkpoint=1',
  'back\\slash',
  'quote\'s "and" `ticks`',
  '$(touch x); *?[a]',
  '...',
  'ends with a dot.',
  'CON',
  '🚚📦',
  '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}',
  'עברית עם רווח',
  '\u202etxt.exe',
  'x'.repeat(255),
  'é'.repeat(127),
] as const;

/** Makes a tree of everything that is allowed and odd. */
export async function makeOddTree(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const inTree = (...names: string[]) => join(directory, ...names);
  for (const [index, name] of oddNames.entries()) {
    await writeFile(inTree(name), `file ${index}`);
    await mkdir(inTree('directories', name), { recursive: true });
    await writeFile(inTree('directories', name, name), name);
  }
  // As siblings they would be one on other systems, and are refused: each has its directory.
  for (const [folder, name] of [
    ['composed', composed],
    ['decomposed', decomposed],
  ] as const) {
    await mkdir(inTree(folder));
    await writeFile(inTree(folder, name), folder);
  }
  await makeSizes(directory);
  await makeModes(directory);
  await makeLinks(directory);
  await makeTimes(directory);
}

/** Sizes around the length of a piece, and nothing at all. */
async function makeSizes(directory: string): Promise<void> {
  const mebibyte = 1024 * 1024;
  for (const bytes of [0, 1, mebibyte - 1, mebibyte, mebibyte + 1, 2 * mebibyte]) {
    await writeFile(join(directory, `size-${bytes}`), Buffer.alloc(bytes, `${bytes} `));
  }
  await writeFile(join(directory, 'also-empty'), '');
  await mkdir(join(directory, 'empty-directory', 'in-an-empty-directory'), { recursive: true });
}

async function makeModes(directory: string): Promise<void> {
  for (const mode of [0o444, 0o400, 0o755, 0o500, 0o600, 0o666, 0o2755]) {
    const path = join(directory, `mode-${mode.toString(8)}`);
    await writeFile(path, path);
    await chmod(path, mode);
  }
  for (const mode of [0o555, 0o700, 0o1777]) {
    const path = join(directory, `directory-mode-${mode.toString(8)}`);
    await mkdir(path);
    await writeFile(join(path, 'file'), path);
    await chmod(path, mode);
  }
}

async function makeLinks(directory: string): Promise<void> {
  await mkdir(join(directory, 'links', 'deeper'), { recursive: true });
  for (const [path, target] of [
    ['links/sibling', 'deeper'],
    ['links/deeper/up', '../../size-1'],
    ['links/deeper/root', '../..'],
    ['links/deeper/self', '.'],
    ['links/dangling', 'nothing is here'],
    ['links/odd 🔗', '../new\nline'],
    ['links/circle', 'circle'],
  ] as const) {
    await symlink(target, join(directory, path));
  }
}

/** Before 1970, after 2038, to the nanosecond; a link has a time of its own. */
async function makeTimes(directory: string): Promise<void> {
  for (const [name, time] of [
    ['size-0', '1969-12-31T23:59:58.123456789Z'],
    ['size-1', '2049-03-04T05:06:07.999999999Z'],
    ['empty-directory', '2001-02-03T04:05:06.000000001Z'],
    ['links/dangling', '1999-12-31T23:59:59.5Z'],
  ] as const) {
    await run('touch', ['--no-dereference', '--date', time, join(directory, name)]);
  }
}

/**
 * Makes directories in directories until their path is so long, with a file at the bottom. No
 * system call takes such a path; each step goes from the directory before.
 */
export async function makeDeepPath(directory: string, pathBytes: number): Promise<void> {
  const name = 'deep '.repeat(40).trimEnd();
  let parent = await openDirectory(directory);
  for (let length = 0; length < pathBytes; length += name.length + 1) {
    await mkdir(join(placeOf(parent), name));
    const child = await openDirectory(join(placeOf(parent), name));
    await parent.close();
    parent = child;
  }
  await writeFile(join(placeOf(parent), 'bottom'), 'the deepest file');
  await parent.close();
}

function openDirectory(path: string): Promise<FileHandle> {
  return open(path, 'r');
}

function placeOf(directory: FileHandle): string {
  return `/proc/self/fd/${directory.fd}`;
}

/** Deletes a tree whose paths may be longer than any system call takes. */
export async function removeDeepTree(directory: string): Promise<void> {
  await run('rm', ['-rf', '--', directory]);
}
