import type { ContentLibrary } from '../content-library/content-library.ts';
import { filePathOf } from '../content-library/library-layout.ts';
import { applyDelta, type MadePiece } from '../delta/delta-applier.ts';
import { type ContentDescriptor, hasPieces, pieceCountOf } from '../domain/content.ts';
import type { Delta } from '../domain/delta.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import { PieceSet } from '../domain/piece-set.ts';
import type { Logger } from '../runtime/logger.ts';
import type { WantedFile } from './arriving-file.ts';
import type { ContentInspection } from './content-inspection.ts';
import type { IncomingFiles, IncomingPiece } from './incoming-files.ts';
import type { IncomingManifests } from './incoming-manifests.ts';
import type { BegunAction, PackageAction } from './package-actions.ts';
import type { SmallFile } from './packed-files.ts';

/** What deltas on their way need. */
export interface IncomingDeltasComponents {
  readonly library: Pick<ContentLibrary, 'areHeld' | 'addDeltas' | 'layout' | 'threads'>;
  readonly files: IncomingFiles;
  readonly manifests: Pick<IncomingManifests, 'find'>;
  readonly inspection: Pick<ContentInspection, 'namedFiles'>;
  readonly logger: Logger;
}

/** A delta the receiver will use. */
export interface WantedDelta {
  readonly delta: Delta;
  /** The pieces of it that are here; one of one piece has one: complete means, it need not come. */
  readonly piecesHeld: PieceSet;
}

/** Takes what a delta makes as if it had arrived. */
export interface MadeBytesReceiver {
  receivePiece(piece: IncomingPiece): Promise<void>;
  receiveSmall(file: SmallFile): Promise<void>;
  readonly signal: AbortSignal;
}

/** A file of the action's contents that a delta was offered for. */
interface DeltaTarget {
  readonly contentId: string;
  readonly file: WantedFile;
}

/** Deltas kept for one action at most: what is offered beyond is not wanted. */
const offeredCountMax = 10_000;

/** What says that a manifest has to come again. */
const damagedManifestCodes = [
  'CONTENT_NOT_HELD',
  'MANIFEST_INVALID',
  'CONTENT_HASH_MISMATCH',
] as const;

interface Offered {
  readonly jobSerial: number;
  /** fileHash → the delta it is to be made with. */
  readonly byFile: Map<string, Delta>;
  /** contentId → deltas from which a file came out right. */
  readonly used: Map<string, Delta[]>;
}

/**
 * The deltas of actions that have begun: which are wanted, what is made with them, and what became
 * of them. In memory: after a crash they are offered again. What a delta makes is verified piece by
 * piece as if it had arrived, so that neither a wrong delta nor a damaged base can do harm.
 */
export class IncomingDeltas {
  readonly #needs: IncomingDeltasComponents;
  readonly #offered = new Map<string, Offered>();

  constructor(needs: IncomingDeltasComponents) {
    this.#needs = needs;
  }

  /**
   * Those of these deltas that make a file which the action still wants from one that is here, and are
   * shorter than the file; they are wanted from now on. Whoever offers them need not be trusted. A
   * redistribution, which believes nothing that is here, wants none.
   *
   * @throws DISK_FULL, AbortError
   */
  async offer(action: BegunAction, deltas: readonly Delta[]): Promise<WantedDelta[]> {
    if (action.redistribute || deltas.length === 0) return [];
    const offered = this.#offeredFor(action);
    const wanted = new Map<string, WantedDelta>();
    for (const delta of await this.#useful(action, deltas)) {
      const { fileHash, deltaHash } = delta;
      const known = offered.byFile.get(fileHash);
      // Of several for one file the first counts; offered again, it goes on where it stopped.
      const isOther = known !== undefined && known.deltaHash !== deltaHash;
      const isOver = known === undefined && offered.byFile.size >= offeredCountMax;
      if (isOther || isOver || wanted.has(deltaHash)) continue;
      const piecesHeld = await this.#prepare(action, delta);
      if (!piecesHeld) continue;
      offered.byFile.set(fileHash, delta);
      wanted.set(deltaHash, { delta, piecesHeld });
    }
    return [...wanted.values()];
  }

  /**
   * Makes files, one after another, from what has come. One that cannot be made, wholly or in part,
   * stays wanted; the pieces of it that came out right are kept.
   *
   * @returns the hashes of those that were made
   * @throws DISK_FULL, ACTION_…, AbortError: whatever the receiver throws but a wrong hash
   */
  async apply(begun: BegunAction, receiver: MadeBytesReceiver): Promise<string[]> {
    const offered = this.#offeredFor(begun);
    const made = new Set<string>();
    for (const { contentId, file } of await this.#targets(begun, offered.byFile)) {
      const delta = offered.byFile.get(file.hash);
      if (!delta || delta.fileBytes !== file.sizeBytes) continue;
      const isMade = made.has(file.hash) || (await this.#make(file, delta, receiver));
      if (!isMade) continue;
      made.add(file.hash);
      offered.used.set(contentId, [...(offered.used.get(contentId) ?? []), delta]);
    }
    return [...made];
  }

  /**
   * The action's version is committed, with all that was staged: the deltas that were used belong to
   * its contents, so that this side can give them to others. A failure costs only that.
   */
  async keepUsed({ packageId }: PackageAction): Promise<void> {
    const used = this.#offered.get(packageId)?.used ?? new Map<string, Delta[]>();
    for (const [contentId, deltas] of used) {
      try {
        await this.#needs.library.addDeltas(contentId, deltas);
      } catch (err) {
        this.#needs.logger.warn({ packageId, contentId, err }, 'Deltas could not be kept');
      }
    }
  }

  /** The action has ended. */
  forget({ packageId }: Pick<PackageAction, 'packageId'>): void {
    this.#offered.delete(packageId);
  }

  #offeredFor({ packageId, jobSerial }: PackageAction): Offered {
    const known = this.#offered.get(packageId);
    if (known?.jobSerial === jobSerial) return known;
    const offered = { jobSerial, byFile: new Map(), used: new Map() };
    this.#offered.set(packageId, offered);
    return offered;
  }

