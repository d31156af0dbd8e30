/** Lays out what the programs need: their code, the modules, the wire, a Node. */
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import {
  isInstalled,
  type LockedModule,
  type LockFile,
  type MachineKind,
  modulesThatRun,
} from './locked-modules.ts';
import { copyNode } from './node-runtime.ts';
import { PackagingFailure } from './packaging-failure.ts';

/** Where Waybill lies on a machine. */
export const programDirectory = '/usr/lib/waybill';

/** The file of a program, seen from there: see `bundle-programs.ts`. */
export const programFile = (name: string) => `dist/programs/${name}.js`;

/** Folders of built code in an installation: the programs, and those in which their threads find theirs. */
const programFolders = ['programs', 'shared', 'site-server'];

export interface ProgramTree {
  readonly modules: readonly LockedModule[];
  /** Files with machine code: the Node, and modules. */
  readonly binaries: readonly string[];
}

/**
 * Lays out the programs as they run in `programDirectory`.
 *
 * @param repository the root of this repository, built, with its node_modules
 * @param target the directory to fill
 * @throws PackagingFailure when node_modules are not what package-lock.json says
 */
export async function layOutPrograms(
  repository: string,
  target: string,
  { version, machine }: { readonly version: string; readonly machine: MachineKind },
): Promise<ProgramTree> {
  await layOutCode(repository, target);
  const lock = JSON.parse(
    await readFile(join(repository, 'package-lock.json'), 'utf8'),
  ) as LockFile;
  const modules: LockedModule[] = [];
  const binaries = [join(target, 'bin/node')];
  for (const module of modulesThatRun(lock)) {
    const files = await copyModule(repository, target, { module, machine });
    if (!files) continue;
    modules.push(module);
    binaries.push(...files.filter((file) => file.endsWith('.node')));
  }
  await copyNode(join(target, 'bin/node'));
  const about = { name: 'waybill', version, private: true, type: 'module' };
  await writeFile(join(target, 'package.json'), `${JSON.stringify(about, null, 2)}\n`);
  return { modules, binaries };
}

async function layOutCode(repository: string, target: string): Promise<void> {
  for (const folder of programFolders) {
    const source = join(repository, 'dist', folder);
    const isNeeded = (path: string) =>
      path.endsWith('.js') && !path.endsWith('.test.js') && !/(^|\/)testing\//.test(path);
    await copyFiles(source, join(target, 'dist', folder), isNeeded);
  }
  await copyFiles(join(repository, 'proto'), join(target, 'proto'), (path) =>
    path.endsWith('.proto'),
  );
}

/** @returns the files that were made; undefined when the module is for another kind of machine */
async function copyModule(
  repository: string,
  target: string,
  { module, machine }: { readonly module: LockedModule; readonly machine: MachineKind },
): Promise<string[] | undefined> {
  const source = join(repository, module.path);
  const text = await readFile(join(source, 'package.json'), 'utf8').catch(() => undefined);
  if (text === undefined && module.isOptional) return undefined;
  const { version } = JSON.parse(text ?? '{}') as { version?: string };
  if (version !== module.version) {
    throw new PackagingFailure(
      `${module.path} is ${version ?? 'not there'}, expected ${module.version}: run npm ci first`,
    );
  }
  return copyFiles(source, join(target, module.path), (path) => isInstalled(path, machine));
}

/**
 * Copies files, each where it was.
 *
 * @param isNeeded is asked with a path seen from `source`
 * @returns the files that were made
 */
export async function copyFiles(
  source: string,
  target: string,
  isNeeded: (path: string) => boolean,
): Promise<string[]> {
  const made: string[] = [];
  for (const entry of await readdir(source, { recursive: true, withFileTypes: true })) {
    const path = relative(source, join(entry.parentPath, entry.name));
    if (!entry.isFile() || !isNeeded(path)) continue;
    const file = join(target, path);
    await mkdir(dirname(file), { recursive: true });
    await copyFile(join(source, path), file);
    made.push(file);
  }
  return made;
}
