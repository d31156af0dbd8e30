import { constants } from 'node:fs';
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Level } from 'level';
import { WaybillError } from '../domain/errors.ts';
import { loadLevel } from './level.ts';
import { diskFullError, levelErrorCode } from './level-error.ts';

/** What is there is written over, and never through a link to elsewhere. */
const pidFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;

/**
 * The right of one process to a state store: a lock of the kernel, gone with the process. It is the
 * lock of an empty LevelDB beside the store (the only kernel lock there is in Node), because the
 * store itself must be verified, and perhaps renamed, before it is opened.
 */
export class DirectoryLock {
  readonly #level: Level;

  private constructor(level: Level) {
    this.#level = level;
  }

  /** @throws DATA_DIRECTORY_IN_USE while another process, or this one, holds it; DISK_FULL */
  static async take(storeDirectory: string): Promise<DirectoryLock> {
    const directory = `${storeDirectory}.lock`;
    await mkdir(directory, { recursive: true });
    const level = new (await loadLevel())(directory);
    try {
      await openLock(level);
    } catch (error) {
      if (levelErrorCode(error) !== 'LEVEL_LOCKED') {
        throw (await diskFullError(directory, error)) ?? error;
      }
      const holder = await readHolder(directory);
      const details = { code: 'DATA_DIRECTORY_IN_USE', path: storeDirectory, holder } as const;
      throw new WaybillError(details, { cause: error });
    }
    const holder = { flag: pidFlags };
    await writeFile(join(directory, 'pid'), `${process.pid}\n`, holder).catch(() => {
      // Only a comfort for whoever finds the directory in use; a full disk must not stop us here.
    });
    return new DirectoryLock(level);
  }

  /**
   * Who holds the lock, in words such as "process 4711"; undefined: nobody did a moment ago.
   *
   * @throws the system's failure when it cannot be looked at
   */
  static async holderOf(storeDirectory: string): Promise<string | undefined> {
    const isThere = await access(`${storeDirectory}.lock`).then(
      () => true,
      () => false,
    );
    // Only taking it tells; where nothing is nothing is made.
    if (!isThere) return undefined;
    try {
      await (await DirectoryLock.take(storeDirectory)).release();
      return undefined;
    } catch (error) {
      const details = error instanceof WaybillError ? error.details : undefined;
      if (details?.code === 'DATA_DIRECTORY_IN_USE') return details.holder;
      throw error;
    }
  }

  /** Safe to call twice. */
  async release(): Promise<void> {
    await this.#level.close();
  }
}

async function openLock(level: Level): Promise<void> {
  try {
    await level.open();
  } catch (error) {
    if (levelErrorCode(error) === 'LEVEL_LOCKED') throw error;
    // It holds no rows, and LevelDB begins anew without CURRENT. Nobody has it open: it would have
    // been locked.
    await rm(join(level.location, 'CURRENT'), { force: true });
    await level.open();
  }
}

async function readHolder(directory: string): Promise<string> {
  const text = await readFile(join(directory, 'pid'), 'utf8').catch(() => '');
  return /^\d+\n$/.test(text) ? `process ${text.trim()}` : 'another process';
}
