import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { syncDirectories, syncFiles } from '../../shared/content-library/file-system-sync.ts';
import { isSystemError, toWriteFailure } from '../../shared/content-library/library-failure.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type { Priority } from '../../shared/domain/package.ts';
import type { PackageFileFacts } from '../../shared/domain/send-request.ts';
import { isAbortError, throwIfAborted } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import { SharedMakings } from '../../shared/runtime/shared-makings.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';

/** Which package file: the same for all sites that hold the same version. */
export interface PackageFileOrder {
  readonly packageId: string;
  readonly sourceVersion: number;
  /** 0: a full package file. */
  readonly baseVersion: number;
  /** Hash of the version, as the package's row has it. */
  readonly packageHash: string;
  readonly priority: Priority;
}

/** A package file that was just made, and the version it carries: the library's newest by then. */
export interface MadePackageFile extends PackageFileFacts {
  readonly sourceVersion: number;
  readonly packageHash: string;
}

/** What the package file store needs. */
export interface PackageFileStoreComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  /** Where the files are, on one file system with whatever is adopted. */
  readonly directory: string;
  /**
   * Writes a package file of the version the library has now; nothing else begins with its path but
   * what it leaves behind when it is killed.
   *
   * @throws AbortError when the signal fires; DISK_FULL; whatever else keeps it from being made
   */
  readonly makeFile: (
    order: PackageFileOrder,
    path: string,
    signal: AbortSignal,
  ) => Promise<MadePackageFile>;
  /** The largest number of bytes the file of this order may have; 0 when only making it tells. */
  readonly bytesMaxOf: (order: PackageFileOrder) => Promise<number>;
  /** BLAKE3-256 of a file, another text when it cannot be read. @throws ENOENT, AbortError */
  readonly hashFile: (path: string, signal: AbortSignal) => Promise<string>;
  /** Hashes of all files that a mini-job, send request or received instruction needs. */
  readonly references: () => AsyncIterable<string>;
  /** Bytes free in the file system of the directory. */
  readonly freeBytes: () => Promise<number>;
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  readonly logger: Logger;
}

/** How the package file store is tuned. */
export interface PackageFileStoreConfig {
  /** Package files made at once. @default 2 */
  readonly makingsMax: number;
  /** How long a file that nobody needs stays: the next site may need it. @default 3_600_000 */
  readonly graceMs: number;
  /** How often the store is swept of what nobody needs. @default 600_000 */
  readonly sweepIntervalMs: number;
  /** Bytes of the file system that stay free. @default 1 GiB */
  readonly reserveBytes: number;
}

export const defaultPackageFileStoreConfig: PackageFileStoreConfig = {
  makingsMax: 2,
  graceMs: 3_600_000,
  sweepIntervalMs: 600_000,
  reserveBytes: 1024 ** 3,
};

/** A file that nobody needs is kept so long even on a full disk: whoever made it is about to. */
const freshMs = 60_000;

const makingPrefix = 'making-';

/**
 * Package files that are whole and verified, made here or received here, each named by its hash. Made
 * once for all who need the same (REP-2). Called by the Scheduler, the Sender and the Despooler.
 * Writes its directory and the table "package files", which remembers what was made. A crash leaves
 * an unfinished file, removed at the next start, or a whole one that nobody needs, which is swept.
 */
export class PackageFileStore implements Component {
  readonly #needs: PackageFileStoreComponents;
  readonly #config: PackageFileStoreConfig;
  readonly #stopping = new AbortController();
  readonly #makings: SharedMakings<PackageFileFacts>;
  /** Naming and deleting of files take turns. */
  readonly #turns = new SerialQueue();
  /** Since when each file that is here was not needed, or is new. */
  readonly #unusedSinceMs = new Map<string, number>();
  #sweeping: Promise<void> = Promise.resolve();

  constructor(needs: PackageFileStoreComponents, config = defaultPackageFileStoreConfig) {
    this.#needs = needs;
    this.#config = config;
    this.#makings = new SharedMakings(config.makingsMax);
  }

