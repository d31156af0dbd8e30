import { mkdir, readdir, rm } from 'node:fs/promises';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type { PackageFileFacts } from '../../shared/domain/send-request.ts';
import { FreeRoom } from '../../shared/package-receiver/free-room.ts';
import { ownMemoryOf } from '../../shared/package-receiver/message-memory.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import { KeyedTurns } from '../../shared/runtime/keyed-turns.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { Arrival, type ArrivingStream, type Bringer } from './arrival.ts';
import { alreadyArriving, busy, invalid, offsetMismatch, requireSize } from './arrival-failures.ts';
import { ArrivalRoom } from './arrival-room.ts';
import { lengthOfPackageFile, type PackageFiles } from './despool-ports.ts';
import { KnownParts, lookAtPart } from './known-parts.ts';
import { fileHashOfPart, partKeyOf, partKeyOfName, partPathOf, siteOfPart } from './part-path.ts';
import type { PartRequest, PartResult } from './part-request.ts';
import { PartThread } from './part-thread.ts';
import { PromptAnswers } from './prompt-answers.ts';
import type { ReceivedFileConfig } from './received-file-config.ts';

/** What the store of received files needs. */
export interface ReceivedFileComponents {
  readonly packageFiles: PackageFiles;
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  readonly logger: Logger;
  /** Room in the file system of the folder. @default what the file system says, less the reserve */
  readonly room?: Pick<FreeRoom, 'measure' | 'require'>;
}

/**
 * Package files on their way in from other sites (REP-5): each one is a part that only grows, until
 * it is whole, synced, and its hash right; then it moves into the package file store. Each site has
 * parts of its own, and one stream at a time writes a part. A worker thread writes and hashes. A crash leaves parts, which are hashed
 * again before anything is added to them.
 */
export class ReceivedFileStore implements Component {
  readonly #components: ReceivedFileComponents;
  readonly #config: ReceivedFileConfig;
  readonly #room: ArrivalRoom;
  readonly #answers: PromptAnswers;
  readonly #thread: PartThread;
  readonly #turns = new KeyedTurns();
  /** The parts on disk. */
  readonly #parts = new KnownParts();
  /** Those that are open in the worker, or were until it was lost; the oldest first. */
  readonly #arrivals = new Map<string, Arrival>();
  readonly #stopping = new AbortController();
  #sweeping: Promise<void> = Promise.resolve();

  constructor(components: ReceivedFileComponents, config: ReceivedFileConfig) {
    this.#components = components;
    this.#config = config;
    const { directory, reserveBytes, answerMs } = config;
    const room = components.room ?? new FreeRoom(directory, reserveBytes);
    this.#room = new ArrivalRoom({ room, directory, arrivals: () => this.#arrivals.values() });
    this.#answers = new PromptAnswers(components.clock, answerMs);
    this.#thread = new PartThread(directory, () => this.#allClosed());
  }

