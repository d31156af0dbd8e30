import {
  createCipheriv,
  createDecipheriv,
  createHash,
  randomBytes,
  type ScryptOptions,
  scrypt,
} from 'node:crypto';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
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
import { rootKeyName } from './root-keys.ts';

/** What a backup says of itself; a later form says another number. */
const format = 'waybill authority backup 1';
/** 128 MiB and about half a second for each guess. */
const scryptOptions: ScryptOptions = { N: 2 ** 17, r: 8, p: 1, maxmem: 2 ** 28 };
const fixedNames = ['authority.pem', 'trust-bundle.json'];
const keyBytes = 32;
const fileCharsMax = 64 * 1024;

const base64 = z
  .string()
  .max(400_000)
  .regex(/^[A-Za-z0-9+/]*={0,2}$/);
const backupSchema = z.strictObject({
  format: z.literal(format),
  siteCode: z.string().max(3),
  createdAtMs: z.int().min(0),
  /** Over `content` as it stands here: a copy that was damaged is told at once. */
  sha256: z.string().max(64),
  /** AES-256-GCM, the key by scrypt of a passphrase; absent: `content` is plain. */
  encryption: z.strictObject({ salt: base64, nonce: base64, tag: base64 }).optional(),
  /** The files as JSON, their texts by their names; base64. */
  content: base64,
});
const filesSchema = z.record(z.string(), z.string().max(fileCharsMax));

type Backup = z.output<typeof backupSchema>;
type Files = z.output<typeof filesSchema>;

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
  const read = await whileActingAs(request.owner, () => filesOfTop(directory));
  const files = Buffer.from(JSON.stringify(read));
  const { content, encryption } =
    passphrase === undefined ? { content: files } : await encrypted(files, passphrase);
  const backup: Backup = {
    ...{ format, siteCode, createdAtMs: nowMs, sha256: sha256Of(content) },
    ...(encryption && { encryption }),
    content: content.toString('base64'),
  };
  await writeSecretFile(path, `${JSON.stringify(backup, null, 2)}\n`);
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
  const backup = await readBackup(path);
  if (backup.siteCode !== siteCode) {
    throw conflict(path, `it is the backup of site ${backup.siteCode}, and this is ${siteCode}`);
  }
  const files = await filesIn(backup, path, passphrase);
  await whileActingAs(owner, () => putBack(files, directory, owner));
}

async function putBack(
  files: Files,
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

async function filesOfTop(directory: string): Promise<Files> {
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

async function readBackup(path: string): Promise<Backup> {
  const text = await readSecretFile(path);
  if (text === undefined) throw unusable(path, 'there is no such file');
  const backup = parsed(backupSchema, text);
  if (!backup) throw unusable(path, 'it is not a backup of an authority');
  if (sha256Of(Buffer.from(backup.content, 'base64')) === backup.sha256) return backup;
  throw unusable(path, 'it is damaged; take another copy');
}

async function filesIn(
  backup: Backup,
  path: string,
  passphrase: string | undefined,
): Promise<Files> {
  const content = Buffer.from(backup.content, 'base64');
  const plain = backup.encryption
    ? await decrypted(content, { backup, path, passphrase })
    : content;
  const files = parsed(filesSchema, plain.toString());
  if (files && Object.keys(files).every(isOfBackup)) return files;
  throw unusable(path, 'it is not a backup of an authority');
}

/** Names of a backup become names of files: only those that are ours. */
function isOfBackup(name: string): boolean {
  return fixedNames.includes(name) || rootKeyName.test(name);
}

async function encrypted(plain: Buffer, passphrase: string) {
  const salt = randomBytes(16);
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', await keyOf(passphrase, salt), nonce);
  const content = Buffer.concat([cipher.update(plain), cipher.final()]);
  const text = (bytes: Buffer) => bytes.toString('base64');
  const encryption = { salt: text(salt), nonce: text(nonce), tag: text(cipher.getAuthTag()) };
  return { content, encryption };
}

async function decrypted(
  content: Buffer,
  facts: { backup: Backup; path: string; passphrase: string | undefined },
): Promise<Buffer> {
  const { backup, path, passphrase } = facts;
  if (passphrase === undefined) {
    throw unusable(path, 'it is encrypted; name the file with its passphrase: --passphrase-file');
  }
  const [salt, nonce, tag] = ['salt', 'nonce', 'tag'].map((name) =>
    Buffer.from(backup.encryption?.[name as 'salt'] ?? '', 'base64'),
  ) as [Buffer, Buffer, Buffer];
  const key = await keyOf(passphrase, salt);
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
    decipher.setAuthTag(tag);
    return Buffer.concat([decipher.update(content), decipher.final()]);
  } catch (error) {
    throw unusable(path, 'the passphrase is not the one it was written with', error);
  }
}

function keyOf(passphrase: string, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(passphrase, salt, keyBytes, scryptOptions, (error, key) => {
      if (error) reject(error);
      else resolve(key);
    });
  });
}

function parsed<T>(schema: z.ZodType<T>, text: string): T | undefined {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

function sha256Of(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
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

function unusable(path: string, reason: string, cause?: unknown): WaybillError {
  return new WaybillError({ code: 'CERTIFICATE_INVALID', path, reason }, { cause });
}
