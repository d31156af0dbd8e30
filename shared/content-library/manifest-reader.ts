import {
  type ContentDescriptor,
  type ContentEntry,
  type FileEntry,
  signatureBytesOf,
} from '../domain/content.ts';
import { WaybillError } from '../domain/errors.ts';
import { ContentHash } from './content-hash.ts';
import { EntryOrder } from './entry-order.ts';
import { isSystemError } from './library-failure.ts';
import {
  decodeEntry,
  decodeHeader,
  entryLineBytesMax,
  headerBytes,
  ManifestLineError,
} from './manifest-format.ts';
import { type ManifestSource, type OpenSource, openSource } from './manifest-source.ts';

/** An entry with its places in the manifest and the signature. */
export interface IndexedEntry {
  readonly entry: ContentEntry;
  /** Position in the manifest, from 0. */
  readonly index: number;
  /** Where the piece hashes of this file begin in the signature blob, in bytes. */
  readonly signatureOffset: number;
}

/** The files among entries, in their order. */
export function filesOf(batch: readonly IndexedEntry[]): FileEntry[] {
  return batch.flatMap(({ entry }) => (entry.type === 'file' ? [entry] : []));
}

/** Most entries a batch holds. */
const batchEntriesMax = 2_000;

const chunkBytes = 256 * 1024;
const newline = 0x0a;

/** The reader of a manifest that has to be the one the descriptor names. Opens nothing yet. */
export function openManifest(
  source: ManifestSource,
  descriptor: ContentDescriptor,
): ManifestReader {
  return new ManifestReader(source, descriptor);
}

/**
 * Reads a manifest in bounded memory and believes nothing: each line, the order, the counts, the
 * sums and the hash are checked.
 *
 * What comes before the end is checked line by line only; it is known to be the content the
 * descriptor names when the reading has ended without a failure.
 */
export class ManifestReader {
  readonly descriptor: ContentDescriptor;
  readonly #source: ManifestSource;

  constructor(source: ManifestSource, descriptor: ContentDescriptor) {
    this.#source = source;
    this.descriptor = descriptor;
  }

  /** Checks the header and the hash, and no line: for one whose lines were read. @throws as `entries` does */
  async verifyHash(): Promise<void> {
    const check = new ManifestCheck(this.descriptor);
    await using opened = await this.#open();
    for await (const chunk of this.#chunks(opened, check)) check.hash(chunk);
    check.contentHash();
  }

  /**
   * Entries in the manifest's order, in batches of at most 2,000; each call reads anew.
   *
   * @throws CONTENT_NOT_HELD when there is no such file
   * @throws MANIFEST_INVALID with the line at which it stops being a manifest
   * @throws CONTENT_HASH_MISMATCH when it is a manifest, but of something else
   */
  async *entries(): AsyncGenerator<readonly IndexedEntry[]> {
    const check = new ManifestCheck(this.descriptor);
    await using opened = await this.#open();
    let rest: Buffer = Buffer.alloc(0);
    for await (const chunk of this.#chunks(opened, check)) {
      check.hash(chunk);
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const batch: IndexedEntry[] = [];
      let start = 0;
      for (let end = rest.indexOf(newline); end !== -1; end = rest.indexOf(newline, start)) {
        batch.push(check.entry(rest.subarray(start, end)));
        start = end + 1;
        if (batch.length === batchEntriesMax) yield batch.splice(0);
      }
      rest = rest.subarray(start);
      check.lineLength(rest.length);
      if (batch.length > 0) yield batch;
    }
    check.end(rest.length);
  }

  /** What comes after the header, which is checked. */
  async *#chunks(opened: OpenSource, check: ManifestCheck): AsyncGenerator<Buffer> {
    const sizeBytes = await opened.sizeBytes();
    if (sizeBytes !== this.descriptor.manifestBytes) {
      check.refuse(`the manifest has ${sizeBytes} bytes`);
    }
    check.header(await readHeader(opened));
    for (let offset = headerBytes; offset < sizeBytes; ) {
      const chunk = await opened.read(offset, Math.min(chunkBytes, sizeBytes - offset));
      if (chunk.length === 0) check.refuse('the manifest ends early');
      offset += chunk.length;
      yield chunk;
    }
  }