  /** The files there are deltas for, for each content that has them; all are ready to arrive. */
  async #targets(begun: BegunAction, byFile: ReadonlyMap<string, unknown>): Promise<DeltaTarget[]> {
    const targets: DeltaTarget[] = [];
    for (const content of byFile.size > 0 ? begun.version.contents : []) {
      try {
        for await (const file of this.#namedFiles(begun, content, new Set(byFile.keys()))) {
          targets.push({ contentId: content.contentId, file });
        }
      } catch (error) {
        // Whoever asks what is wanted hears of it, and brings the manifest again.
        if (!isErrorWithCode(error, ...damagedManifestCodes)) throw error;
      }
    }
    return targets;
  }

  async *#namedFiles(
    begun: BegunAction,
    content: ContentDescriptor,
    hashes: ReadonlySet<string>,
  ): AsyncGenerator<WantedFile> {
    const { manifests, inspection } = this.#needs;
    const found = await manifests.find(begun, content);
    if (!found) return;
    const sources = { manifest: found.manifestPath, signature: found.signaturePath };
    yield* inspection.namedFiles(begun.packageId, content, sources, hashes);
  }

  async #useful(action: BegunAction, deltas: readonly Delta[]): Promise<Delta[]> {
    const byFile = new Map(deltas.map((delta) => [delta.fileHash, delta]));
    const targets = await this.#targets(action, byFile);
    const sizes = new Map(targets.map(({ file }) => [file.hash, file.sizeBytes]));
    const fitting = deltas.filter(
      ({ fileHash, fileBytes, deltaBytes }) =>
        sizes.get(fileHash) === fileBytes && deltaBytes < fileBytes,
    );
    const bases = fitting.map(({ baseHash: hash, baseBytes: sizeBytes }) => ({ hash, sizeBytes }));
    const areMakeable = await this.#needs.library.areHeld(bases);
    return fitting.filter((_, index) => areMakeable[index] === true);
  }

  /** @returns undefined when its name is that of another file, which is arriving */
  async #prepare({ packageId }: PackageAction, delta: Delta): Promise<PieceSet | undefined> {
    const { deltaHash: hash, deltaBytes: sizeBytes } = delta;
    const pieces = new PieceSet(pieceCountOf(sizeBytes));
    const [isHeld] = await this.#needs.library.areHeld([{ hash, sizeBytes }]);
    const pieceHashes = Buffer.from(delta.deltaPieceHashes, 'hex');
    const held = await this.#needs.files.prepareAdvised(packageId, {
      hash,
      sizeBytes,
      pieceHashes,
    });
    if (held === undefined) return undefined;
    if (!isHeld && held !== 'staged') return hasPieces(sizeBytes) ? held : pieces;
    for (let index = 0; index < pieces.pieceCount; index++) pieces.add(index);
    return pieces;
  }

  async #make(file: WantedFile, delta: Delta, receiver: MadeBytesReceiver): Promise<boolean> {
    const { layout, threads } = this.#needs.library;
    const { fileLibrary } = layout;
    // Staged files go into the library meanwhile, never the other way.
    const staged = this.#needs.files.staged.get(delta.deltaHash)?.path;
    const held = filePathOf(fileLibrary, delta.deltaHash);
    const deltaPaths = staged === undefined ? [held] : [staged, held];
    const task = { delta, basePath: filePathOf(fileLibrary, delta.baseHash), deltaPaths };
    const onPiece = (piece: MadePiece) => takeIfRight(() => take(file, piece, receiver));
    try {
      await applyDelta(threads, task, { onPiece, signal: receiver.signal });
    } catch (err) {
      if (!isErrorWithCode(err, 'DELTA_INVALID')) throw err;
      this.#needs.logger.warn({ fileHash: file.hash, err }, 'Delta could not be applied');
    }
    const isMade = this.#needs.files.staged.has(file.hash) || (await this.#isHeld(file));
    if (!isMade) this.#needs.logger.info({ fileHash: file.hash }, 'File was not made by its delta');
    return isMade;
  }

  async #isHeld({ hash, sizeBytes }: WantedFile): Promise<boolean> {
    return (await this.#needs.library.areHeld([{ hash, sizeBytes }]))[0] === true;
  }
}

function take(
  { hash, sizeBytes }: WantedFile,
  { pieceIndex, bytes }: MadePiece,
  receiver: MadeBytesReceiver,
): Promise<void> {
  if (hasPieces(sizeBytes)) return receiver.receivePiece({ hash, pieceIndex, bytes });
  return receiver.receiveSmall({ hash, bytes });
}

/** A piece that is not what its hash promises is not kept, and comes by itself. */
async function takeIfRight(receive: () => Promise<void>): Promise<void> {
  try {
    await receive();
  } catch (error) {
    if (!isErrorWithCode(error, 'FILE_HASH_MISMATCH', 'FILE_NOT_WANTED')) throw error;
  }
}
