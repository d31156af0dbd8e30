import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import type { ContentDescriptor } from '../../../shared/domain/content.ts';
import { TemporaryDirectory } from '../../../shared/testing/temporary-directory.ts';
import { TestLibrary, toVersion } from '../../../shared/testing/test-library.ts';
import { type SnapshotContent, takeSnapshot } from '../source-snapshot.ts';

export const packageId = 'PS100001';

export function run(program: string, ...words: string[]): void {
  execFileSync(program, words);
}

/** An empty source directory and a site's library; made anew for each test. */
export class SnapshotTest implements AsyncDisposable {
  readonly directory: TemporaryDirectory;
  readonly library: TestLibrary['library'];
  /** The source directory. */
  source: string;
  /** Where the site keeps its own files, besides its library. */
  ownPlaces: string[] = [];
  readonly #test: TestLibrary;
  #count = 0;

  private constructor(directory: TemporaryDirectory, test: TestLibrary) {
    this.directory = directory;
    this.source = directory.join('source');
    this.library = test.library;
    this.#test = test;
  }

  static async open(): Promise<SnapshotTest> {
    const directory = await TemporaryDirectory.create();
    mkdirSync(directory.join('source'));
    return new SnapshotTest(directory, await TestLibrary.open({ directory: directory.path }));
  }

  /** The next version of the source's content, staged. */
  async snapshot(previous?: ContentDescriptor): Promise<SnapshotContent> {
    this.#count += 1;
    const contentId = `${packageId}.${this.#count}`;
    const sources = [{ directory: this.source, contentId, ...(previous && { previous }) }];
    const { library, ownPlaces } = this;
    const { contents } = await takeSnapshot({ library, packageId, sources, ownPlaces });
    return contents[0]!;
  }

  async commit(content: SnapshotContent): Promise<void> {
    const { contentId } = content.descriptor;
    const version = toVersion(packageId, Number(contentId.split('.')[1]), [content.descriptor]);
    await this.library.commitPackage({
      version,
      jobSerial: 1,
      staged: [{ ...content, contentId }],
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#test[Symbol.asyncDispose]();
    // Deeper than Node can delete.
    run('rm', '-rf', this.directory.path);
  }
}
