/**
 * The DP's side of every package action: takes manifests and content, says what is absent, makes
 * versions visible, removes packages. Called by the site over the DistributionPoint conversation;
 * writes the incoming folder, the content library and the table "package actions". A crash leaves
 * incoming files, which the next Inspect verifies again.
 */
import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import { ContentInspection, type WantedEntry } from './content-inspection.ts';
import { FreeRoom } from './free-room.ts';
import { IncomingFiles } from './incoming-files.ts';
import { IncomingManifests, requireContent } from './incoming-manifests.ts';
import { type BegunAction, type PackageAction, PackageActions } from './package-actions.ts';
import { RewrittenFiles } from './rewritten-files.ts';

export interface DpProviderComponents {
  readonly library: ContentLibrary;
  readonly store: StateStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface DpProviderConfig {
  /** The library's folder; incoming files lie beside it, on the same file system. */
  readonly incomingDirectory: string;
  /** Room that stays free for others, in bytes. @default 50 MiB, as in Configuration Manager */
  readonly reserveBytes: number;
  /** Whole files waiting for the library at most, before they are adopted together. */
  readonly stagedFilesMax: number;
  readonly stagedBytesMax: number;
  /** How long unfinished files of forgotten jobs stay. */
  readonly unfinishedGraceMs: number;
}

export const defaultDpProviderConfig = {
  reserveBytes: 50 * 1024 * 1024,
  stagedFilesMax: 4096,
  stagedBytesMax: 256 * 1024 * 1024,
  unfinishedGraceMs: 7 * 24 * 3_600_000,
};

export class DpProvider implements Component {
  readonly #needs: DpProviderComponents;
  readonly #config: DpProviderConfig;
  readonly #actions: PackageActions;
  readonly #files: IncomingFiles;
  readonly #manifests: IncomingManifests;
  readonly #inspection: ContentInspection;
  readonly #room: FreeRoom;
  /** Redistributions that have begun, by package. */
  readonly #rewritten = new Map<string, RewrittenFiles>();
  readonly #packageQueues = new Map<string, SerialQueue>();
  readonly #adoptions = new SerialQueue();

  constructor(needs: DpProviderComponents, config: DpProviderConfig) {
    this.#needs = needs;
    this.#config = config;
    this.#actions = new PackageActions(needs.store);
    this.#files = new IncomingFiles(config.incomingDirectory);
    this.#manifests = new IncomingManifests(needs.library);
    this.#inspection = new ContentInspection(needs.library, this.#files);
    this.#room = new FreeRoom(config.incomingDirectory, config.reserveBytes);
  }

  async start(): Promise<void> {
    await this.#files.start();
    await this.#files.sweep(this.#needs.clock.nowMs() - this.#config.unfinishedGraceMs);
  }

  async stop(): Promise<void> {
    await this.#files.stop();
  }

  /** Room for content, in bytes. */
  async freeBytes(): Promise<number> {
    return this.#room.measure();
  }

  /**
   * Opens or resumes an action.
   *
   * @returns the contents whose manifest the site must bring
   * @throws ACTION_SUPERSEDED, VERSION_DOWNGRADE
   */
  async begin(action: BegunAction): Promise<string[]> {
    return this.#queueOf(action.packageId).run(async () => {
      await this.#refuseDowngrade(action);
      await this.#actions.admit(action, action.redistribute ? 'redistribute' : 'add');
      this.#actions.begin(action);
      await this.#openRewritten(action);
      const absent: string[] = [];
      for (const content of action.version.contents) {
        if (!(await this.#manifests.find(action, content))) absent.push(content.contentId);
      }
      this.#log(action, 'Began to take a package');
      return absent;
    });
  }

  /** @throws MANIFEST_INVALID, CONTENT_HASH_MISMATCH, MESSAGE_INVALID, ACTION_… */
  async putManifest(
    action: PackageAction,
    contentId: string,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const begun = this.#actions.require(action);
    await this.#manifests.receive(begun, requireContent(begun, contentId), chunks);
  }

  /** The files of one content this DP wants, in parts, in manifest order. */
  async *inspect(action: PackageAction, contentId: string): AsyncGenerator<WantedEntry[]> {
    const begun = this.#actions.require(action);
    const content = requireContent(begun, contentId);
    const files = await this.#manifests.find(begun, content);
    if (!files) throw new WaybillError({ code: 'CONTENT_NOT_HELD', contentId });
    const rewritten = this.#rewritten.get(action.packageId);
    const isRewritten = rewritten && ((hash: string) => rewritten.has(hash));
    yield* this.#inspection.wantedFiles(action.packageId, content, files, isRewritten);
  }

