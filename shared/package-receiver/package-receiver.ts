/**
 * The receiving side of every package action, whoever brings the bytes: takes manifests and content,
 * says what is absent, makes versions visible, removes packages. Called by the DP provider, to which
 * the site pushes, by a pull DP, which fetches, and by `waybill get`; writes the incoming folder, the
 * content library and the table "package actions". A crash leaves incoming files, which are verified
 * again when somebody asks what is absent.
 */
import type { ContentLibrary } from '../content-library/content-library.ts';
import type { InlineManifest } from '../domain/content.ts';
import type { Delta } from '../domain/delta.ts';
import { WaybillError } from '../domain/errors.ts';
import type { PackageVersion } from '../domain/package.ts';
import { ignoreAbort } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Component } from '../runtime/component.ts';
import { KeyedTurns } from '../runtime/keyed-turns.ts';
import type { Logger } from '../runtime/logger.ts';
import type { StateStore } from '../state-store/state-store.ts';
import type { ArrivingBytes } from './arriving-bytes.ts';
import { ContentInspection, type WantedEntry, type WantedUnits } from './content-inspection.ts';
import { FreeRoom } from './free-room.ts';
import { IncomingDeltas, type WantedDelta } from './incoming-deltas.ts';
import { IncomingFiles, type IncomingPiece } from './incoming-files.ts';
import { IncomingManifests, type ManifestFiles, requireContent } from './incoming-manifests.ts';
import { type BegunAction, type PackageAction, PackageActions } from './package-actions.ts';
import type { SmallFile } from './packed-files.ts';
import { Redistributions } from './redistributions.ts';
import { StagedAdoption, type StagedAdoptionConfig } from './staged-adoption.ts';
import { type InspectedContent, WantedContent } from './wanted-content.ts';

export interface PackageReceiverComponents {
  readonly library: ContentLibrary;
  readonly store: StateStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface PackageReceiverConfig extends StagedAdoptionConfig {
  /** Where files lie while they arrive; on the file system of the library. */
  readonly incomingDirectory: string;
  /** Room that stays free for others, in bytes. @default 50 MiB, as in Configuration Manager */
  readonly reserveBytes: number;
  /** How long unfinished files that nobody asks for stay. @default 7 days */
  readonly unfinishedGraceMs: number;
  /** Time between two looks for such files. @default 1 h */
  readonly sweepIntervalMs: number;
}

/** What the site is told when it begins an action. */
export interface BegunAnswer {
  /** The contents whose manifest it must bring. */
  readonly contentIdsWithoutManifest: readonly string[];
  /** What is wanted of the contents whose manifest it has brought at once. */
  readonly inspected: readonly InspectedContent[];
}

export class PackageReceiver implements Component {
  readonly #needs: PackageReceiverComponents;
  readonly #config: PackageReceiverConfig;
  readonly #actions: PackageActions;
  readonly #files: IncomingFiles;
  readonly #manifests: IncomingManifests;
  readonly #redistributions: Redistributions;
  readonly #wanted: WantedContent;
  readonly #deltas: IncomingDeltas;
  readonly #room: FreeRoom;
  /** One change of a package at a time. */
  readonly #turns = new KeyedTurns();
  readonly #adoption: StagedAdoption;
  readonly #stopping = new AbortController();
  #sweeping: Promise<void> = Promise.resolve();

  constructor(needs: PackageReceiverComponents, config: PackageReceiverConfig) {
    const { library, store, clock, logger } = needs;
    const { incomingDirectory: directory } = config;
    this.#needs = needs;
    this.#config = config;
    const actions = new PackageActions(store);
    const files = new IncomingFiles({ directory, clock });
    const manifests = new IncomingManifests(library);
    const inspection = new ContentInspection(library, files);
    const redistributions = new Redistributions(library);
    const inTurn = (action: PackageAction, step: () => Promise<void>) => this.#inTurn(action, step);
    const onAdopted = (hashes: readonly string[]) => redistributions.noteWritten(hashes);
    const { staged } = files;
    this.#actions = actions;
    this.#files = files;
    this.#manifests = manifests;
    this.#redistributions = redistributions;
    this.#wanted = new WantedContent({ actions, manifests, inspection, redistributions, inTurn });
    this.#deltas = new IncomingDeltas({ library, files, manifests, inspection, logger });
    this.#adoption = new StagedAdoption({ library, staged, logger, onAdopted }, config);
    this.#room = new FreeRoom(directory, config.reserveBytes);
  }

