import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { hasPieces, parseHash, pieceCountOf } from '../domain/content.ts';
import { WaybillError } from '../domain/errors.ts';
import { PieceSet } from '../domain/piece-set.ts';
import type { Clock } from '../runtime/clock.ts';
import { SerialQueue } from '../runtime/serial-queue.ts';
import { type ArrivingBytes, IncomingBytes } from './arriving-bytes.ts';
import { ArrivingFile, type WantedFile } from './arriving-file.ts';
import { ownMemoryOf } from './message-memory.ts';
import { packFiles, type SmallFile } from './packed-files.ts';
import type { ReceiveRequest, ReceiveResult } from './receive-request.ts';
import { ReceiveWorkerClient } from './receive-worker-client.ts';
import { StagedFiles } from './staged-files.ts';

/** Files of several pieces that the worker has open at once. */
const openFilesMax = 64;

/** What incoming files need. */
export interface IncomingFilesOptions {
  /** Made when it is not there; nobody else writes into it. */
  readonly directory: string;
  readonly clock: Pick<Clock, 'nowMs'>;
  /** What the worker thread runs. @default the receive worker */
  readonly program?: URL;
}

/** One piece as it came. */
export interface IncomingPiece {
  readonly hash: string;
  readonly pieceIndex: number;
  readonly bytes: Uint8Array;
}

/**
 * The files that are arriving here, whichever package wants them: each is kept once. Called
 * by the package receiver; writes `incoming/<hash>` through the receive worker. A crash leaves the
 * files; nothing in them is believed until it is verified again.
 */
export class IncomingFiles {
  /** Whole files, waiting for the library. */
  readonly staged = new StagedFiles();
  /** What of all that is here can be given away. */
  readonly bytes: ArrivingBytes = new IncomingBytes({
    pathOf: (hash) => this.#pathOf(hash),
    staged: (hash) => this.staged.get(hash),
    arriving: (hash) => this.#arriving.get(hash),
  });
  readonly #directory: string;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #worker: ReceiveWorkerClient;
  /** Names found at start, of unknown worth. */
  readonly #unverified = new Set<string>();
  readonly #arriving = new Map<string, ArrivingFile>();
  /** Those the worker has open, least recently used first. */
  readonly #opened = new Map<string, ArrivingFile>();
  /** What is wanted, and what is not wanted any more, is changed by one at a time. */
  readonly #changes = new SerialQueue();

  constructor({ directory, clock, program }: IncomingFilesOptions) {
    this.#directory = directory;
    this.#clock = clock;
    const onLost = () => this.#opened.clear();
    this.#worker = new ReceiveWorkerClient({ directory, onLost, ...(program && { program }) });
  }

