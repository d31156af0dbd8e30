/**
 * Who this program is to the operating system. Root that works in a directory of somebody else is him meanwhile: what
 * lies there, links to files of the system among it, was put there by whoever that directory belongs to.
 */

/** A user of this machine, by number. */
export interface UserIds {
  readonly uid: number;
  readonly gid: number;
}

/**
 * From now on the program is this user: what it makes in a service's data directory, the service must be able
 * to use. For root only; nothing when nobody is named.
 */
export function actAs(user: UserIds | undefined): void {
  if (!user) return;
  process.setgroups?.([user.gid]);
  process.setgid?.(user.gid);
  process.setuid?.(user.uid);
}

/**
 * Does work as this user, and is again who it was. For root only; as itself when nobody is named, or it is he. The whole
 * process is he, so one work at a time; work within work is for the same user.
 *
 * @throws what the work throws: EACCES for what this user may not do
 */
export async function whileActingAs<T>(
  user: UserIds | undefined,
  work: () => Promise<T>,
): Promise<T> {
  const before = own();
  if (!user || user.uid === before.uid) return work();
  // Groups first, and last on the way back: only root may change them.
  process.setgroups?.([user.gid]);
  process.setegid?.(user.gid);
  process.seteuid?.(user.uid);
  try {
    return await work();
  } finally {
    process.seteuid?.(before.uid);
    process.setegid?.(before.gid);
    process.setgroups?.(before.groups);
  }
}

function own(): UserIds & { readonly groups: number[] } {
  const groups = process.getgroups?.() ?? [];
  return { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0, groups };
}