  async start(): Promise<void> {
    await this.#files.start();
    this.#sweeping = this.#sweepForEver();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#sweeping;
    await this.#files.stop();
    await this.#adoption.whenIdle();
  }

  /** What is here and verified of content that is not in the library yet, for those who fetch it. */
  get arrivingBytes(): ArrivingBytes {
    return this.#files.bytes;
  }

  /** Room for content, in bytes. */
  async freeBytes(): Promise<number> {
    return this.#room.measure();
  }

  /**
   * Opens or resumes an action.
   *
   * @param inline manifests of some of the version's contents; they take the place of damaged ones
   * @throws ACTION_SUPERSEDED, VERSION_DOWNGRADE; MANIFEST_INVALID, CONTENT_HASH_MISMATCH, DISK_FULL
   */
  async begin(action: BegunAction, inline: readonly InlineManifest[] = []): Promise<BegunAnswer> {
    const { begun, absent } = await this.#turns.run(action.packageId, async () => {
      const begun = await this.#beginOrResume(action);
      for (const one of inline) await this.#receiveInline(begun, one);
      const absent: string[] = [];
      for (const content of begun.version.contents) {
        if (!(await this.#manifests.find(begun, content))) absent.push(content.contentId);
      }
      this.#log(begun, 'Began to take a package');
      return { begun, absent };
    });
    return {
      contentIdsWithoutManifest: absent,
      inspected: await this.#wanted.ofInline(begun, inline),
    };
  }

  /**
   * Takes the manifest and the signature of one content, in chunks.
   *
   * @throws CONTENT_NOT_HELD when the package has no such content; MANIFEST_INVALID,
   *   CONTENT_HASH_MISMATCH, MESSAGE_INVALID, DISK_FULL, ACTION_…
   */
  async putManifest(
    action: PackageAction,
    contentId: string,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const begun = this.#actions.require(action);
    const content = requireContent(begun, contentId);
    await this.#room.require(content.manifestBytes + content.signatureBytes);
    const inTurn = (step: () => Promise<void>) => this.#inTurn(action, step);
    await this.#manifests.receive(begun, content, chunks, inTurn);
  }

  /**
   * The files of one content this DP wants, in parts, in manifest order.
   *
   * @throws CONTENT_NOT_HELD, MANIFEST_INVALID, CONTENT_HASH_MISMATCH when its manifest has to come
   *   (again): begin again; ACTION_…
   */
  inspect(action: PackageAction, contentId: string): AsyncGenerator<WantedEntry[]> {
    return this.#wanted.files(action, contentId);
  }

  /**
   * The same by units, for one who fetches: every unit of the content is in one of the runs, which
   * say what of them is wanted; all others are here.
   *
   * @throws as `inspect`
   */
  wantedFiles(action: PackageAction, contentId: string): AsyncGenerator<WantedUnits> {
    return this.#wanted.units(action, contentId);
  }

  /**
   * Where the manifest and the signature of a content of the action are, whole; undefined when they
   * have to come first.
   *
   * @throws CONTENT_NOT_HELD when the package has no such content; ACTION_…
   */
  async manifestFilesOf(
    action: PackageAction,
    contentId: string,
  ): Promise<ManifestFiles | undefined> {
    const begun = this.#actions.require(action);
    return this.#manifests.find(begun, requireContent(begun, contentId));
  }

