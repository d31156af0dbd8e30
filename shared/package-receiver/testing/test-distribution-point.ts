import { readFile } from 'node:fs/promises';
import { filePathOf } from '../../content-library/library-layout.ts';
import {
  type ContentDescriptor,
  type FileEntry,
  hasPieces,
  pieceBytes,
} from '../../domain/content.ts';
import type { PackageVersion } from '../../domain/package.ts';
import { PieceSet } from '../../domain/piece-set.ts';
import { FakeClock } from '../../testing/fake-clock.ts';
import { collect, TestLibrary } from '../../testing/test-library.ts';
import { PackageReceiver, type PackageReceiverConfig } from '../package-receiver.ts';

/** What a test does to bytes on their way. */
export type Tamper = (bytes: Buffer, file: FileEntry) => Buffer;

/** A DP provider over a real library in a directory, as a test left it or new. */
export class TestDistributionPoint implements AsyncDisposable {
  readonly provider: PackageReceiver;
  readonly #test: TestLibrary;

  private constructor(test: TestLibrary, provider: PackageReceiver) {
    this.#test = test;
    this.provider = provider;
  }

  static async open(options: {
    directory: string;
    clock?: FakeClock;
    config?: Partial<PackageReceiverConfig>;
  }): Promise<TestDistributionPoint> {
    const clock = options.clock ?? new FakeClock(Date.now());
    const test = await TestLibrary.open({ directory: options.directory, clock });
    const provider = new PackageReceiver(
      { library: test.library, store: test.store, clock, logger: test.log.logger },
      {
        incomingDirectory: `${options.directory}/library/incoming`,
        reserveBytes: 0,
        stagedFilesMax: 4_096,
        stagedBytesMax: 256 * 1024 * 1024,
        unfinishedGraceMs: 7 * 24 * 3_600_000,
        sweepIntervalMs: 3_600_000,
        ...options.config,
      },
    );
    await provider.start();
    return new TestDistributionPoint(test, provider);
  }

  get library() {
    return this.#test.library;
  }

  get log() {
    return this.#test.log;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.provider.stop();
    await this.#test[Symbol.asyncDispose]();
  }
}

/** Plays the site: brings versions of a library of its own to a provider, step by step. */
export class TestSender {
  readonly #source: TestLibrary;
  readonly provider: PackageReceiver;
  /** Hashes of small files and `hash:index` of pieces, in the order they were sent. */
  readonly sent: string[] = [];

  constructor(source: TestLibrary, provider: PackageReceiver) {
    this.#source = source;
    this.provider = provider;
  }

  /** Begins and brings the manifests the DP asks for. @returns their content IDs */
  async begin(version: PackageVersion, jobSerial: number, redistribute = false): Promise<string[]> {
    const { packageId } = version;
    const action = { packageId, jobSerial, version, redistribute };
    const { contentIdsWithoutManifest: absent } = await this.provider.begin(action);
    for (const contentId of absent) {
      const parts = await this.manifestOf(contentId);
      await this.provider.putManifest({ packageId, jobSerial }, contentId, chunksOf(parts));
    }
    return [...absent];
  }

  /** Manifest and signature of a content, as they travel. */
  async manifestOf(contentId: string): Promise<Buffer[]> {
    await using content = await this.#source.library.openContent(contentId);
    return [await readFile(content.manifestPath), await readFile(content.signaturePath)];
  }

  /** The files the DP wants, with the pieces it holds. */
  async wanted(
    version: PackageVersion,
    jobSerial: number,
  ): Promise<{ file: FileEntry; held: PieceSet; missingBytes: number }[]> {
    const { packageId } = version;
    const wanted = [];
    for (const content of version.contents) {
      const entries = await this.#entriesOf(content);
      const { contentId } = content;
      const parts = await collect(this.provider.inspect({ packageId, jobSerial }, contentId));
      for (const { entryIndex, piecesHeld, missingBytes } of parts.flat()) {
        const file = entries[entryIndex] as FileEntry;
        const count = hasPieces(file.sizeBytes) ? Math.ceil(file.sizeBytes / pieceBytes) : 0;
        wanted.push({ file, held: new PieceSet(count, piecesHeld), missingBytes });
      }
    }
    return wanted;
  }

  /** Sends all that is wanted. */
  async bring(version: PackageVersion, jobSerial: number, tamper: Tamper = untouched) {
    const action = { packageId: version.packageId, jobSerial };
    for (const { file, held } of await this.wanted(version, jobSerial)) {
      const bytes = await this.bytesOf(file.hash);
      if (!hasPieces(file.sizeBytes)) {
        await this.#sendSmall(action, file, tamper(bytes, file));
        continue;
      }
      for (let index = 0; index < held.pieceCount; index++) {
        if (held.has(index)) continue;
        const piece = bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes);
        await this.sendPiece(action, file.hash, index, tamper(Buffer.from(piece), file));
      }
    }
  }

  /** The whole of an action. @returns the hash the DP serves */
  async distribute(version: PackageVersion, jobSerial: number, redistribute = false) {
    await this.begin(version, jobSerial, redistribute);
    await this.bring(version, jobSerial);
    return this.provider.commit({ packageId: version.packageId, jobSerial });
  }

  async sendPiece(
    action: { packageId: string; jobSerial: number },
    hash: string,
    pieceIndex: number,
    bytes: Buffer,
  ): Promise<void> {
    await this.provider.receivePiece(action, { hash, pieceIndex, bytes });
    this.sent.push(`${hash}:${pieceIndex}`);
  }

  bytesOf(hash: string): Promise<Buffer> {
    return readFile(filePathOf(this.#source.library.layout.fileLibrary, hash));
  }

  async #sendSmall(
    action: { packageId: string; jobSerial: number },
    { hash }: FileEntry,
    bytes: Buffer,
  ): Promise<void> {
    await this.provider.receiveSmallFiles(action, [{ hash, bytes }]);
    this.sent.push(hash);
  }

  async #entriesOf({ contentId }: ContentDescriptor) {
    await using content = await this.#source.library.openContent(contentId);
    return (await collect(content.entries())).flat().map(({ entry }) => entry);
  }
}

/** These parts, one after another. */
export async function* chunksOf(parts: Iterable<Buffer>): AsyncGenerator<Buffer> {
  yield* parts;
}

function untouched(bytes: Buffer): Buffer {
  return bytes;
}
