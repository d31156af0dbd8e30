// The program of the thread that takes a package file apart.
import { closeSync, openSync } from 'node:fs';
import { hashOf } from '../content-library/content-hash.ts';
import { isSystemError, toWriteFailure } from '../content-library/library-failure.ts';
import { filePathOf } from '../content-library/library-layout.ts';
import type { HeldFile, StagedFile } from '../content-library/library-tasks.ts';
import { type FileProgress, TaskProgress } from '../content-library/task-progress.ts';
import { serveThreadTask } from '../content-library/thread-task.ts';
import { deltaOperations } from '../delta/delta-reader.ts';
import { MemoryBytes } from '../delta/small-delta.ts';
import { hasPieces } from '../domain/content.ts';
import type { Delta } from '../domain/delta.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import { FileStager } from './file-stager.ts';
import { type HeldManifest, ManifestArrival, type StagedManifest } from './manifest-arrival.ts';
import { invalidPackageFile } from './package-file-failure.ts';
import {
  decodeRecord,
  type PackageFileHead,
  type PackageFileRecord,
  type Patch,
  patchedFileBytesMax,
  recordFieldBytes,
} from './package-file-format.ts';
import { writeParts } from './part-writing.ts';
import { RawStream } from './raw-stream.ts';
import { RecordSummer } from './record-sums.ts';
import { readSmallFile } from './small-file.ts';

/** What the thread is given. */
export interface UnpackInput {
  readonly path: string;
  readonly head: PackageFileHead;
  /** Where the blocks begin, and where the file ends. */
  readonly startBytes: number;
  readonly endBytes: number;
  /** In the version's order, with where their manifests and signatures are to be written. */
  readonly contents: readonly StagedManifest[];
  /** Contents of the version that is here, for manifests that come as deltas. */
  readonly baseContents: readonly HeldManifest[];
  /** Where the bases of patches are. */
  readonly fileLibrary: string;
  /** Where files are staged; it is there. */
  readonly filesDirectory: string;
}

/** What it says on the way. */
export type UnpackMessage =
  | { readonly type: 'staged'; readonly files: readonly StagedFile[] }
  | { readonly type: 'progress'; readonly progress: FileProgress };

/** A delta that came, and the content for which it makes a file. */
export interface ArrivedDelta {
  readonly contentIndex: number;
  readonly delta: Delta;
}

/** What came out beside files. */
export interface UnpackResult {
  readonly deltas: readonly ArrivedDelta[];
  /** A base that is not in the library, or damaged there: what comes after its patch was not read. */
  readonly missingBase: HeldFile | undefined;
}

serveThreadTask<UnpackInput, UnpackResult, UnpackMessage>(async (input, context) => {
  const descriptor = openSync(input.path, 'r');
  try {
    const progress = new TaskProgress((told) => context.send({ type: 'progress', progress: told }));
    const onStaged = (files: readonly StagedFile[]) => context.send({ type: 'staged', files });
    const stager = new FileStager(input.filesDirectory, onStaged);
    const throwIfAborted = () => context.throwIfAborted();
    const unpacking = new Unpacking({ input, descriptor, stager, progress, throwIfAborted });
    return await unpacking.run();
  } catch (error) {
    // A disk that cannot read the file back has damaged it.
    if (isSystemError(error, 'EIO')) {
      throw invalidPackageFile(input.head.packageId, 'the disk cannot read it');
    }
    throw toWriteFailure(error, input.filesDirectory, 0);
  } finally {
    closeSync(descriptor);
  }
});

interface UnpackingParts {
  readonly input: UnpackInput;
  readonly descriptor: number;
  readonly stager: FileStager;
  readonly progress: TaskProgress;
  readonly throwIfAborted: () => void;
}

/** One package file on its way out: whatever it says is held against its head. */
class Unpacking {
  readonly #parts: UnpackingParts;
  readonly #head: PackageFileHead;
  readonly #stream: RawStream;
  readonly #summer = new RecordSummer();
  readonly #deltas: ArrivedDelta[] = [];
  #missingBase: HeldFile | undefined;

  constructor(parts: UnpackingParts) {
    this.#parts = parts;
    const { head, startBytes, endBytes } = parts.input;
    this.#head = head;
    const { descriptor } = parts;
    const { rawBytes } = head;
    const refuse = (reason: string) => this.#refuse(reason);
    this.#stream = new RawStream({ descriptor, startBytes, endBytes, rawBytes, refuse });
  }