  /** @throws FILE_NOT_WANTED, FILE_HASH_MISMATCH, MESSAGE_INVALID, DISK_FULL, ACTION_… */
  async receivePiece(
    action: PackageAction,
    piece: { hash: string; pieceIndex: number; bytes: Uint8Array },
  ): Promise<void> {
    this.#actions.require(action);
    await this.#room.require(piece.bytes.length);
    await this.#files.receivePiece(piece);
    if (this.#isStagedEnough()) await this.#adoptStaged();
  }

  /** @throws FILE_HASH_MISMATCH, DISK_FULL, ACTION_… */
  async receiveSmallFiles(
    action: PackageAction,
    files: readonly { hash: string; bytes: Uint8Array }[],
  ): Promise<void> {
    this.#actions.require(action);
    await this.#room.require(files.reduce((sum, { bytes }) => sum + bytes.length, 0));
    await this.#files.receiveSmall(files);
    if (this.#isStagedEnough()) await this.#adoptStaged();
  }

  /**
   * Makes the action's version visible.
   *
   * @returns the hash over what is served now
   * @throws CONTENT_INCOMPLETE when files are absent: inspect again
   */
  async commit(action: PackageAction): Promise<string> {
    return this.#queueOf(action.packageId).run(async () => {
      const done = await this.#alreadyCommitted(action);
      if (done) return done;
      const begun = this.#actions.require(action);
      await this.#adoptStaged();
      const staged = await this.#manifests.staged(begun);
      const { version, jobSerial } = begun;
      const { packageHash } = await this.#needs.library.commitPackage({
        version,
        jobSerial,
        staged,
      });
      await this.#finish(begun);
      this.#log(begun, 'Package is visible and verified');
      return packageHash;
    });
  }

  /** Removes a package; nothing happens when it is not here. */
  async removePackage(action: PackageAction): Promise<void> {
    await this.#queueOf(action.packageId).run(async () => {
      await this.#actions.admit(action, 'remove');
      await this.#needs.library.removePackage(action.packageId);
      await this.#finish(action);
      this.#log(action, 'Package is removed');
    });
  }

  async #refuseDowngrade({ packageId, version }: BegunAction): Promise<void> {
    const held = (await this.#needs.library.getPackage(packageId))?.sourceVersion ?? 0;
    if (version.sourceVersion >= held) return;
    const offered = version.sourceVersion;
    throw new WaybillError({ code: 'VERSION_DOWNGRADE', packageId, offered, held });
  }

  /** Commit may be asked twice, when its first answer was lost. */
  async #alreadyCommitted(action: PackageAction): Promise<string | undefined> {
    const held = await this.#needs.library.getPackage(action.packageId);
    return held?.jobSerial === action.jobSerial ? held.packageHash : undefined;
  }

  async #finish(action: PackageAction): Promise<void> {
    this.#actions.end(action);
    this.#rewritten.delete(action.packageId);
    await this.#files.discardArriving(action.packageId);
    await this.#manifests.discard(action.packageId);
  }

  #isStagedEnough(): boolean {
    const { stagedFilesMax, stagedBytesMax } = this.#config;
    return this.#files.stagedCount >= stagedFilesMax || this.#files.stagedBytes >= stagedBytesMax;
  }

  /** Moves whole files into the library, many at a time, so that one sync serves them all. */
  async #adoptStaged(): Promise<void> {
    await this.#adoptions.run(async () => {
      const staged = this.#files.stagedFiles();
      if (staged.length === 0) return;
      // What was just verified may always replace what lies there: a redistribution repairs so.
      await this.#needs.library.adoptFiles(staged);
      this.#files.adopted(staged);
      const hashes = staged.map(({ hash }) => hash);
      for (const rewritten of this.#rewritten.values()) await rewritten.add(hashes);
    });
  }

  async #openRewritten({ packageId, jobSerial, redistribute }: BegunAction): Promise<void> {
    const directory = this.#needs.library.stagingDirectoryOf(packageId);
    if (redistribute) {
      this.#rewritten.set(packageId, await RewrittenFiles.open(directory, jobSerial));
    } else {
      this.#rewritten.delete(packageId);
    }
  }

  #queueOf(packageId: string): SerialQueue {
    const queue = this.#packageQueues.get(packageId) ?? new SerialQueue();
    this.#packageQueues.set(packageId, queue);
    return queue;
  }

  #log({ packageId, jobSerial }: PackageAction, message: string): void {
    this.#needs.logger.info({ packageId, jobSerial }, message);
  }
}
