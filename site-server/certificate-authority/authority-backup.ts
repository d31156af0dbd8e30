import { readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  type FileOwner,
  makeSecretDirectory,
  readSecretFile,
  writeSecretFile,
} from '../../shared/certificates/secret-files.ts';
import { syncDirectories } from '../../shared/content-library/file-system-sync.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { whileActingAs } from '../../shared/runtime/acting-user.ts';
import { readAuthority } from './authority-files.ts';
import {
  type BackupFiles,
  backupText,
  filesInBackup,
  isOfBackup,
  parseBackup,
  secretOf,
} from './backup-file.ts';

/** A backup to be written. */
export interface BackupRequest {
  /** `<data>/authority`. */
  readonly directory: string;
  readonly siteCode: string;
  readonly path: string;
  /** None: the file is plain, apart from a root key that is encrypted by itself. */
  readonly passphrase?: string | undefined;
  readonly nowMs: number;
  /** Whose the directory is: read by him. @default whoever runs this program */
  readonly owner?: FileOwner | undefined;
}

/**
 * Writes the keys of the hierarchy to one file, for its owner only.
 *
 * @throws AUTHORITY_CONFLICT when the file is there already, or this is not the top; CERTIFICATE_INVALID
 */
export async function backUpAuthority(request: BackupRequest): Promise<void> {
  const { directory, path, siteCode, nowMs, passphrase } = request;
  if (await isThere(path)) throw conflict(path, 'it is there already; name another file');
  const files = await whileActingAs(request.owner, () => filesOfTop(directory));
  const secret = passphrase === undefined ? undefined : secretOf(passphrase);
  await writeSecretFile(path, await backupText(files, { siteCode, createdAtMs: nowMs }, secret));
}

/** A backup to be put back. */
export interface RestoreRequest {
  readonly directory: string;
  readonly siteCode: string;
  readonly path: string;
  readonly passphrase?: string | undefined;
  /** Whose the data directory is: he writes there. @default whoever runs this program */
  readonly owner?: FileOwner | undefined;
}

/**
 * Puts the keys of the hierarchy back where there are none. The directory appears whole, by one rename; a crash
 * before that leaves `<directory>.new`, which the next try removes.
 *
 * @throws AUTHORITY_CONFLICT when there is an authority already, or the backup is of another site;
 *   CERTIFICATE_INVALID when it is damaged, or its passphrase another one
 */
export async function restoreAuthority(request: RestoreRequest): Promise<void> {
  const { directory, siteCode, path, passphrase, owner } = request;
  if (await isThere(directory)) {
    throw conflict(directory, 'there is an authority already; move it away first');
  }
  const text = await readSecretFile(path);
  if (text === undefined) throw unusable(path, 'there is no such file');
  const backup = parseBackup(path, text);
  if (backup.siteCode !== siteCode) {
    throw conflict(path, `it is the backup of site ${backup.siteCode}, and this is ${siteCode}`);
  }
  const secret = passphrase === undefined ? undefined : secretOf(passphrase);
  const files = await filesInBackup(path, backup, secret);
  await whileActingAs(owner, () => putBack(files, directory, owner));
}

async function putBack(
  files: BackupFiles,
  directory: string,
  owner: FileOwner | undefined,
): Promise<void> {
  const unfinished = `${directory}.new`;
  await rm(unfinished, { recursive: true, force: true });
  await makeSecretDirectory(unfinished, owner);
  for (const [name, text] of Object.entries(files)) {
    await writeSecretFile(join(unfinished, name), text, owner);
  }
  await readAuthority(unfinished);
  await rename(unfinished, directory);
  await syncDirectories(dirname(directory), [dirname(directory)]);
}

async function filesOfTop(directory: string): Promise<BackupFiles> {
  if (!(await readAuthority(directory))?.bundle) {
    throw conflict(
      directory,
      'only the top site has keys that must not be lost; another site is enrolled again instead',
    );
  }
  const files: Record<string, string> = {};
  for (const name of await readdir(directory)) {
    const text = isOfBackup(name) ? await readSecretFile(join(directory, name)) : undefined;
    if (text !== undefined) files[name] = text;
  }
  return files;
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function conflict(path: string, reason: string): WaybillError {
  return new WaybillError({ code: 'AUTHORITY_CONFLICT', path, reason });
}

function unusable(path: string, reason: string): WaybillError {
  return new WaybillError({ code: 'CERTIFICATE_INVALID', path, reason });
}
