import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ContentHash, hashOf } from '../content-library/content-hash.ts';
import {
  ContentLibrary,
  type ContentLibraryConfig,
  type LibraryStep,
} from '../content-library/content-library.ts';
import type { StagedContent } from '../content-library/data-library.ts';
import { ManifestWriter } from '../content-library/manifest-writer.ts';
import { packageHashOf } from '../content-library/package-record.ts';
import {
  type ContentDescriptor,
  compareNames,
  hasPieces,
  pieceBytes,
  pieceCountOf,
} from '../domain/content.ts';
import type { PackageProperties, PackageVersion } from '../domain/package.ts';
import { StateStore } from '../state-store/state-store.ts';
import { CapturedLog } from './captured-log.ts';
import { FakeClock } from './fake-clock.ts';

/** Names and bytes of files, and directories in directories. */
export interface TestTree {
  readonly [name: string]: Uint8Array | TestTree;
}

/** What a test says of a package when it says nothing. */
export const testProperties: PackageProperties = {
  name: 'Test package',
  version: '1.0',
  manufacturer: '',
  language: '',
  description: '',
  priority: 2,
  programs: [],
  iconName: '',
  iconBase64: '',
};

/** A started content library over its own state store, with time that stands still. */
export class TestLibrary implements AsyncDisposable {
  readonly library: ContentLibrary;
  readonly store: StateStore;
  readonly clock: FakeClock;
  readonly log: CapturedLog;

  private constructor(parts: {
    library: ContentLibrary;
    store: StateStore;
    clock: FakeClock;
    log: CapturedLog;
  }) {
    this.library = parts.library;
    this.store = parts.store;
    this.clock = parts.clock;
    this.log = parts.log;
  }

  /** Opens the library and the store in a directory, new or as a test left them there. */
  static async open(options: {
    directory: string;
    clock?: FakeClock;
    onStep?: (step: LibraryStep) => void;
    config?: Partial<ContentLibraryConfig>;
  }): Promise<TestLibrary> {
    const log = new CapturedLog();
    const { logger } = log;
    const clock = options.clock ?? new FakeClock();
    const directory = join(options.directory, 'state');
    const { store } = await StateStore.open({ directory, logger });
    const library = new ContentLibrary(
      { store, clock, logger, ...(options.onStep && { onStep: options.onStep }) },
      {
        directory: join(options.directory, 'library'),
        unreferencedGraceMs: 60_000,
        unfinishedGraceMs: 60_000,
        sweepIntervalMs: 3_600_000,
        ...options.config,
      },
    );
    await library.start();
    return new TestLibrary({ library, store, clock, log });
  }

  /** Stages and adopts a tree, as a receiver does. */
  async stage(
    packageId: string,
    contentId: string,
    tree: TestTree,
  ): Promise<{ descriptor: ContentDescriptor; staged: StagedContent }> {
    const directory = this.library.stagingDirectoryOf(packageId);
    await mkdir(directory, { recursive: true });
    const staged = {
      contentId,
      manifestPath: join(directory, `${contentId}.manifest`),
      signaturePath: join(directory, `${contentId}.signature`),
    };
    const files = new Map<string, Uint8Array>();
    using writer = new ManifestWriter(staged);
    writeEntries(writer, tree, 0, files);
    const descriptor = writer.finish();
    await this.adopt(packageId, files.values());
    return { descriptor, staged };
  }

  /** Takes bytes into the file library. */
  async adopt(packageId: string, contents: Iterable<Uint8Array>): Promise<void> {
    const directory = this.library.stagingDirectoryOf(packageId);
    await mkdir(directory, { recursive: true });
    const files = [];
    for (const bytes of contents) {
      const hash = hashOf(bytes);
      const path = join(directory, hash);
      await writeFile(path, bytes);
      files.push({ path, hash, sizeBytes: bytes.length });
    }
    await this.library.adoptFiles(files);
  }

  /** Stages a tree and commits it as a version of one content. */
  async commit(packageId: string, sourceVersion: number, tree: TestTree): Promise<PackageVersion> {
    const contentId = `${packageId}.${sourceVersion}`;
    const { descriptor, staged } = await this.stage(packageId, contentId, tree);
    const version = toVersion(packageId, sourceVersion, [descriptor]);
    await this.library.commitPackage({ version, jobSerial: 1, staged: [staged] });
    return version;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.library.stop();
    await this.store.close();
  }
}

/** A version of a package with these contents. */
export function toVersion(
  packageId: string,
  sourceVersion: number,
  contents: readonly ContentDescriptor[],
): PackageVersion {
  const packageHash = packageHashOf(contents);
  return { packageId, sourceVersion, packageHash, contents, properties: testProperties };
}

function writeEntries(
  writer: ManifestWriter,
  tree: TestTree,
  depth: number,
  files: Map<string, Uint8Array>,
): void {
  const mtimeNs = '1700000000123456789';
  for (const name of Object.keys(tree).sort(compareNames)) {
    const node = tree[name];
    if (node === undefined) continue;
    if (node instanceof Uint8Array) {
      const hash = hashOf(node);
      files.set(hash, node);
      const sizeBytes = node.length;
      writer.addFile(
        { type: 'file', depth, name, sizeBytes, mode: 0o644, mtimeNs, hash },
        pieceHashesOf(node),
      );
    } else {
      writer.add({ type: 'directory', depth, name, mode: 0o755, mtimeNs });
      writeEntries(writer, node, depth + 1, files);
    }
  }
}

/** What the signature of a content holds for a file of these bytes. */
export function pieceHashesOf(bytes: Uint8Array): Buffer {
  if (!hasPieces(bytes.length)) return Buffer.alloc(0);
  const pieces = Array.from({ length: pieceCountOf(bytes.length) }, (_, index) =>
    bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes),
  );
  return Buffer.concat(pieces.map((piece) => new ContentHash().update(piece).digestBytes()));
}

/** All items, in their order. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}
