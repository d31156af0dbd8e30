import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashOf } from '../../content-library/content-hash.ts';
import { filePathOf } from '../../content-library/library-layout.ts';
import type { LibraryPackage } from '../../content-library/package-library.ts';
import { pieceBytes } from '../../domain/content.ts';
import type { PackageVersion } from '../../domain/package.ts';
import { FakeClock } from '../../testing/fake-clock.ts';
import { TemporaryDirectory } from '../../testing/temporary-directory.ts';
import { TestLibrary, type TestTree } from '../../testing/test-library.ts';
import type { PackageReceiverConfig } from '../package-receiver.ts';
import { TestDistributionPoint, TestSender } from './test-distribution-point.ts';

export const packageId = 'PS100001';
export const bytes = (text: string) => Buffer.from(text);
/** A file of so many pieces, the last of 9 bytes. */
export const big = (fill: string, pieceCount = 3) =>
  Buffer.alloc((pieceCount - 1) * pieceBytes + 9, fill);
export const action = (jobSerial: number, id = packageId) => ({ packageId: id, jobSerial });

/** A site's library, a DP, and who brings content from one to the other; made anew for each test. */
export class ProviderTest implements AsyncDisposable {
  readonly directory: TemporaryDirectory;
  readonly clock = new FakeClock(Date.now());
  source!: TestLibrary;
  dp!: TestDistributionPoint;
  sender!: TestSender;

  private constructor(directory: TemporaryDirectory) {
    this.directory = directory;
  }

  static async open(): Promise<ProviderTest> {
    const test = new ProviderTest(await TemporaryDirectory.create());
    const { directory, clock } = test;
    test.source = await TestLibrary.open({ directory: directory.join('site'), clock });
    await test.start();
    return test;
  }

  async start(config: Partial<PackageReceiverConfig> = {}): Promise<void> {
    const { clock } = this;
    const directory = this.directory.join('dp');
    this.dp = await TestDistributionPoint.open({ directory, clock, config });
    this.sender = new TestSender(this.source, this.dp.provider);
  }

  /** The agent ends and another one starts on what it left. */
  async restart(config: Partial<PackageReceiverConfig> = {}): Promise<void> {
    await this.dp[Symbol.asyncDispose]();
    await this.start(config);
  }

  publish(sourceVersion: number, tree: TestTree, id = packageId): Promise<PackageVersion> {
    return this.source.commit(id, sourceVersion, tree);
  }

  held(): Promise<LibraryPackage | undefined> {
    return this.dp.library.getPackage(packageId);
  }

  pathOf(content: Buffer): string {
    return filePathOf(this.dp.library.layout.fileLibrary, hashOf(content));
  }

  async extracted(name: string, id = packageId): Promise<Buffer> {
    const out = this.directory.join('out', String(Math.random()));
    await mkdir(this.directory.join('out'), { recursive: true });
    await this.dp.library.extractPackage(id, out);
    return readFile(join(out, name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dp[Symbol.asyncDispose]();
    await this.source[Symbol.asyncDispose]();
    await this.directory[Symbol.asyncDispose]();
  }
}