  /**
   * Says which of these deltas are wanted: those whose base is here and whose file the action still
   * wants. They are received as any file is, from now on. Whoever offers them need not be trusted. A
   * redistribution, which believes nothing here, wants none.
   *
   * @throws DISK_FULL, ACTION_…
   */
  async offerDeltas(
    action: PackageAction,
    deltas: readonly Delta[],
  ): Promise<readonly WantedDelta[]> {
    return this.#deltas.offer(this.#actions.require(action), deltas);
  }

  /**
   * Makes files from what is here and the deltas that have come; what is made is verified as if it
   * had arrived. Of a file that cannot be made the pieces that did not come out right stay wanted.
   *
   * @returns the hashes of the files that were made
   * @throws DISK_FULL, ACTION_…; AbortError as soon as the signal fires
   */
  async applyDeltas(
    action: PackageAction,
    signal?: AbortSignal,
  ): Promise<{ readonly madeFiles: readonly string[] }> {
    const begun = this.#actions.require(action);
    const madeFiles = await this.#deltas.apply(begun, {
      signal: AbortSignal.any([this.#stopping.signal, ...(signal ? [signal] : [])]),
      receivePiece: (piece) => this.receivePiece(action, piece),
      receiveSmall: (file) => this.receiveSmallFiles(action, [file]),
    });
    return { madeFiles };
  }

  /**
   * Takes one piece; resolves when it is verified and written. Its memory may be handed over.
   *
   * @throws FILE_NOT_WANTED, FILE_HASH_MISMATCH, MESSAGE_INVALID, DISK_FULL, ACTION_…
   */
  async receivePiece(action: PackageAction, piece: IncomingPiece): Promise<void> {
    this.#actions.require(action);
    await this.#room.require(piece.bytes.length);
    await this.#files.receivePiece(piece);
    await this.#adoption.adoptEnough();
  }

  /**
   * Takes the small files of one message; resolves when they are verified and written. One that no
   * package wants does no harm: the library sweeps it. Their memory may be handed over.
   *
   * @throws FILE_HASH_MISMATCH, DISK_FULL, ACTION_…
   */
  async receiveSmallFiles(action: PackageAction, files: readonly SmallFile[]): Promise<void> {
    this.#actions.require(action);
    await this.#room.require(files.reduce((sum, { bytes }) => sum + bytes.length, 0));
    await this.#files.receiveSmall(files);
    await this.#adoption.adoptEnough();
  }

  /**
   * Makes the action's version visible. Can be asked twice, when the first answer was lost.
   *
   * @returns the hash over what is served now
   * @throws CONTENT_INCOMPLETE when files are absent: inspect again; CONTENT_NOT_HELD,
   *   MANIFEST_INVALID, CONTENT_HASH_MISMATCH, VERSION_DOWNGRADE, DISK_FULL, ACTION_…
   */
  async commit(action: PackageAction): Promise<string> {
    return this.#turns.run(action.packageId, async () => {
      const begun = this.#actions.begunFor(action.packageId);
      const hash =
        (await this.#committedHash(action, begun?.version.packageHash)) ??
        (await this.#commitBegun(action));
      await this.#finish(action);
      return hash;
    });
  }

