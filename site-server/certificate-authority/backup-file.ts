/** What the file of a backup of the authority says: the keys of the hierarchy, plain or encrypted. */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  randomBytes,
  type ScryptOptions,
  scrypt,
} from 'node:crypto';
import { z } from 'zod';
import { WaybillError } from '../../shared/domain/errors.ts';
import { parseSiteCode } from '../../shared/domain/site.ts';
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
  siteCode: z.string().refine((text) => parseSiteCode(text) !== undefined),
  createdAtMs: z.int().min(0),
  /** Over `content` as it stands here: a copy that was damaged is told at once. */
  sha256: z.string().max(64),
  /** AES-256-GCM, the key by scrypt of a passphrase; absent: `content` is plain. */
  encryption: z.strictObject({ salt: base64, nonce: base64, tag: base64 }).optional(),
  /** The files as JSON, their texts by their names; base64. */
  content: base64,
});
const filesSchema = z.record(z.string(), z.string().max(fileCharsMax));

export type Backup = z.output<typeof backupSchema>;
/** Texts of files by their names. */
export type BackupFiles = z.output<typeof filesSchema>;

/** Makes the key that the content is encrypted with, of what stands beside it. */
export type BackupSecret = (salt: Buffer) => Promise<Buffer>;

/** The secret that a passphrase is. */
export function secretOf(passphrase: string): BackupSecret {
  return (salt) =>
    new Promise((resolve, reject) => {
      scrypt(passphrase, salt, keyBytes, scryptOptions, (error, key) => {
        if (error) reject(error);
        else resolve(key);
      });
    });
}

/** The text of a backup; plain without a secret. */
export async function backupText(
  files: BackupFiles,
  facts: { readonly siteCode: string; readonly createdAtMs: number },
  secret?: BackupSecret,
): Promise<string> {
  const plain = Buffer.from(JSON.stringify(files));
  const { content, encryption } = secret ? await encrypted(plain, secret) : { content: plain };
  const backup: Backup = {
    ...{ format, siteCode: facts.siteCode, createdAtMs: facts.createdAtMs },
    ...{ sha256: sha256Of(content), ...(encryption && { encryption }) },
    content: content.toString('base64'),
  };
  return `${JSON.stringify(backup, null, 2)}\n`;
}

/**
 * Reads the text of a backup; whose it is, and what is in it, is for others to see.
 *
 * @throws CERTIFICATE_INVALID naming the path when it is another text, or damaged
 */
export function parseBackup(path: string, text: string): Backup {
  const backup = parsed(backupSchema, text);
  if (!backup) throw unusable(path, 'it is not a backup of an authority');
  if (sha256Of(Buffer.from(backup.content, 'base64')) === backup.sha256) return backup;
  throw unusable(path, 'it is damaged; take another copy');
}

/**
 * The files of a backup, each of a name that is ours: they become names of files.
 *
 * @throws CERTIFICATE_INVALID naming the path when it is encrypted otherwise, or has others
 */
export async function filesInBackup(
  path: string,
  backup: Backup,
  secret: BackupSecret | undefined,
): Promise<BackupFiles> {
  const plain = await contentOf(path, backup, secret);
  const files = parsed(filesSchema, plain.toString());
  if (files && Object.keys(files).every(isOfBackup)) return files;
  throw unusable(path, 'it is not a backup of an authority');
}

/** Whether a file of the authority is one that a backup has. */
export function isOfBackup(name: string): boolean {
  return fixedNames.includes(name) || rootKeyName.test(name);
}

async function encrypted(plain: Buffer, secret: BackupSecret) {
  const salt = randomBytes(16);
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', await secret(salt), nonce);
  const content = Buffer.concat([cipher.update(plain), cipher.final()]);
  const text = (bytes: Buffer) => bytes.toString('base64');
  const encryption = { salt: text(salt), nonce: text(nonce), tag: text(cipher.getAuthTag()) };
  return { content, encryption };
}

async function contentOf(
  path: string,
  { content: text, encryption }: Backup,
  secret: BackupSecret | undefined,
): Promise<Buffer> {
  const content = Buffer.from(text, 'base64');
  if (!encryption) return content;
  if (!secret) {
    throw unusable(path, 'it is encrypted; name the file with its passphrase: --passphrase-file');
  }
  const bytes = (part: keyof typeof encryption) => Buffer.from(encryption[part], 'base64');
  const key = await secret(bytes('salt'));
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, bytes('nonce'), { authTagLength: 16 });
    decipher.setAuthTag(bytes('tag'));
    return Buffer.concat([decipher.update(content), decipher.final()]);
  } catch (error) {
    throw unusable(path, 'the passphrase is not the one it was written with', error);
  }
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

function unusable(path: string, reason: string, cause?: unknown): WaybillError {
  return new WaybillError({ code: 'CERTIFICATE_INVALID', path, reason }, { cause });
}