  async start(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    for (const name of await readdir(this.#directory)) {
      if (parseHash(name)) this.#unverified.add(name);
    }
  }

  async stop(): Promise<void> {
    await this.#worker.stop();
  }

  /**
   * Makes ready to receive these files and says what is already here.
   *
   * @returns for each file the pieces held, none for a small one, or 'staged' when it is whole
   */
  async prepare(packageId: string, files: readonly WantedFile[]): Promise<(PieceSet | 'staged')[]> {
    return this.#changes.run(async () => {
      await this.#verifySmall(files.filter((file) => this.#isUnverifiedSmall(file)));
      const answers: (PieceSet | 'staged')[] = [];
      for (const file of files) {
        const known = this.#answerOf(file);
        answers.push(known ?? (await this.#prepareArriving(packageId, file)));
      }
      return answers;
    });
  }

  /**
   * The same for a file of which an untrusted peer told, piece hashes included: what is arriving as a
   * manifest says is never given up for it.
   *
   * @returns undefined when the file is arriving by this name, and is another one
   */
  async prepareAdvised(
    packageId: string,
    file: WantedFile,
  ): Promise<PieceSet | 'staged' | undefined> {
    return this.#changes.run(async () => {
      const known = this.#arriving.get(file.hash);
      if (known && !known.isSame(file)) return undefined;
      await this.#verifySmall([file].filter((one) => this.#isUnverifiedSmall(one)));
      return this.#answerOf(file) ?? (await this.#prepareArriving(packageId, file));
    });
  }

  /**
   * Verifies and writes a piece. Its memory may be handed over: the caller must not use it again.
   *
   * @throws FILE_NOT_WANTED, MESSAGE_INVALID, FILE_HASH_MISMATCH, DISK_FULL
   */
  async receivePiece(piece: IncomingPiece): Promise<void> {
    const { hash, pieceIndex, bytes } = piece;
    if (this.staged.has(hash)) return;
    const file = this.#arriving.get(hash);
    if (!file) throw notWanted(hash);
    file.checkPiece(pieceIndex, bytes.length);
    if (!this.#opened.has(hash)) {
      await this.#open(file);
      // While it was opened it may have turned out to be whole, or nobody's.
      if (this.#arriving.get(hash) !== file) return this.receivePiece(piece);
    }
    if (file.pieces.has(pieceIndex)) return;
    this.#touch(file);
    const memory = ownMemoryOf([bytes]);
    const owned = memory ? bytes : new Uint8Array(bytes);
    const isReadSoon = file.isRead;
    const request = { kind: 'write-piece', hash, pieceIndex, bytes: owned, isReadSoon } as const;
    this.#onWritten(file, pieceIndex, await this.#asked(request, [owned.buffer as ArrayBuffer]));
  }

  /**
   * Verifies and writes the small files of one message. Its memory may be handed over.
   *
   * @throws FILE_HASH_MISMATCH, DISK_FULL
   */
  async receiveSmall(files: readonly SmallFile[]): Promise<void> {
    const fresh = files.filter(({ hash }) => !this.staged.has(hash));
    if (fresh.length === 0) return;
    // Lengths first: memory that was handed over is empty here.
    const sizes = fresh.map(({ hash, bytes }) => ({ hash, sizeBytes: bytes.length }));
    const packed = packFiles(
      fresh,
      files.map(({ bytes }) => bytes),
    );
    await this.#asked({ kind: 'write-small', files: packed }, [packed.memory]);
    for (const { hash, sizeBytes } of sizes) this.#stage(hash, sizeBytes);
  }

  /** Drops the unfinished files that only this package wants. */
  async discardArriving(packageId: string): Promise<void> {
    await this.#changes.run(async () => {
      for (const file of [...this.#arriving.values()]) {
        if (!file.packageIds.includes(packageId)) continue;
        if (file.isGivenUpBy(packageId)) await this.#drop(file);
      }
    });
  }

  /** Deletes unfinished files that nobody has asked for, and nobody has written, since. */
  async sweep(untouchedSinceMs: number): Promise<void> {
    await this.#changes.run(async () => {
      for (const file of [...this.#arriving.values()]) {
        const isForgotten = file.askedAtMs < untouchedSinceMs;
        if (isForgotten && (await this.#isOld(file.hash, untouchedSinceMs))) await this.#drop(file);
      }
      for (const name of await readdir(this.#directory)) {
        if (parseHash(name) === undefined || this.#isKnown(name)) continue;
        if (!(await this.#isOld(name, untouchedSinceMs)) || this.#isKnown(name)) continue;
        this.#unverified.delete(name);
        await rm(this.#pathOf(name), { force: true });
      }
    });
  }

  #isKnown(hash: string): boolean {
    return this.staged.has(hash) || this.#arriving.has(hash);
  }

  async #isOld(hash: string, untouchedSinceMs: number): Promise<boolean> {
    const found = await stat(this.#pathOf(hash)).catch(() => undefined);
    return !found || found.mtimeMs < untouchedSinceMs;
  }

  #isUnverifiedSmall(file: WantedFile): boolean {
    return !hasPieces(file.sizeBytes) && this.#unverified.has(file.hash);
  }

  async #verifySmall(files: readonly WantedFile[]): Promise<void> {
    if (files.length === 0) return;
    const asked = files.map(({ hash, sizeBytes }) => ({ hash, sizeBytes }));
    const result = await this.#asked({ kind: 'verify-small', files: asked });
    if (result.outcome !== 'verified') throw unexpected(result);
    for (const [index, file] of files.entries()) {
      this.#unverified.delete(file.hash);
      if (result.whole[index]) this.#stage(file.hash, file.sizeBytes);
    }
  }

  /** What needs no preparation. */
  #answerOf({ hash, sizeBytes }: WantedFile): PieceSet | 'staged' | undefined {
    if (this.staged.has(hash)) return 'staged';
    return hasPieces(sizeBytes) ? undefined : new PieceSet(0);
  }

  async #prepareArriving(packageId: string, file: WantedFile): Promise<PieceSet | 'staged'> {
    const { hash } = file;
    const arriving = await this.#arrivingFor(file);
    arriving.isAskedFor(packageId, this.#clock.nowMs());
    // What was never begun is opened with its first piece: a content may have any number of files.
    if (this.#unverified.has(hash)) await this.#open(arriving);
    return this.staged.has(hash) ? 'staged' : arriving.pieces;
  }

  /** Of two manifests that differ in the pieces of one file, the newer one counts. */
  async #arrivingFor(file: WantedFile): Promise<ArrivingFile> {
    const known = this.#arriving.get(file.hash);
    if (known?.isSame(file)) return known;
    if (known) await this.#drop(known);
    const arriving = new ArrivingFile(file);
    this.#arriving.set(file.hash, arriving);
    return arriving;
  }

  #open(file: ArrivingFile): Promise<void> {
    file.opening ??= this.#openOnce(file).finally(() => {
      file.opening = undefined;
    });
    return file.opening;
  }

  async #openOnce(file: ArrivingFile): Promise<void> {
    const { hash, sizeBytes, pieceHashes } = file;
    await this.#closeOldest();
    const result = await this.#asked({ kind: 'open-partial', hash, sizeBytes, pieceHashes });
    if (result.outcome !== 'opened') throw unexpected(result);
    this.#unverified.delete(hash);
    if (result.complete) {
      this.#stage(hash, sizeBytes);
      return;
    }
    file.pieces = new PieceSet(pieceCountOf(sizeBytes), result.pieces);
    this.#opened.set(hash, file);
  }

  async #closeOldest(): Promise<void> {
    for (const hash of this.#opened.keys()) {
      if (this.#opened.size < openFilesMax) return;
      this.#opened.delete(hash);
      await this.#asked({ kind: 'close-partial', hash });
    }
  }

  #touch(file: ArrivingFile): void {
    this.#opened.delete(file.hash);
    this.#opened.set(file.hash, file);
  }

  #onWritten(file: ArrivingFile, pieceIndex: number, result: ReceiveResult): void {
    if (result.outcome === 'written') {
      file.pieces.add(pieceIndex);
      if (result.complete) this.#stage(file.hash, file.sizeBytes);
      return;
    }
    // It came once more while the file was finished.
    if (this.staged.has(file.hash)) return;
    // The worker lost it: what is left is known when it is opened again.
    this.#opened.delete(file.hash);
    file.pieces = new PieceSet(file.pieces.pieceCount);
    if (result.outcome !== 'not-open') throw unexpected(result);
    throw notWanted(file.hash);
  }

  async #drop(file: ArrivingFile): Promise<void> {
    const { hash } = file;
    this.#arriving.delete(hash);
    await file.opening?.catch(() => {});
    if (this.#opened.delete(hash)) await this.#asked({ kind: 'close-partial', hash });
    // Its last piece may just have come.
    if (this.staged.has(hash)) return;
    this.#unverified.delete(hash);
    await rm(this.#pathOf(hash), { force: true });
  }

  #stage(hash: string, sizeBytes: number): void {
    this.#arriving.delete(hash);
    this.#opened.delete(hash);
    this.staged.add({ path: this.#pathOf(hash), hash, sizeBytes });
  }

  #pathOf(hash: string): string {
    // Not by join, which would look through all of it again, for each of thousands of files.
    return `${this.#directory}/${hash}`;
  }

  async #asked(
    request: ReceiveRequest,
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<ReceiveResult> {
    const result = await this.#worker.ask(request, transfer);
    if (result.outcome !== 'hash-mismatch') return result;
    const { expectedHash, actualHash, discarded } = result;
    if (discarded) this.#forgetPieces(expectedHash);
    throw new WaybillError({ code: 'FILE_HASH_MISMATCH', expectedHash, actualHash });
  }

  /** All its pieces were right and the whole was not: it begins anew. */
  #forgetPieces(hash: string): void {
    this.#opened.delete(hash);
    const file = this.#arriving.get(hash);
    if (file) file.pieces = new PieceSet(file.pieces.pieceCount);
  }
}

function notWanted(fileHash: string): WaybillError {
  return new WaybillError({ code: 'FILE_NOT_WANTED', fileHash });
}

function unexpected({ outcome }: ReceiveResult): Error {
  return new Error(`The receive worker answered ${outcome}`);
}
