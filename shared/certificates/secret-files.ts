/** Files that are for their owner only: keys, and what stands beside them. */
import { constants, type Stats } from 'node:fs';
import { lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncDirectories } from '../content-library/file-system-sync.ts';
import { isSystemError, toWriteFailure } from '../content-library/library-failure.ts';
import { WaybillError } from '../domain/errors.ts';
import { toSystemReason } from '../runtime/system-reason.ts';

/** Whom a new file is given to; default: whoever runs this program. */
export interface FileOwner {
  readonly uid: number;
  readonly gid: number;
}

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
const fileMode = 0o600;
const directoryMode = 0o700;
/** Keys, certificates and trust bundles are smaller by far; what is not is none of ours. */
const secretBytesMax = 256 * 1024;
const noPlainFile = 'it is no plain file or directory';

/**
 * Writes a file that only its owner may read, whole or not at all: as a new file, synced, renamed. A
 * crash leaves the one before, and perhaps `<path>.new`, which the next writing replaces.
 *
 * @throws DISK_FULL; CERTIFICATE_INVALID when it cannot be written for another reason of the system
 */
export function writeSecretFile(path: string, content: string, owner?: FileOwner): Promise<void> {
  return writeWholeFile(path, content, { mode: fileMode, owner });
}

/** As `writeSecretFile`, with another mode: for what stands beside secrets and is none. */
export async function writeWholeFile(path: string, content: string, facts: NewFile): Promise<void> {
  try {
    await writeAndRename(path, content, facts);
  } catch (error) {
    throw toFailure(error, path, Buffer.byteLength(content));
  }
}

/** Of a file that is written. */
interface NewFile {
  readonly mode: number;
  readonly owner?: FileOwner | undefined;
}

async function writeAndRename(
  path: string,
  content: string,
  { mode, owner }: NewFile,
): Promise<void> {
  const unfinished = `${path}.new`;
  // One that was left over might be somebody else's, or a link to elsewhere.
  await rm(unfinished, { force: true });
  {
    await using file = await open(unfinished, 'wx', mode);
    await file.chmod(mode);
    if (owner) await file.chown(owner.uid, owner.gid);
    await file.writeFile(content);
    await file.sync();
  }
  await rename(unfinished, path);
  await syncDirectories(dirname(path), [dirname(path)]);
}

/** What the system says of a file, so that whoever writes it can go on without it. */
function toFailure(error: unknown, path: string, neededBytes: number): unknown {
  const failure = toWriteFailure(error, path, neededBytes);
  const isOfSystem = failure instanceof Error && 'syscall' in failure;
  if (!isOfSystem) return failure;
  const isGone = isSystemError(error, 'ENOENT', 'ENOTDIR');
  const reason = isGone ? 'its directory is not there' : toSystemReason(error);
  return unusable(path, `it cannot be written: ${reason}`, error);
}

/** Makes a directory for its owner only, and those above it; one that is there stays as it is. */
export async function makeSecretDirectory(path: string, owner?: FileOwner): Promise<void> {
  const isThere = await lstat(path).then(
    () => true,
    () => false,
  );
  if (isThere) return;
  const first = await mkdir(dirname(path), { recursive: true });
  await mkdir(path, { mode: directoryMode });
  for (let made = path; ; made = dirname(made)) {
    if (owner) await giveDirectory(made, owner);
    await syncDirectories(dirname(made), [dirname(made)]);
    if (first === undefined || made === first) return;
  }
}

/** By its open file: a link that has taken its place meanwhile leads to somebody else's. */
async function giveDirectory(path: string, { uid, gid }: FileOwner): Promise<void> {
  await using directory = await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  await directory.chown(uid, gid);
}

/**
 * The text of a file that only its owner may read; undefined when there is none.
 *
 * @throws CERTIFICATE_INVALID when others may read or change it, or when it cannot be read
 */
export async function readSecretFile(path: string): Promise<string | undefined> {
  try {
    // What is looked at is what is read, whatever takes its place; and no pipe makes us wait.
    await using file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    requireSound(path, await file.stat());
    return await file.readFile('utf8');
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    if (isSystemError(error, 'ELOOP')) throw unusable(path, noPlainFile, error);
    if (error instanceof WaybillError) throw error;
    throw unusable(path, `it cannot be read: ${toSystemReason(error)}`, error);
  }
}

/**
 * Refuses a file or directory that others than its owner may read or change.
 *
 * @throws CERTIFICATE_INVALID with the command that sets it right; the system's failure when it is not there
 */
export async function requireForOwnerOnly(path: string): Promise<void> {
  requireSound(path, await lstat(path));
}

/**
 * Refuses what others than its owner may read or change, or what is no file or directory of a fitting size.
 *
 * @throws CERTIFICATE_INVALID with the command that sets it right
 */
export function requireSound(path: string, found: Stats): void {
  const isDirectory = found.isDirectory();
  if (!isDirectory && !found.isFile()) throw unusable(path, noPlainFile);
  if (!isDirectory && found.size > secretBytesMax) {
    throw unusable(path, `it has ${found.size} bytes, at most ${secretBytesMax} are read`);
  }
  const mode = found.mode & 0o777;
  if ((mode & 0o077) === 0) return;
  const expected = octal(isDirectory ? directoryMode : fileMode);
  const remedy = remedyOf(path, expected, { ownerUid: found.uid });
  throw unusable(
    path,
    `others than its owner may read it (mode ${octal(mode)}); expected ${expected}: ${remedy}`,
  );
}

/** The command after which its owner alone, who is us, may read it: a file of somebody else becomes ours. */
export function remedyOf(
  path: string,
  mode: string,
  { ownerUid, ownUid = process.geteuid?.() ?? ownerUid }: { ownerUid: number; ownUid?: number },
): string {
  const chmod = `chmod ${mode} ${path}`;
  return ownUid === ownerUid || ownUid === 0
    ? chmod
    : `as root: chown ${ownUid} ${path} && ${chmod}`;
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}

function unusable(path: string, reason: string, cause?: unknown): WaybillError {
  return new WaybillError({ code: 'CERTIFICATE_INVALID', path, reason }, { cause });
}
