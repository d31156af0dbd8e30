import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { hashOf } from '../../content-library/content-hash.ts';
import type { ContentReader } from '../../content-library/content-reader.ts';
import { filePathOf } from '../../content-library/library-layout.ts';
import { makeDelta } from '../../delta/delta-maker.ts';
import type { PackageVersion } from '../../domain/package.ts';
import { TemporaryDirectory } from '../../testing/temporary-directory.ts';
import { TestLibrary, type TestTree } from '../../testing/test-library.ts';
import {
  type MadePackageFile,
  makePackageFile,
  type PackageFileOptions,
} from '../package-file-maker.ts';
import { keepDeltas, type UnpackedPackage, unpackPackageFile } from '../package-file-unpacker.ts';
import { defaultVersionHistoryConfig, VersionHistory } from '../version-history.ts';

export const packageId = 'PS100001';

/** A package file, and what it has to carry. */
export interface SentFile {
  readonly path: string;
  readonly made: MadePackageFile;
  readonly version: PackageVersion;
  readonly baseVersion: number;
}

/** The library of a source site with its history, and that of another site. */
export class TwoSites implements AsyncDisposable {
  readonly directory: TemporaryDirectory;
  readonly source: TestLibrary;
  readonly target: TestLibrary;
  readonly history: VersionHistory;
  #fileCount = 0;

  private constructor(directory: TemporaryDirectory, source: TestLibrary, target: TestLibrary) {
    this.directory = directory;
    this.source = source;
    this.target = target;
    this.history = new VersionHistory(source, {
      ...defaultVersionHistoryConfig,
      directory: directory.join('history'),
    });
  }

  static async open(): Promise<TwoSites> {
    const directory = await TemporaryDirectory.create();
    const source = await TestLibrary.open({ directory: directory.join('source') });
    const target = await TestLibrary.open({ directory: directory.join('target') });
    return new TwoSites(directory, source, target);
  }

  /** Makes a tree the next version at the source site, and records it. */
  async publish(sourceVersion: number, tree: TestTree): Promise<PackageVersion> {
    const { library } = this.source;
    const before: ContentReader[] = [];
    for (const { contentId } of (await library.getPackage(packageId))?.contents ?? []) {
      before.push(await library.openContent(contentId));
    }
    const version = await this.source.commit(packageId, sourceVersion, tree);
    await this.history.record(version, { before });
    for (const reader of before) await reader[Symbol.asyncDispose]();
    return version;
  }

  /** Gives the content of a version a delta between two files that the source site has. */
  async addDelta(version: PackageVersion, base: Uint8Array, file: Uint8Array): Promise<void> {
    const { library } = this.source;
    const staging = library.stagingDirectoryOf(packageId);
    await mkdir(staging, { recursive: true });
    await this.source.adopt(packageId, [base]);
    const { fileLibrary } = library.layout;
    const [baseHash, fileHash] = [hashOf(base), hashOf(file)];
    const deltaPath = join(staging, 'delta');
    const delta = await makeDelta(library.threads, {
      ...{ baseHash, baseBytes: base.length, basePath: filePathOf(fileLibrary, baseHash) },
      ...{ fileHash, fileBytes: file.length, filePath: filePathOf(fileLibrary, fileHash) },
      deltaPath,
    });
    if (!delta) throw new Error('These files have no delta');
    const { deltaHash: hash, deltaBytes: sizeBytes } = delta;
    await library.adoptFiles([{ path: deltaPath, hash, sizeBytes }]);
    await library.addDeltas(version.contents[0]?.contentId ?? '', [delta]);
  }

  /** Makes the package file of what the source site has now. */
  async make(baseVersion = 0, options: PackageFileOptions = {}): Promise<SentFile> {
    const { library } = this.source;
    const version = await library.getPackage(packageId);
    if (!version) throw new Error('Nothing was published');
    this.#fileCount += 1;
    const path = this.directory.join(`file-${this.#fileCount}`);
    const needs = { library, history: this.history };
    const made = await makePackageFile(needs, { packageId, baseVersion, path }, options);
    return { path, made, version, baseVersion };
  }

  /** Takes it apart at the other site. */
  unpack(
    { path, version, baseVersion }: SentFile,
    options: PackageFileOptions = {},
  ): Promise<UnpackedPackage> {
    const { sourceVersion, packageHash } = version;
    const needs = { library: this.target.library, reserveBytes: 0 };
    const expected = { packageId, sourceVersion, baseVersion, packageHash };
    return unpackPackageFile(needs, { path, expected }, options);
  }

  /** Takes it apart and commits it. */
  async receive(sent: SentFile): Promise<UnpackedPackage> {
    const unpacked = await this.unpack(sent);
    const { version, staged } = unpacked;
    const { library } = this.target;
    await library.commitPackage({ version, jobSerial: version.sourceVersion, staged });
    await keepDeltas(library, unpacked);
    return unpacked;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.source[Symbol.asyncDispose]();
    await this.target[Symbol.asyncDispose]();
    await this.directory[Symbol.asyncDispose]();
  }
}