  async start(): Promise<void> {
    const { directory } = this.#needs;
    await mkdir(directory, { recursive: true });
    const unfinished = (await readdir(directory)).filter((name) => name.startsWith(makingPrefix));
    for (const name of unfinished) await rm(join(directory, name), { force: true });
    this.#sweeping = this.#sweepNowAndThen();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#makings.stop();
    await this.#sweeping;
  }

  /** Where a file is, if it is here. */
  pathOf(fileHash: string): string {
    return join(this.#needs.directory, fileHash);
  }

  /** Whether a file is here, whole. */
  async has(fileHash: string): Promise<boolean> {
    return (await this.#bytesOf(fileHash)) !== undefined;
  }

  /**
   * Whether a file is here, whole: if so it stays for the grace period, so that whoever asks has time
   * to say that it is needed.
   *
   * @returns its length in bytes; undefined when it is not here
   */
  async keep(fileHash: string): Promise<number | undefined> {
    return this.#turns.run(async () => {
      const bytes = await this.#bytesOf(fileHash);
      if (bytes !== undefined) {
        this.#unusedSinceMs.set(fileHash, this.#needs.clock.monotonicMs());
      }
      return bytes;
    });
  }

  /**
   * Takes a file that is whole, verified and synced, by rename. Once this resolves it is durable, and
   * stays for the grace period however soon it is needed.
   */
  async adopt(path: string, { fileHash }: PackageFileFacts): Promise<void> {
    await this.#turns.run(async () => {
      this.#unusedSinceMs.set(fileHash, this.#needs.clock.monotonicMs());
      await rename(path, this.pathOf(fileHash));
      await syncDirectories(this.#needs.directory, [this.#needs.directory]);
    });
  }

  /**
   * The package file of this order, made when it is not here. Orders of the same share one making,
   * which ends early only when all who wait for it have gone.
   *
   * @throws DISK_FULL when there is no room; PACKAGE_STATE_CONFLICT when the library has another
   *   version by now; AbortError; what keeps the file from being made
   */
  async make(order: PackageFileOrder, signal: AbortSignal): Promise<PackageFileFacts> {
    throwIfAborted(signal);
    const key = joinKey(order.packageId, order.sourceVersion, order.baseVersion);
    const making = { key, priority: order.priority };
    const work = (making: AbortSignal) => this.#madeOrMake(key, order, making);
    return this.#makings.run(making, work, signal);
  }

  /**
   * Whether a file that somebody could not use is what its hash promises: its disk may have damaged
   * it. One that is not is discarded.
   *
   * @throws AbortError when the store stops
   */
  async isSound(fileHash: string): Promise<boolean> {
    const path = this.pathOf(fileHash);
    const actualHash = await this.#needs
      .hashFile(path, this.#stopping.signal)
      .catch((error: unknown) => {
        if (isSystemError(error, 'ENOENT')) return '';
        throw error;
      });
    if (actualHash === fileHash) return true;
    this.#needs.logger.warn({ fileHash, actualHash }, 'A package file was damaged on disk');
    await this.discard(fileHash);
    return false;
  }

  /** Makes room: deletes the files that nobody needs, those that have just come excepted. */
  makeRoom(): Promise<void> {
    return this.#sweepUnused(freshMs);
  }

  /** Forgets a file that is not what its hash promises: the next order makes it again. */
  async discard(fileHash: string): Promise<void> {
    await this.#turns.run(() => this.#delete(new Set([fileHash])));
  }

  /** Deletes the files that nobody has needed for the grace period. */
  sweep(): Promise<void> {
    return this.#sweepUnused(this.#config.graceMs);
  }

  async #madeOrMake(
    key: string,
    order: PackageFileOrder,
    signal: AbortSignal,
  ): Promise<PackageFileFacts> {
    const known = await this.#made.get(key);
    if (known && (await this.#bytesOf(known.fileHash)) === known.fileBytes) {
      this.#unusedSinceMs.set(known.fileHash, this.#needs.clock.monotonicMs());
      return known;
    }
    await this.#requireRoom(await this.#needs.bytesMaxOf(order));
    const path = join(this.#needs.directory, `${makingPrefix}${randomUUID()}`);
    try {
      return await this.#makeAt(path, key, order, signal);
    } catch (error) {
      await rm(path, { force: true });
      const failure = toWriteFailure(error, this.#needs.directory, 0);
      if (isErrorWithCode(failure, 'DISK_FULL')) await this.makeRoom();
      throw failure;
    }
  }

  async #makeAt(
    path: string,
    key: string,
    order: PackageFileOrder,
    signal: AbortSignal,
  ): Promise<PackageFileFacts> {
    const { makeFile, store, logger, directory } = this.#needs;
    const made = await makeFile(order, path, signal);
    requireVersion(order, made);
    const facts = { fileHash: made.fileHash, fileBytes: made.fileBytes };
    await syncFiles(directory, [path]);
    await this.adopt(path, facts);
    await store.write([this.#made.put(key, facts)], { sync: true });
    const { packageId, sourceVersion, baseVersion } = order;
    logger.info({ packageId, sourceVersion, baseVersion, ...facts }, 'Made package file');
    return facts;
  }

  /** @throws DISK_FULL when so many bytes would eat into the reserve, unneeded files deleted */
  async #requireRoom(neededBytes: number): Promise<void> {
    const { freeBytes: measure, directory } = this.#needs;
    const room = async () => Math.max(0, (await measure()) - this.#config.reserveBytes);
    if ((await room()) >= neededBytes) return;
    await this.makeRoom();
    const freeBytes = await room();
    if (freeBytes >= neededBytes) return;
    throw new WaybillError({ code: 'DISK_FULL', path: directory, freeBytes, neededBytes });
  }

  async #sweepNowAndThen(): Promise<void> {
    const { signal } = this.#stopping;
    try {
      for (;;) {
        await this.sweep();
        await this.#needs.clock.sleep(this.#config.sweepIntervalMs, signal);
      }
    } catch (error) {
      if (!isAbortError(error)) throw error;
    }
  }

  #sweepUnused(graceMs: number): Promise<void> {
    return this.#turns.run(async () => {
      const names = await readdir(this.#needs.directory);
      const files = new Set(names.filter((name) => !name.startsWith(makingPrefix)));
      for (const known of this.#unusedSinceMs.keys()) {
        if (!files.has(known)) this.#unusedSinceMs.delete(known);
      }
      await this.#delete(await this.#unusedFor(graceMs, files));
    });
  }

  async #unusedFor(graceMs: number, files: Set<string>): Promise<Set<string>> {
    const nowMs = this.#needs.clock.monotonicMs();
    for await (const used of this.#needs.references()) {
      files.delete(used);
      this.#unusedSinceMs.delete(used);
    }
    for (const hash of files) {
      const sinceMs = this.#unusedSinceMs.get(hash) ?? nowMs;
      this.#unusedSinceMs.set(hash, sinceMs);
      if (nowMs - sinceMs < graceMs) files.delete(hash);
    }
    return files;
  }

  async #delete(hashes: ReadonlySet<string>): Promise<void> {
    if (hashes.size === 0) return;
    const { store, logger } = this.#needs;
    const forgotten = [];
    for await (const [key, { fileHash }] of this.#made.list()) {
      if (hashes.has(fileHash)) forgotten.push(this.#made.delete(key));
    }
    // A row without its file costs a look; on a full disk it stays.
    await store.write(forgotten, { sync: false }).catch((error) => {
      if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
    });
    for (const fileHash of hashes) {
      await rm(this.pathOf(fileHash), { force: true });
      this.#unusedSinceMs.delete(fileHash);
      logger.info({ fileHash }, 'Deleted package file');
    }
  }

  async #bytesOf(fileHash: string): Promise<number | undefined> {
    try {
      return (await stat(this.pathOf(fileHash))).size;
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  get #made() {
    return this.#needs.store.records(keySpaces.packageFiles);
  }
}

/** A file of another version than its instruction names would be refused where it arrives. */
function requireVersion(order: PackageFileOrder, made: MadePackageFile): void {
  if (made.sourceVersion === order.sourceVersion && made.packageHash === order.packageHash) return;
  const [state, expected] = [made, order].map(
    ({ sourceVersion, packageHash }) => `at version ${sourceVersion} (${packageHash.slice(0, 16)})`,
  );
  const { packageId } = order;
  throw new WaybillError({
    code: 'PACKAGE_STATE_CONFLICT',
    ...{ packageId, state: state ?? '', expected: expected ?? '' },
  });
}
