import { join } from 'node:path';
import type { FileOwner } from '../../shared/certificates/secret-files.ts';

/** Whom this program works for: the user of the terminal, also behind sudo. */
export interface CallingUser {
  readonly name: string;
  readonly homeDirectory: string;
  /** Whom new files of that user are given to; none: they are his by themselves. */
  readonly owner?: FileOwner;
}

/** What is known of the process and its machine. */
export interface ProcessUser {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
  readonly name: string;
  readonly homeDirectory: string;
  /** The text of /etc/passwd. */
  readonly passwd: string;
}

/** Behind sudo it is who called sudo: root has no use for credentials of an administrator. */
export function callingUserOf({ environment, uid, ...own }: ProcessUser): CallingUser {
  const { name, homeDirectory, passwd } = own;
  const sudoUser = environment.SUDO_USER;
  if (uid !== 0 || !sudoUser || sudoUser === 'root') return { name, homeDirectory };
  const fields = passwd
    .split('\n')
    .map((line) => line.split(':'))
    .find(([user]) => user === sudoUser);
  const [, , userId, groupId, , home] = fields ?? [];
  if (!home || !isId(userId) || !isId(groupId)) return { name, homeDirectory };
  const owner = { uid: Number(userId), gid: Number(groupId) };
  return { name: sudoUser, homeDirectory: home, owner };
}

/** Where `waybill` looks for its configuration. */
export function adminDirectoryOf({ homeDirectory }: CallingUser): string {
  return join(homeDirectory, '.config', 'waybill');
}

function isId(text: string | undefined): text is string {
  return text !== undefined && /^\d+$/.test(text);
}