  /**
   * Removes a package; nothing happens when it is not here.
   *
   * @throws ACTION_SUPERSEDED
   */
  async removePackage(action: PackageAction): Promise<void> {
    await this.#turns.run(action.packageId, async () => {
      await this.#actions.admit(action, 'remove');
      await this.#needs.library.removePackage(action.packageId);
      await this.#finish(action);
      this.#log(action, 'Package is removed');
    });
  }

  /**
   * Nothing of the package's older actions is committed from now on; what arrived for them stays, for
   * whoever wants the same files next, until the sweep.
   *
   * @returns the version that is served here, which one of them may have brought before
   * @throws ACTION_SUPERSEDED when a newer action was seen
   */
  async cancel(action: PackageAction): Promise<PackageVersion | undefined> {
    const { packageId } = action;
    return this.#turns.run(packageId, async () => {
      await this.#actions.admit(action, 'cancel');
      if (!this.#actions.begunFor(packageId)) {
        this.#redistributions.end(packageId);
        this.#deltas.forget({ packageId });
        await this.#manifests.discard(packageId);
      }
      this.#log(action, 'Older work on a package was cancelled');
      return this.#needs.library.getPackage(packageId);
    });
  }

  async #beginOrResume(action: BegunAction): Promise<BegunAction> {
    await this.#refuseDowngrade(action);
    await this.#actions.admit(action, action.redistribute ? 'redistribute' : 'add');
    const hash = await this.#committedHash(action, action.version.packageHash);
    // Only the answer to Commit was lost: what was written anew is not written anew again.
    const begun = hash !== undefined ? { ...action, redistribute: false } : action;
    this.#actions.begin(begun);
    await this.#manifests.begin(begun.packageId);
    await this.#redistributions.begin(begun);
    return begun;
  }

  /** One that is here and sound stays: where nothing is written, no room is needed. */
  async #receiveInline(begun: BegunAction, inline: InlineManifest): Promise<void> {
    const content = requireContent(begun, inline.contentId);
    if (await this.#manifests.isHere(begun, content)) return;
    await this.#room.require(content.manifestBytes + content.signatureBytes);
    await this.#manifests.receiveInline(begun, content, inline);
  }

  async #refuseDowngrade({ packageId, version }: BegunAction): Promise<void> {
    const held = (await this.#needs.library.getPackage(packageId))?.sourceVersion ?? 0;
    if (version.sourceVersion >= held) return;
    const offered = version.sourceVersion;
    throw new WaybillError({ code: 'VERSION_DOWNGRADE', packageId, offered, held });
  }

  /** The hash of what is served, when this very action has brought it. */
  async #committedHash(
    { packageId, jobSerial }: PackageAction,
    expectedHash: string | undefined,
  ): Promise<string | undefined> {
    const held = await this.#needs.library.getPackage(packageId);
    if (held?.jobSerial !== jobSerial) return undefined;
    const isExpected = expectedHash === undefined || expectedHash === held.packageHash;
    return isExpected ? held.packageHash : undefined;
  }

  async #commitBegun(action: PackageAction): Promise<string> {
    const begun = this.#actions.require(action);
    await this.#adoption.adoptAll();
    const staged = await this.#manifests.staged(begun);
    const { version, jobSerial } = begun;
    const commit = { version, jobSerial, staged };
    const { packageHash } = await this.#needs.library.commitPackage(commit);
    this.#manifests.trust(version.contents);
    await this.#deltas.keepUsed(begun);
    this.#log(begun, 'Package is visible and verified');
    return packageHash;
  }

  /** What arrived for the action is not needed any more, unless a newer one has begun. */
  async #finish({ packageId, jobSerial }: PackageAction): Promise<void> {
    this.#actions.end({ packageId, jobSerial });
    if (this.#actions.begunFor(packageId)) return;
    this.#redistributions.end(packageId);
    this.#deltas.forget({ packageId });
    await this.#files.discardArriving(packageId);
    await this.#manifests.discard(packageId);
  }

  async #sweepForEver(): Promise<void> {
    const { clock, logger } = this.#needs;
    const { unfinishedGraceMs, sweepIntervalMs } = this.#config;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#files.sweep(clock.nowMs() - unfinishedGraceMs);
      } catch (err) {
        if (!signal.aborted) logger.warn({ err }, 'Sweep of the incoming files failed');
      }
      await clock.sleep(sweepIntervalMs, signal).catch(ignoreAbort);
    }
  }

  /** Not while a commit reads what is there, nor after it. @throws ACTION_… */
  #inTurn(action: PackageAction, step: () => Promise<void>): Promise<void> {
    return this.#turns.run(action.packageId, async () => {
      this.#actions.require(action);
      await step();
    });
  }

  #log({ packageId, jobSerial }: PackageAction, message: string): void {
    this.#needs.logger.info({ packageId, jobSerial }, message);
  }
}