  async run(): Promise<UnpackResult> {
    const { input, stager, progress } = this.#parts;
    for (const content of input.contents) await this.#takeManifest(content);
    while (this.#stream.leftBytes > 0) {
      this.#takeFile(this.#nextRecord());
      if (this.#missingBase) return { deltas: [], missingBase: this.#missingBase };
    }
    this.#stream.end();
    const wrongField = this.#summer.differenceFrom(this.#head);
    if (wrongField) this.#refuse(`${wrongField} adds up wrong`);
    stager.handOver();
    progress.tell();
    return { deltas: this.#deltas, missingBase: undefined };
  }

  async #takeManifest(content: StagedManifest): Promise<void> {
    const { packageId, baseVersion } = this.#head;
    const arrival = new ManifestArrival(content, { packageId, baseVersion });
    const { manifestBytes, signatureBytes } = content.descriptor;
    const record = this.#nextRecord();
    if (record.kind === 'manifest') {
      writeParts(content.manifestPath, this.#bytes(manifestBytes));
    } else if (record.kind === 'manifest-delta') {
      const { baseContentId, delta } = record;
      if (delta.deltaBytes > manifestBytes) this.#refuse('a delta is longer than its manifest');
      const { baseContents } = this.#parts.input;
      const base = baseContents.find(({ descriptor }) => descriptor.contentId === baseContentId);
      const deltaPath = `${content.manifestPath}.delta`;
      writeParts(deltaPath, this.#bytes(delta.deltaBytes));
      await arrival.makeManifest({ base, delta, deltaPath });
    } else this.#refuse('a manifest is missing');
    if (this.#nextRecord().kind !== 'signature') this.#refuse('a signature is missing');
    writeParts(content.signaturePath, this.#bytes(signatureBytes));
    await arrival.check();
  }

  #takeFile(record: PackageFileRecord): void {
    this.#summer.add(record);
    const excess = this.#summer.excessOver(this.#head);
    if (excess) this.#refuse(`there is more than ${excess} says`);
    if (record.kind === 'file') this.#takeWhole(record);
    else if (record.kind === 'delta') this.#takeDelta(record);
    else if (record.kind === 'patch') this.#takePatch(record.patch);
    else this.#refuse('a manifest is there twice');
    this.#parts.progress.onFile();
  }

  #takeWhole({ hash, sizeBytes }: PackageFileRecord & { kind: 'file' }): void {
    const staged = this.#parts.stager.stage({ hash, sizeBytes }, this.#bytes(sizeBytes));
    if (!staged) this.#refuse(`file ${hash} has other bytes`);
  }

  #takeDelta({ contentIndex, delta }: PackageFileRecord & { kind: 'delta' }): void {
    const { deltaHash: hash, deltaBytes: sizeBytes } = delta;
    if (contentIndex >= this.#parts.input.contents.length) this.#refuse('a delta is of no content');
    if (sizeBytes === 0 || sizeBytes > delta.fileBytes) this.#refuse('a delta has a wrong length');
    const withPieceHashes = hasPieces(sizeBytes);
    const { stager } = this.#parts;
    const staged = stager.stage({ hash, sizeBytes }, this.#bytes(sizeBytes), { withPieceHashes });
    if (!staged) throw invalidPackageFile(this.#head.packageId, `delta ${hash} has other bytes`);
    const deltaPieceHashes = staged.pieceHashes.toString('hex');
    this.#deltas.push({ contentIndex, delta: { ...delta, deltaPieceHashes } });
  }

  #takePatch(patch: Patch): void {
    const longest = Math.max(patch.fileBytes, patch.baseBytes);
    if (longest > patchedFileBytesMax) this.#refuse('a patch is of a large file');
    if (this.#head.baseVersion === 0) this.#refuse('a patch is there without a base');
    const { patchBytes } = patch;
    if (patchBytes === 0 || patchBytes > patch.fileBytes)
      this.#refuse('a patch has a wrong length');
    const bytes = Buffer.concat([...this.#bytes(patchBytes)].map((part) => Buffer.from(part)));
    const base = readSmallFile(
      filePathOf(this.#parts.input.fileLibrary, patch.baseHash),
      patch.baseBytes,
    );
    if (!base || hashOf(base) !== patch.baseHash) {
      this.#missingBase = { hash: patch.baseHash, sizeBytes: patch.baseBytes };
      return;
    }
    const file = { hash: patch.fileHash, sizeBytes: patch.fileBytes };
    if (this.#parts.stager.stage(file, this.#patched(patch, bytes, base))) return;
    this.#refuse(`a patch makes other bytes than those of ${patch.fileHash}`);
  }

  *#patched(patch: Patch, bytes: Buffer, base: Buffer): Generator<Uint8Array> {
    const delta = { ...patch, deltaHash: '', deltaBytes: bytes.length, deltaPieceHashes: '' };
    try {
      for (const operation of deltaOperations(new MemoryBytes(bytes), delta)) {
        if (operation.kind === 'insert') yield operation.bytes;
        else yield base.subarray(operation.offset, operation.offset + operation.lengthBytes);
      }
    } catch (error) {
      if (!isErrorWithCode(error, 'DELTA_INVALID')) throw error;
      this.#refuse(error.message);
    }
  }

  #nextRecord(): PackageFileRecord {
    this.#parts.throwIfAborted();
    const kindByte = this.#stream.exactly(1).readUInt8();
    const fieldBytes = recordFieldBytes(kindByte);
    if (fieldBytes === undefined) return this.#refuse('a record is of no kind');
    const record = decodeRecord(kindByte, this.#stream.exactly(fieldBytes));
    return record ?? this.#refuse('a record is of no kind');
  }

  /** The next so many bytes, in parts that are valid until the next one. */
  *#bytes(count: number): Generator<Uint8Array> {
    if (count > this.#stream.leftBytes) this.#refuse('a record is longer than all that is left');
    for (let left = count; left > 0; ) {
      this.#parts.throwIfAborted();
      const bytes = this.#stream.next(Math.min(left, partBytesMax));
      left -= bytes.length;
      this.#parts.progress.onBytes(bytes.length);
      yield bytes;
    }
  }

  #refuse(reason: string): never {
    throw invalidPackageFile(this.#head.packageId, reason);
  }
}

/** Hashed and written at once. */
const partBytesMax = 1024 * 1024;
