import { chmod, opendir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError } from '../../../shared/content-library/library-failure.ts';

/**
 * Removes a folder with all that is in it, also where a package made directories that not even their
 * owner may write to. Fine when it is not there.
 */
export async function removeFolder(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if (!isSystemError(error, 'EACCES', 'EPERM')) throw error;
    await openUp(path);
    await rm(path, { recursive: true, force: true });
  }
}

/** Makes every directory one that its owner may write to, without following links. */
async function openUp(root: string): Promise<void> {
  const waiting = [root];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    await chmod(path, 0o700);
    for await (const entry of await opendir(path)) {
      if (entry.isDirectory()) waiting.push(join(path, entry.name));
    }
  }
}
