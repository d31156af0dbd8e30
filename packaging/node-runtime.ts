/** The Node that an installation brings along: the very one that runs this. */
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PackagingFailure } from './packaging-failure.ts';
import { runTool } from './run-tool.ts';

/** Where a Node that was installed this way or that has its licence, seen from its `bin`. */
const licensePlaces = [
  '../LICENSE',
  '../share/doc/nodejs/LICENSE',
  '../share/doc/nodejs/copyright',
];

/**
 * Copies the Node that runs this, without its symbol table.
 *
 * @param target the file to make
 */
export async function copyNode(target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  await copyFile(process.execPath, target);
  await chmod(target, 0o755);
  await runTool('strip', [target]);
}

/**
 * The licences of Node and of all that is built into it.
 *
 * @throws PackagingFailure when they are not beside it: without them it may not be given on
 */
export async function nodeLicense(): Promise<string> {
  const places = licensePlaces.map((place) => join(dirname(process.execPath), place));
  for (const place of places) {
    const text = await readFile(place, 'utf8').catch(() => undefined);
    if (text?.includes('Node.js')) return text;
  }
  throw new PackagingFailure(`Expected the licence of Node in one of ${places.join(', ')}`);
}

/**
 * Which packages of Debian have the shared libraries that these files need, and from which version on
 * they have what is used of them.
 *
 * @returns each as it stands in a Depends field, sorted
 */
export async function libraryPackages(files: readonly string[]): Promise<string[]> {
  const directory = await mkdtemp(join(tmpdir(), 'waybill-package-'));
  try {
    await mkdir(join(directory, 'debian'));
    await writeFile(
      join(directory, 'debian/control'),
      'Source: waybill\n\nPackage: waybill\nArchitecture: any\n',
    );
    // Those of the prebuilt modules are Node's own symbols, which no library has.
    const words = [
      '-O',
      '--ignore-missing-info',
      '--warnings=0',
      ...files.map((file) => `-e${file}`),
    ];
    const stdout = await runTool('dpkg-shlibdeps', words, { directory });
    const depends = /^shlibs:Depends=(.*)$/m.exec(stdout)?.[1] ?? '';
    if (depends === '') throw new PackagingFailure('dpkg-shlibdeps has found no libraries at all');
    return depends.split(', ').sort();
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