  async #open(): Promise<OpenSource> {
    try {
      return await openSource(this.#source);
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) throw error;
      const { contentId } = this.descriptor;
      throw new WaybillError({ code: 'CONTENT_NOT_HELD', contentId }, { cause: error });
    }
  }
}

/** The running sums of one reading, and the refusals. */
class ManifestCheck {
  readonly #descriptor: ContentDescriptor;
  readonly #order = new EntryOrder();
  readonly #hash = new ContentHash();
  #entryCount = 0;
  #fileCount = 0;
  #sizeBytes = 0;
  #signatureBytes = 0;
  #line = 1;

  constructor(descriptor: ContentDescriptor) {
    this.#descriptor = descriptor;
  }

  hash(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  header(line: string): void {
    const header = this.#decoded(() => decodeHeader(line));
    for (const field of ['contentId', 'entryCount', 'fileCount', 'sizeBytes'] as const) {
      if (header[field] !== this.#descriptor[field]) {
        this.refuse(`${field} is ${header[field]}, expected ${this.#descriptor[field]}`);
      }
    }
  }

  entry(bytes: Buffer): IndexedEntry {
    this.#line++;
    this.lineLength(bytes.length);
    const entry = this.#decoded(() => decodeEntry(bytes.toString('utf8')));
    const refusal = this.#order.refusalOfNext(entry);
    if (refusal !== undefined) this.refuse(refusal);
    const signatureOffset = this.#signatureBytes;
    if (entry.type === 'file') this.#count(entry.sizeBytes);
    return { entry, index: this.#entryCount++, signatureOffset };
  }

  lineLength(bytes: number): void {
    if (bytes > entryLineBytesMax) this.refuse(`a line is over ${entryLineBytesMax} bytes`);
  }

  end(unreadBytes: number): void {
    if (unreadBytes > 0) this.refuse('the last line has no end');
    this.#checkSum('entryCount', this.#entryCount);
    this.#checkSum('fileCount', this.#fileCount);
    this.#checkSum('sizeBytes', this.#sizeBytes);
    this.#checkSum('signatureBytes', this.#signatureBytes);
    this.contentHash();
  }

  contentHash(): void {
    const expected = this.#descriptor;
    const actualHash = this.#hash.digest();
    if (actualHash !== expected.contentHash) {
      const { contentId, contentHash: expectedHash } = expected;
      throw new WaybillError({
        code: 'CONTENT_HASH_MISMATCH',
        contentId,
        expectedHash,
        actualHash,
      });
    }
  }

  refuse(reason: string): never {
    const { contentId } = this.#descriptor;
    throw new WaybillError({ code: 'MANIFEST_INVALID', contentId, line: this.#line, reason });
  }

  #count(sizeBytes: number): void {
    this.#fileCount++;
    this.#sizeBytes += sizeBytes;
    this.#signatureBytes += signatureBytesOf(sizeBytes);
    if (!Number.isSafeInteger(this.#sizeBytes)) this.refuse('the total size is too large');
  }

  #checkSum(
    field: 'entryCount' | 'fileCount' | 'sizeBytes' | 'signatureBytes',
    actual: number,
  ): void {
    const expected = this.#descriptor[field];
    if (actual !== expected) this.refuse(`${field} adds up to ${actual}, expected ${expected}`);
  }

  #decoded<T>(decode: () => T): T {
    try {
      return decode();
    } catch (error) {
      if (error instanceof ManifestLineError) this.refuse(error.message);
      throw error;
    }
  }
}

async function readHeader(opened: OpenSource): Promise<string> {
  const line = (await opened.read(0, headerBytes)).toString('utf8');
  return line.endsWith('\n') ? line.slice(0, -1) : line;
}
