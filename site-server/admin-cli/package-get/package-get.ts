/**
 * Fetches one package for a client: finds it, downloads what is missing into a library of its own
 * beside the output directory, verifies all of it, writes the tree and moves it where it belongs, in
 * one step. Called by `waybill get`. Writes `<out>.waybill-partial`, which a crash or any failure
 * leaves: the next call goes on with it.
 */
import { freeBytesOf } from '../../../shared/content-library/library-failure.ts';
import { isErrorWithCode, WaybillError } from '../../../shared/domain/errors.ts';
import type { PackageVersion } from '../../../shared/domain/package.ts';
import { toIdentityUri } from '../../../shared/domain/peer-identity.ts';
import type { PullSource } from '../../../shared/domain/pull-source.ts';
import { isAbortError } from '../../../shared/runtime/abort-error.ts';
import type { Clock } from '../../../shared/runtime/clock.ts';
import { toSystemReason } from '../../../shared/runtime/system-reason.ts';
import type { ClientLibrary } from './client-library.ts';
import { OutDirectory } from './out-directory.ts';
import type { FetchedPackage, GetOptions, GetRequest, UsedSource } from './package-access.ts';
import type { PackageLocation } from './package-location.ts';
import { runWatchedDownload, type StartDownload } from './watched-download.ts';
import { WorkFolder } from './work-folder.ts';

/** What a fetch needs. */
export interface PackageGetNeeds {
  readonly clock: Clock;
  readonly locate: (packageId: string, signal: AbortSignal) => Promise<PackageLocation>;
  readonly startDownload: StartDownload;
  readonly openLibrary: (folder: string) => Promise<ClientLibrary>;
}

/** How a fetch is tuned. */
export interface PackageGetConfig {
  /** While no source gives what is missing, the site is asked so often. @default 30_000 */
  readonly relocateMs: number;
}

const defaultPackageGetConfig: PackageGetConfig = { relocateMs: 30_000 };

/** The only job its library will ever see. */
const jobSerial = 1;
/** So often what came is found incomplete or damaged before it is given up. */
const repairsMax = 3;

export class PackageGet {
  readonly #needs: PackageGetNeeds;
  readonly #config: PackageGetConfig;

  constructor(needs: PackageGetNeeds, config = defaultPackageGetConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  /** @throws as `PackageAccess.get` does */
  async run(request: GetRequest, options: GetOptions): Promise<FetchedPackage> {
    const { clock, locate } = this.#needs;
    const startedMs = clock.monotonicMs();
    const out = await OutDirectory.open(request.outDirectory);
    await out.requireFree();
    // Asked before anything is made: of a package that is unknown nothing shall be left.
    const found = await locate(request.packageId, options.signal);
    const received = new ReceivedBytes();
    await using folder = await WorkFolder.open(out.workPath);
    // Another one may have finished while this waited for the folder.
    await out.requireFree();
    const version = await this.#bringNewest(found, { folder, received, options });
    await out.fill(folder.treePath);
    await removeQuietly(folder, options);
    return {
      ...toFacts(version),
      outDirectory: out.path,
      receivedBytes: received.total,
      durationMs: clock.monotonicMs() - startedMs,
      sources: received.sources,
    };
  }

  /** @returns the version whose tree is in the folder, whole and verified */
  async #bringNewest(found: PackageLocation, needs: BringNeeds): Promise<PackageVersion> {
    let location = found;
    for (let repairs = 0; ; ) {
      try {
        const newer = await this.#bring(location, needs);
        if (!newer) return location.version;
        location = newer;
      } catch (error) {
        // What was verified when it came is not right any more: nothing of it is believed.
        if (!isDamage(error) || ++repairs >= repairsMax) throw error;
        await needs.folder.clear();
      }
    }
  }

