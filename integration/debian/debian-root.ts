/** Root file systems of Debian as its own installer makes them, for tests of packages. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export type DebianRelease = 'bookworm' | 'trixie';

/** What a server has that was just installed, besides the smallest system there is. */
const serverPackages = ['systemd', 'systemd-sysv', 'dbus', 'sudo', 'libstdc++6', 'iproute2'];

/**
 * A new root of this release. Made once in a run and kept for its end; or for the next one, in the directory
 * that WAYBILL_TEST_ROOTS names. Needs root, debootstrap and a mirror of Debian.
 *
 * @returns its directory, which nobody may change: see `DebianLayer`
 */
export async function debianRoot(release: DebianRelease): Promise<string> {
  const kept = process.env.WAYBILL_TEST_ROOTS ?? (await ownDirectory());
  const root = join(kept, release);
  if (await isThere(root)) return root;
  const unfinished = await mkdtemp(join(kept, `${release}-`));
  const include = `--include=${serverPackages.join(',')}`;
  await run('debootstrap', ['--variant=minbase', include, release, unfinished], {
    maxBuffer: 64 * 1024 * 1024,
  });
  await rename(unfinished, root);
  return root;
}

let directory: Promise<string> | undefined;

function ownDirectory(): Promise<string> {
  directory ??= mkdtemp(join(tmpdir(), 'waybill-debian-'));
  return directory;
}

/** To be called when no more roots are wanted. */
export async function forgetDebianRoots(): Promise<void> {
  if (directory) await rm(await directory, { recursive: true, force: true });
  directory = undefined;
}

/** A root of one's own on top of one that others use, too: what is written stays in the layer. */
export class DebianLayer implements AsyncDisposable {
  readonly root: string;
  readonly #ground: string;

  private constructor(ground: string) {
    this.#ground = ground;
    this.root = join(ground, 'root');
  }

  static async create(release: DebianRelease): Promise<DebianLayer> {
    const lower = await debianRoot(release);
    const ground = await mkdtemp(join(tmpdir(), 'waybill-layer-'));
    const layer = new DebianLayer(ground);
    const [upper, work] = [join(ground, 'upper'), join(ground, 'work')];
    for (const made of [layer.root, upper, work]) await mkdir(made);
    const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    await run('mount', ['-t', 'overlay', 'waybill-test', '-o', options, layer.root]);
    return layer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run('umount', ['--lazy', this.root]);
    await rm(this.#ground, { recursive: true, force: true });
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

/** Why no roots can be made here; undefined when they can. */
export async function whyNoDebian(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'only root can make roots of Debian';
  try {
    await run('debootstrap', ['--version']);
    return undefined;
  } catch {
    return 'there is no debootstrap here (apt install debootstrap)';
  }
}
