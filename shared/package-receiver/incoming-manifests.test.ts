import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import fc from 'fast-check';
import type { ContentDescriptor } from '../domain/content.ts';
import { pieceBytes } from '../domain/content.ts';
import { type ErrorCode, isErrorWithCode } from '../domain/errors.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { TestLibrary, toVersion } from '../testing/test-library.ts';
import { IncomingManifests } from './incoming-manifests.ts';
import type { BegunAction } from './package-actions.ts';
import { chunksOf } from './testing/test-distribution-point.ts';

const packageId = 'PS100001';
const contentId = `${packageId}.1`;
const code =
  (...codes: ErrorCode[]) =>
  (error: unknown) =>
    isErrorWithCode(error, ...codes);

describe('incoming manifests', () => {
  let directory: TemporaryDirectory;
  let source: TestLibrary;
  let test: TestLibrary;
  let manifests: IncomingManifests;
  let content: ContentDescriptor;
  let action: BegunAction;
  let whole: Buffer;

  beforeEach(async function () {
    this.timeout(10_000);
    directory = await TemporaryDirectory.create();
    source = await TestLibrary.open({ directory: directory.join('site') });
    test = await TestLibrary.open({ directory: directory.join('dp') });
    manifests = new IncomingManifests(test.library);
    const tree = { a: Buffer.from('one'), big: Buffer.alloc(2 * pieceBytes), d: {} };
    const version = await source.commit(packageId, 1, tree);
    [content] = version.contents as [ContentDescriptor];
    action = { packageId, jobSerial: 1, version, redistribute: false };
    await using reader = await source.library.openContent(contentId);
    whole = Buffer.concat([
      await readFile(reader.manifestPath),
      await readFile(reader.signaturePath),
    ]);
  });
  afterEach(async function () {
    this.timeout(10_000);
    await test[Symbol.asyncDispose]();
    await source[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const atOnce = (step: () => Promise<void>) => step();
  const receive = (bytes: Buffer, described = content, acting = action) =>
    manifests.receive(acting, described, chunksOf(bytes.length > 0 ? [bytes] : []), atOnce);
  const stagedNames = () =>
    readdir(test.library.stagingDirectoryOf(packageId)).catch((): string[] => []);

  it('take manifest and signature however they are cut, and find them', async () => {
    const cuts = fc.array(fc.nat(whole.length), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(cuts, async (places) => {
        await manifests.discard(packageId);
        assert.equal(await manifests.find(action, content), undefined);
        const edges = [0, ...places.sort((a, b) => a - b), whole.length];
        const chunks = edges.slice(1).map((end, index) => whole.subarray(edges[index], end));
        await manifests.receive(action, content, chunksOf(chunks), atOnce);
        const found = await manifests.find(action, content);
        assert.ok(found);
        const parts = [await readFile(found.manifestPath), await readFile(found.signaturePath)];
        assert.deepEqual(Buffer.concat(parts), whole);
        assert.deepEqual(await manifests.staged(action), [found]);
      }),
      { numRuns: 20 },
    );
  });

  it('refuse what is cut, longer or altered, before anything is visible (SEC-4)', async () => {
    const altered = (at: number) => {
      const bytes = Buffer.from(whole);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      return bytes;
    };
    const ofManifest = content.manifestBytes;
    const wrong = [
      Buffer.alloc(0),
      whole.subarray(0, -1),
      whole.subarray(0, ofManifest),
      Buffer.concat([whole, Buffer.alloc(1)]),
      Buffer.concat([whole, whole]),
      altered(0),
      altered(ofManifest - 5),
      altered(ofManifest),
      altered(whole.length - 1),
      Buffer.alloc(whole.length),
    ];
    for (const [index, bytes] of wrong.entries()) {
      await assert.rejects(
        receive(bytes),
        code('MESSAGE_INVALID', 'MANIFEST_INVALID', 'CONTENT_HASH_MISMATCH'),
        `case ${index}`,
      );
      assert.deepEqual(await stagedNames(), [], `case ${index}`);
    }
    assert.equal(await manifests.find(action, content), undefined);
  });

  it('refuse a manifest that is whole, but of something else', async () => {
    const lies: Partial<ContentDescriptor>[] = [
      { contentHash: '0'.repeat(64) },
      { signatureHash: '0'.repeat(64) },
      { entryCount: content.entryCount + 1 },
      { fileCount: content.fileCount - 1 },
      { sizeBytes: content.sizeBytes + 1 },
      { manifestBytes: content.manifestBytes - 1, signatureBytes: content.signatureBytes + 1 },
    ];
    for (const lie of lies) {
      const described = { ...content, ...lie };
      await assert.rejects(
        receive(whole, described),
        code('MESSAGE_INVALID', 'MANIFEST_INVALID', 'CONTENT_HASH_MISMATCH'),
        JSON.stringify(lie),
      );
    }
    assert.deepEqual(await stagedNames(), []);
  });

  it('stop reading as soon as more comes than was promised', async () => {
    let readCount = 0;
    async function* endless() {
      for (;;) {
        readCount += 1;
        yield whole;
      }
    }
    await assert.rejects(
      manifests.receive(action, content, endless(), atOnce),
      code('MESSAGE_INVALID'),
    );
    assert.equal(readCount, 2);
  });

  it('may come twice at once', async () => {
    await Promise.all([receive(whole), receive(whole), receive(whole)]);
    assert.ok(await manifests.find(action, content));
    assert.equal((await stagedNames()).length, 2);
  });

  it('are found in the library, when the content is the very same', async () => {
    const { descriptor, staged } = await test.stage(packageId, contentId, { a: Buffer.from('x') });
    const version = toVersion(packageId, 1, [descriptor]);
    await test.library.commitPackage({ version, jobSerial: 1, staged: [staged] });
    const found = await manifests.find(action, descriptor);
    assert.match(found?.manifestPath ?? '', /data-lib/);
    assert.equal(await manifests.find(action, content), undefined);
    assert.equal(await manifests.find({ ...action, redistribute: true }, descriptor), undefined);
    await manifests.distrust(action, descriptor);
    assert.equal(await manifests.find(action, descriptor), undefined);
    manifests.trust([descriptor]);
    assert.ok(await manifests.find(action, descriptor));
  });
}).timeout(10_000);