  /** @returns where a newer version is, when there is one by now */
  async #bring(
    location: PackageLocation,
    { folder, received, options }: BringNeeds,
  ): Promise<PackageLocation | undefined> {
    const { version } = location;
    const isResumed = await folder.prepare(version);
    if (!isResumed) requireRoom(folder, version);
    options.observer.begun({ location, workPath: folder.path, isResumed });
    const library = await this.#needs.openLibrary(folder.path);
    try {
      const newer = await this.#fetch(library, location, { received, options });
      if (newer) return newer;
      await folder.clearTree();
      await writeTree(library, { version, folder, options });
      return undefined;
    } finally {
      await library.close();
    }
  }

  async #fetch(
    library: ClientLibrary,
    location: PackageLocation,
    { received, options }: Omit<BringNeeds, 'folder'>,
  ): Promise<PackageLocation | undefined> {
    const { version } = location;
    const action = { packageId: version.packageId, jobSerial, version, redistribute: false };
    const { clock, startDownload: start } = this.#needs;
    const { relocateMs } = this.#config;
    const locate = (signal: AbortSignal) => this.#needs.locate(version.packageId, signal);
    const onReceived = (source: PullSource, bytes: number) => received.add(source, bytes);
    for (let tries = 1; ; tries++) {
      await library.receiver.begin(action);
      const job = { library, action, location, onReceived, ...options };
      const newer = await runWatchedDownload({ clock, locate, start, relocateMs }, job);
      if (newer) return newer;
      try {
        await library.receiver.commit(action);
        return undefined;
      } catch (error) {
        // It has taken away what it found damaged: that is fetched again.
        if (!isErrorWithCode(error, 'CONTENT_INCOMPLETE') || tries >= repairsMax) throw error;
      }
    }
  }
}

interface BringNeeds {
  readonly folder: WorkFolder;
  readonly received: ReceivedBytes;
  readonly options: GetOptions;
}

/** What came from whom. */
class ReceivedBytes {
  readonly #bySource = new Map<string, UsedSource>();

  add(source: PullSource, bytes: number): void {
    const name = toIdentityUri(source.identity);
    const before = this.#bySource.get(name)?.receivedBytes ?? 0;
    this.#bySource.set(name, { source, receivedBytes: before + bytes });
  }

  get total(): number {
    return this.sources.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0);
  }

  get sources(): UsedSource[] {
    const used = [...this.#bySource.values()].filter(({ receivedBytes }) => receivedBytes > 0);
    return used.sort((a, b) => a.source.rank - b.source.rank);
  }
}

async function writeTree(
  { library }: ClientLibrary,
  needs: { version: PackageVersion; folder: WorkFolder; options: GetOptions },
): Promise<void> {
  const { signal, observer } = needs.options;
  observer.writing(0);
  await library.extractPackage(needs.version.packageId, needs.folder.treePath, {
    onProgress: ({ sizeBytes }) => observer.writing(sizeBytes),
    signal,
  });
}

/** It is here twice for a moment: in the library, and as the tree that is written from it. */
function requireRoom({ path }: WorkFolder, version: PackageVersion): void {
  const neededBytes = 2 * toFacts(version).sizeBytes;
  const freeBytes = freeBytesOf(path);
  if (freeBytes >= neededBytes) return;
  throw new WaybillError({ code: 'DISK_FULL', path, freeBytes, neededBytes });
}

function toFacts({ packageId, sourceVersion, contents }: PackageVersion) {
  const sum = (pick: (content: (typeof contents)[number]) => number) =>
    contents.reduce((total, content) => total + pick(content), 0);
  const fileCount = sum((content) => content.fileCount);
  return { packageId, sourceVersion, fileCount, sizeBytes: sum((content) => content.sizeBytes) };
}

function isDamage(error: unknown): boolean {
  return isErrorWithCode(
    error,
    'FILE_NOT_HELD',
    'FILE_HASH_MISMATCH',
    'PACKAGE_NOT_HELD',
    'MANIFEST_INVALID',
    'CONTENT_HASH_MISMATCH',
  );
}

/** The package is where it was to be; that something is left beside it is no failure. */
async function removeQuietly(folder: WorkFolder, { observer }: GetOptions): Promise<void> {
  try {
    await folder.remove();
  } catch (error) {
    if (isAbortError(error)) throw error;
    observer.warned(`${folder.path} could not be removed: ${toSystemReason(error)}`);
  }
}
