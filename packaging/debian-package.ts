/** Makes a .deb of a directory: the same bytes from the same files, whoever makes it, where and when. */
import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { type ControlFields, controlText } from './control-text.ts';
import { runTool } from './run-tool.ts';

export interface PackageContents {
  /** What is to be told of it; its size is found here. */
  readonly control: Omit<ControlFields, 'installedKib'>;
  /** The root of what it installs; is changed, and gone afterwards. */
  readonly directory: string;
  /** Files that an administrator may change and keeps, such as /etc/default/waybill-dp. */
  readonly conffiles: readonly string[];
  /** Maintainer scripts by name, such as `postinst`. */
  readonly scripts: Readonly<Record<string, string>>;
}

const kibibyte = 1024;

/** What every Debian reads; harder packing makes it a sixth smaller, in five times the time. */
const buildWords = ['--root-owner-group', '-Zxz', '-z1', '--threads-max=1'];

/**
 * Writes `<name>_<version>_<architecture>.deb`.
 *
 * @param target the directory to write it to
 * @param epochSeconds the time of all files in it
 * @returns its path
 */
export async function writePackage(
  contents: PackageContents,
  { target, epochSeconds }: { readonly target: string; readonly epochSeconds: number },
): Promise<string> {
  const { control, directory, conffiles, scripts } = contents;
  const files = await filesBelow(directory);
  const { installedKib, md5sums } = await measured(directory, files);
  const about = join(directory, 'DEBIAN');
  await mkdir(about);
  await writeFile(join(about, 'control'), controlText({ ...control, installedKib }));
  await writeFile(join(about, 'md5sums'), md5sums);
  if (conffiles.length > 0) await writeFile(join(about, 'conffiles'), `${conffiles.join('\n')}\n`);
  for (const [name, text] of Object.entries(scripts)) {
    await writeFile(join(about, name), text);
  }
  await makeUniform(directory, epochSeconds);
  const { name, version, architecture } = control;
  const path = join(target, `${name}_${version}_${architecture}.deb`);
  await rm(path, { force: true });
  const environment = { ...process.env, SOURCE_DATE_EPOCH: String(epochSeconds) };
  await runTool('dpkg-deb', [...buildWords, '--build', directory, path], { environment });
  await rm(directory, { recursive: true });
  return path;
}

/** Paths of all files, seen from here, sorted. */
async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .sort();
}

async function measured(
  directory: string,
  files: readonly string[],
): Promise<{ installedKib: number; md5sums: string }> {
  let installedKib = 0;
  let md5sums = '';
  for (const path of files) {
    const bytes = await readFile(join(directory, path));
    installedKib += Math.ceil(bytes.length / kibibyte);
    md5sums += `${createHash('md5').update(bytes).digest('hex')}  ${path}\n`;
  }
  return { installedKib, md5sums };
}

/** Modes and times that say nothing of the machine that builds. */
async function makeUniform(directory: string, epochSeconds: number): Promise<void> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const isProgram = (path: string) => programPlaces.includes(dirname(path)) || isScript(path);
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    const mode = entry.isDirectory() || isProgram(relative(directory, path)) ? 0o755 : 0o644;
    await chmod(path, mode);
    await utimes(path, epochSeconds, epochSeconds);
  }
  await chmod(directory, 0o755);
  await utimes(directory, epochSeconds, epochSeconds);
}

/** Directories with what is run. */
const programPlaces = ['usr/bin', 'usr/lib/waybill/bin'];

function isScript(path: string): boolean {
  return /^DEBIAN\/(pre|post)(inst|rm)$/.test(path);
}
