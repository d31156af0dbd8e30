/** Whether something can be made where it is to be: found out before, without leaving anything there. */
import { constants } from 'node:fs';
import { access, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { FileOwner } from '../../shared/certificates/secret-files.ts';
import { isSystemError } from '../../shared/content-library/library-failure.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { whileActingAs } from '../../shared/runtime/acting-user.ts';
import { toSystemReason } from '../../shared/runtime/system-reason.ts';

const { O_DIRECTORY, O_WRONLY, W_OK, X_OK } = constants;
/** Linux's O_TMPFILE, which Node does not name: a file without a name, gone once it is closed or we are killed. */
const namelessFile = O_DIRECTORY | 0o20000000 | O_WRONLY;
/** What a file system answers that knows no such files. */
const knowsNone = ['ENOTSUP', 'EOPNOTSUPP', 'EISDIR', 'EINVAL', 'ENOENT'] as const;

/** A directory in which something is to be made, and what to do when it cannot be. */
export interface WantedDirectory {
  readonly path: string;
  /** Who will make it; none: whoever runs this program. */
  readonly owner?: FileOwner | undefined;
  /** Such as "name another one with --data". */
  readonly whatElse: string;
}

/**
 * Makes sure that a directory is there and can be written, or can be made.
 *
 * @throws AUTHORITY_CONFLICT
 */
export async function requireWritable({ path, owner, whatElse }: WantedDirectory): Promise<void> {
  const reason = await whileActingAs(owner, () => reasonAgainst(path));
  if (reason === undefined) return;
  throw new WaybillError({ code: 'AUTHORITY_CONFLICT', path, reason: `${reason}; ${whatElse}` });
}

/** Why nothing can be made there; undefined when it can. */
async function reasonAgainst(path: string): Promise<string | undefined> {
  for (let at = path; ; at = dirname(at)) {
    const found = await stat(at).catch(unlessAbsent);
    if (typeof found === 'string') return `${at} cannot be looked at: ${found}`;
    if (!found) continue;
    if (!found.isDirectory()) return `${at} is there and is no directory`;
    const refusal = await refusalOf(at);
    return refusal && `nothing can be written in ${at}: ${refusal}`;
  }
}

function unlessAbsent(error: unknown): string | undefined {
  return isSystemError(error, 'ENOENT', 'ENOTDIR') ? undefined : toSystemReason(error);
}

async function refusalOf(directory: string): Promise<string | undefined> {
  try {
    await using _ = await open(directory, namelessFile, 0o600);
    return undefined;
  } catch (error) {
    if (!isSystemError(error, ...knowsNone)) return toSystemReason(error);
    return access(directory, W_OK | X_OK).then(() => undefined, toSystemReason);
  }
}