  async start(): Promise<void> {
    const { directory } = this.#config;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const name of await readdir(directory)) {
      const key = partKeyOfName(name);
      if (key !== undefined) this.#parts.note(key, await lookAtPart(partPathOf(directory, key)));
    }
    this.#sweeping = this.#sweepForEver();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const arrival of this.#arrivals.values()) arrival.end();
    await this.#sweeping;
    await this.#thread.stop();
  }

  /**
   * How much of a file is here, in bytes from its start: its whole length once it is whole and
   * verified. A stream of the same request that still brings it is over: whoever asks begins anew.
   *
   * @throws RECEIVER_BUSY while what is here is hashed; FILE_TOO_LARGE, FILE_ALREADY_ARRIVING by another request, DISK_FULL for what is missing
   */
  async offer(file: PackageFileFacts, bringer: Bringer): Promise<number> {
    requireSize(file, this.#config.fileBytesMax);
    const key = partKeyOf(bringer.siteCode, file.fileHash);
    const hold = async () => {
      if (await this.#isWhole(file)) return file.fileBytes;
      this.#takeOver(key, file, bringer);
      const heldBytes = await this.#heldBytes(key, file, bringer);
      await this.#room.requireFor(key, file.fileBytes - heldBytes);
      return heldBytes;
    };
    return this.#answers.get(key, () => this.#withRoom(key, hold));
  }

  /**
   * Begins to take bytes of a file, from the byte that `offer` named on.
   *
   * @throws as `offer`; FILE_OFFSET_MISMATCH; RECEIVER_BUSY
   */
  async receive(
    file: PackageFileFacts,
    stream: { readonly bringer: Bringer; readonly offsetBytes: number },
  ): Promise<ArrivingStream> {
    requireSize(file, this.#config.fileBytesMax);
    const { bringer } = stream;
    const key = partKeyOf(bringer.siteCode, file.fileHash);
    return this.#withRoom(key, async () => {
      if (await this.#isWhole(file)) throw offsetMismatch(file, file.fileBytes, stream.offsetBytes);
      this.#takeOver(key, file, bringer);
      const heldBytes = await this.#heldBytes(key, file, bringer);
      if (stream.offsetBytes !== heldBytes || heldBytes === file.fileBytes) {
        throw offsetMismatch(file, heldBytes, stream.offsetBytes);
      }
      await this.#room.requireFor(key, file.fileBytes - heldBytes);
      this.#requireShare(bringer.siteCode);
      const arrival = await this.#opened(key, file, bringer);
      const owner = arrival.begin(bringer);
      // It may have had to make way just now, while it rested.
      this.#arrivals.set(key, arrival);
      return {
        signal: owner.signal,
        write: (bytes) => this.#turns.run(key, () => this.#write(arrival, owner, bytes)),
        finish: () => this.#turns.run(key, () => this.#finishOwned(arrival, owner)),
        [Symbol.dispose]: () => arrival.endIf(owner),
      };
    });
  }

  /** Runs in a turn of the part; on a full disk once more, what can go having gone. */
  async #withRoom<T>(key: string, work: () => Promise<T>): Promise<T> {
    try {
      return await this.#turns.run(key, work);
    } catch (error) {
      if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
      await this.#components.packageFiles.makeRoom();
      await this.#dropResting(key, error);
      return this.#turns.run(key, work);
    }
  }

  async #dropResting(key: string, { details }: WaybillError): Promise<void> {
    if (details.code !== 'DISK_FULL') return;
    const missingBytes = details.neededBytes - details.freeBytes;
    const sinceMs = this.#components.clock.nowMs() - this.#config.partRestMs;
    const isResting = (other: string) => other !== key && this.#isResting(other);
    const asked = { siteCode: siteOfPart(key), sinceMs, isResting };
    const parts = this.#parts.thatFree(missingBytes, asked);
    for (const part of parts) await this.#turns.run(part, () => this.#removeResting(part));
  }

  /** @throws MESSAGE_INVALID when it is here with another length: then that one was verified */
  async #isWhole({ fileHash, fileBytes }: PackageFileFacts): Promise<boolean> {
    const lengthBytes = await lengthOfPackageFile(this.#components.packageFiles, fileHash);
    if (lengthBytes === undefined) return false;
    if (lengthBytes === fileBytes) return true;
    throw invalid('file_bytes', `${lengthBytes}, as the file of this hash has`, `${fileBytes}`);
  }

  /**
   * Ends the stream that brings a part, if it is an earlier try of the same request. Other requests
   * wait for it: else two would take it from each other for ever.
   *
   * @throws FILE_ALREADY_ARRIVING; MESSAGE_INVALID when it arrives with another length
   */
  #takeOver(key: string, { fileHash, fileBytes }: PackageFileFacts, bringer: Bringer): void {
    const arrival = this.#arrivals.get(key);
    const current = arrival?.bringer;
    if (!arrival || !current) return;
    const { siteCode, requestId } = bringer;
    if (current.requestId !== requestId) throw alreadyArriving(fileHash, siteCode);
    if (arrival.fileBytes !== fileBytes) {
      throw invalid('file_bytes', `${arrival.fileBytes}, as it arrives`, `${fileBytes}`);
    }
    arrival.end(alreadyArriving(fileHash, siteCode));
  }

  /** In a turn of the part. One that has all its bytes becomes whole now, or goes. */
  async #heldBytes(key: string, file: PackageFileFacts, bringer: Bringer): Promise<number> {
    if (!this.#parts.has(key)) return 0;
    const arrival = await this.#opened(key, file, bringer);
    if (arrival.heldBytes < file.fileBytes) return arrival.heldBytes;
    const actualHash = await this.#finish(arrival);
    return actualHash === undefined ? file.fileBytes : 0;
  }

  /** The part, open; it is made when there is none. */
  async #opened(key: string, file: PackageFileFacts, { siteCode }: Bringer): Promise<Arrival> {
    const known = this.#arrivals.get(key);
    const isSame = known?.fileBytes === file.fileBytes;
    if (known && isSame && known.isOpen) return known;
    if (!known) this.#requirePlace(key);
    const arrival = known && isSame ? known : new Arrival(file, siteCode);
    await this.#openAgain(arrival);
    this.#arrivals.set(key, arrival);
    return arrival;
  }

  async #openAgain(arrival: Arrival): Promise<void> {
    const { key, fileHash, fileBytes } = arrival;
    const result = await this.#thread.ask({ kind: 'open', key, fileHash, fileBytes });
    if (result.outcome !== 'held') throw new Error('A part was not opened');
    arrival.heldBytes = result.heldBytes;
    arrival.isOpen = true;
    this.#noteUse(arrival);
  }

  #noteUse({ key, heldBytes }: Arrival): void {
    const usedAtMs = this.#components.clock.nowMs();
    this.#parts.note(key, { heldBytes, usedAtMs });
  }

  #allClosed(): void {
    for (const arrival of this.#arrivals.values()) arrival.isOpen = false;
  }

  /** No site takes the places of all others. @throws RECEIVER_BUSY */
  #requireShare(siteCode: string): void {
    const limit = Math.ceil(this.#config.arrivalsMax / 2);
    const own = [...this.#arrivals.values()].filter((one) => one.bringer?.siteCode === siteCode);
    if (own.length >= limit) throw busy(`files arriving from site ${siteCode}`, limit);
  }

  /** Makes a place among the open parts, and one among all. @throws RECEIVER_BUSY */
  #requirePlace(key: string): void {
    const { partsMax, arrivalsMax } = this.#config;
    if (this.#parts.size >= partsMax && !this.#parts.has(key)) this.#dropOne();
    if (this.#arrivals.size < arrivalsMax) return;
    const resting = [...this.#arrivals.values()].find(({ bringer }) => bringer === undefined);
    if (!resting) throw busy('files arriving', arrivalsMax);
    const { key: closed } = resting;
    this.#arrivals.delete(closed);
    // Nobody waits for it: it is hashed again when somebody goes on with it, in its turn.
    const close = async () => {
      if (!this.#arrivals.has(closed)) await this.#thread.ask({ kind: 'close', key: closed });
    };
    void this.#turns.run(closed, close).catch(() => {});
  }

  #dropOne(): void {
    const { partsMax: limit } = this.#config;
    const key = this.#parts.first((part) => this.#isResting(part));
    if (key === undefined) throw busy('unfinished files', limit);
    this.#arrivals.delete(key);
    this.#parts.delete(key);
    // Nobody waits for it; what somebody begins anew meanwhile stays, with what was in it.
    const remove = async () => {
      if (!this.#parts.has(key)) await this.#remove(key);
    };
    void this.#turns.run(key, remove).catch(() => {});
  }

  #isResting(key: string): boolean {
    return this.#arrivals.get(key)?.bringer === undefined;
  }

  /** In a turn of the part. @returns bytes that are written by now */
  async #write(arrival: Arrival, owner: AbortController, bytes: Uint8Array): Promise<number> {
    arrival.require(owner);
    const { key, missingBytes, heldBytes: offsetBytes } = arrival;
    if (bytes.length > missingBytes) {
      throw invalid('data', `${missingBytes} bytes at most`, `${bytes.length} bytes`);
    }
    if (!arrival.isOpen) await this.#openAgain(arrival);
    await this.#room.require(bytes.length);
    // What other messages may share must not go to the other thread.
    const memory = ownMemoryOf([bytes]);
    const own = memory ? bytes : new Uint8Array(bytes);
    const request = { kind: 'write', key, offsetBytes, bytes: own } as const;
    const lengthBytes = bytes.length;
    const result = await this.#askOrClose(arrival, request, memory ?? (own.buffer as ArrayBuffer));
    if (result.outcome !== 'held') throw new Error('A part was closed while it was written');
    arrival.heldBytes = result.heldBytes;
    this.#noteUse(arrival);
    if (result.heldBytes === offsetBytes + lengthBytes) return result.heldBytes;
    throw offsetMismatch(arrival, result.heldBytes, offsetBytes);
  }

  async #finishOwned(arrival: Arrival, owner: AbortController): Promise<void> {
    arrival.require(owner);
    const { fileHash: expectedHash } = arrival;
    const actualHash = await this.#finish(arrival);
    if (actualHash === undefined) return;
    throw new WaybillError({ code: 'FILE_HASH_MISMATCH', expectedHash, actualHash });
  }

  /**
   * A part with all its bytes becomes a package file. After a crash in between it is done again.
   *
   * @returns the hash it has, when that is not the promised one: then nothing is left of it
   */
  async #finish(arrival: Arrival): Promise<string | undefined> {
    const { key, fileHash, fileBytes } = arrival;
    const { packageFiles, logger } = this.#components;
    if (!arrival.isOpen) await this.#openAgain(arrival);
    const result = await this.#askOrClose(arrival, { kind: 'finish', key });
    this.#arrivals.delete(key);
    if (result.outcome === 'hash-mismatch') {
      const { actualHash } = result;
      this.#parts.delete(key);
      logger.warn({ fileHash, actualHash }, 'A package file that came had another hash');
      return actualHash;
    }
    if (result.outcome !== 'whole') throw new Error('A part was closed before its end');
    await packageFiles.adopt(partPathOf(this.#config.directory, key), { fileHash, fileBytes });
    this.#parts.delete(key);
    logger.info({ fileHash, sizeBytes: fileBytes }, 'Received a package file');
    return undefined;
  }

  /** Asks the thread; after a failure the part is opened anew, and hashed, before it is believed. */
  async #askOrClose(
    arrival: Arrival,
    request: PartRequest,
    memory?: ArrayBuffer,
  ): Promise<PartResult> {
    try {
      return await this.#thread.ask(request, memory);
    } catch (error) {
      arrival.isOpen = false;
      throw error;
    }
  }

  async #sweepForEver(): Promise<void> {
    const { clock } = this.#components;
    const { signal } = this.#stopping;
    try {
      for (;;) {
        for (const key of this.#parts.keys()) {
          await this.#turns.run(key, () => this.#sweep(key));
        }
        await clock.sleep(this.#config.sweepIntervalMs, signal);
      }
    } catch (error) {
      if (!isAbortError(error)) throw error;
    }
  }

  /** Removes a part that nobody has gone on with for long, or that came whole on another way. */
  async #sweep(key: string): Promise<void> {
    if (!this.#isResting(key)) return;
    const { packageFiles, clock } = this.#components;
    const { usedAtMs } = await lookAtPart(partPathOf(this.#config.directory, key));
    const idleMs = clock.nowMs() - usedAtMs;
    if (idleMs < this.#config.partKeptMs && !(await packageFiles.has(fileHashOfPart(key)))) return;
    await this.#removeResting(key);
  }

  /** In a turn of the part. */
  async #removeResting(key: string): Promise<void> {
    if (!this.#isResting(key)) return;
    this.#arrivals.delete(key);
    await this.#remove(key);
    this.#parts.delete(key);
  }

  async #remove(key: string): Promise<void> {
    await this.#thread.ask({ kind: 'close', key });
    await rm(partPathOf(this.#config.directory, key), { force: true });
    this.#components.logger.info({ part: key }, 'Removed an unfinished package file');
  }
}
