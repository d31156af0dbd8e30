/** What `package-lock.json` says of a module; only what is used here. */
export interface LockEntry {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly optional?: boolean;
  readonly libc?: readonly string[];
}

/** The lock file of npm, from version 7 on. */
export interface LockFile {
  readonly packages: Readonly<Record<string, LockEntry>>;
}

/** A module that an installed program needs. */
export interface LockedModule {
  /** Where it lies, such as `node_modules/yargs/node_modules/ansi-regex`. */
  readonly path: string;
  readonly version: string;
  /** As its package.json says, such as `MIT`. */
  readonly license: string;
  /** Made for one kind of machine: it may be absent. */
  readonly isOptional: boolean;
}

/**
 * The modules that run in an installation, sorted by path: all that are locked, but those that only
 * developing needs, those for musl, and types.
 */
export function modulesThatRun(lock: LockFile): LockedModule[] {
  return Object.entries(lock.packages)
    .filter(([path, entry]) => path !== '' && !isForDevelopment(path, entry))
    .filter(([, { libc }]) => libc === undefined || libc.includes('glibc'))
    .map(([path, { version, license, optional }]) => ({
      path,
      version: version ?? '',
      license: license ?? 'see there',
      isOptional: optional === true,
    }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

function isForDevelopment(path: string, { dev, devOptional }: LockEntry): boolean {
  return dev === true || devOptional === true || /(^|\/)node_modules\/@types\//.test(path);
}

/** The kind of machine a package is for. */
export interface MachineKind {
  /** As Node says it, such as `linux`. */
  readonly platform: string;
  /** As Node says it, such as `x64`. */
  readonly arch: string;
}

const runningExtensions = ['js', 'cjs', 'mjs', 'json', 'node', 'wasm', 'proto'];
const unusedDirectories = ['test', 'tests', 'benchmark', 'benchmarks', 'example', 'examples'];

/**
 * Whether a file of a module goes into a package: what runs on such a machine, and the licence.
 *
 * @param path seen from the module, with `/`
 */
export function isInstalled(path: string, { platform, arch }: MachineKind): boolean {
  const directories = path.split('/').slice(0, -1);
  const name = path.split('/').at(-1) ?? '';
  if (directories.includes('node_modules')) return false;
  if (directories[0] !== undefined && unusedDirectories.includes(directories[0])) return false;
  if (/^(licen[cs]e|copying|copyright|notice)/i.test(name)) return true;
  if (directories[0] === 'prebuilds' && directories.length > 1) {
    return directories[1] === `${platform}-${arch}` && !/[.-]musl\b/.test(name);
  }
  const extension = name.split('.').at(-1) ?? '';
  return runningExtensions.includes(extension) && !/\.test\.[cm]?js$/.test(name);
}
