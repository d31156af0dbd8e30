import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type InlineManifest, pieceBytes } from '../domain/content.ts';
import { type ErrorCode, isErrorWithCode } from '../domain/errors.ts';
import type { PackageVersion } from '../domain/package.ts';
import { requireManifests } from '../package-info/inline-manifest.ts';
import { inlineManifestBytesMax } from '../rpc/rpc-limits.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { collect, TestLibrary, toVersion } from '../testing/test-library.ts';
import { chunksOf, TestDistributionPoint, TestSender } from './testing/test-distribution-point.ts';

const packageId = 'PS100001';
const contentId = `${packageId}.1`;
const small = Buffer.from('small');
const big = Buffer.alloc(2 * pieceBytes + 5, 'b');
const code =
  (...codes: ErrorCode[]) =>
  (error: unknown) =>
    isErrorWithCode(error, ...codes);

describe('Begin with manifests inside (PTM-7)', () => {
  let directory: TemporaryDirectory;
  let source: TestLibrary;
  let dp: TestDistributionPoint;
  let sender: TestSender;

  beforeEach(async function () {
    this.timeout(10_000);
    directory = await TemporaryDirectory.create();
    source = await TestLibrary.open({ directory: directory.join('site') });
    dp = await TestDistributionPoint.open({ directory: directory.join('dp') });
    sender = new TestSender(source, dp.provider);
  });
  afterEach(async function () {
    this.timeout(10_000);
    await dp[Symbol.asyncDispose]();
    await source[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const action = (jobSerial: number) => ({ packageId, jobSerial });
  const staged = () => readdir(dp.library.stagingDirectoryOf(packageId));

  async function inlineOf(id: string): Promise<InlineManifest> {
    const [manifest = Buffer.alloc(0), signature = Buffer.alloc(0)] = await sender.manifestOf(id);
    return { contentId: id, manifest, signature };
  }

  function begin(version: PackageVersion, jobSerial: number, manifests: InlineManifest[]) {
    return dp.provider.begin({ ...action(jobSerial), version, redistribute: false }, manifests);
  }

  it('tells what Inspect would tell, and needs no PutManifest', async () => {
    const version = await source.commit(packageId, 1, { a: small, b: big, c: Buffer.alloc(0) });
    const answer = await begin(version, 1, [await inlineOf(contentId)]);
    assert.deepEqual(answer.contentIdsWithoutManifest, []);
    const [inspected] = answer.inspected;
    assert.equal(inspected?.contentId, contentId);
    assert.deepEqual(
      inspected?.wanted,
      (await collect(dp.provider.inspect(action(1), contentId))).flat(),
    );
    assert.equal(inspected?.wanted.length, 3);
    await sender.bring(version, 1);
    assert.equal(await dp.provider.commit(action(1)), version.packageHash);
  });

  it('asks for the manifests of the other contents', async () => {
    const first = await source.stage(packageId, 'first.1', { a: small });
    const second = await source.stage(packageId, 'second.1', { b: big });
    const version = toVersion(packageId, 1, [first.descriptor, second.descriptor]);
    const commit = { version, jobSerial: 1, staged: [first.staged, second.staged] };
    await source.library.commitPackage(commit);
    const answer = await begin(version, 1, [await inlineOf('second.1')]);
    assert.deepEqual(answer.contentIdsWithoutManifest, ['first.1']);
    assert.deepEqual(
      answer.inspected.map((one) => one.contentId),
      ['second.1'],
    );
  });

  it('puts them in the place of what a disk has damaged here', async () => {
    const version = await source.commit(packageId, 1, { a: small });
    await begin(version, 1, [await inlineOf(contentId)]);
    for (const name of await staged()) {
      await writeFile(join(dp.library.stagingDirectoryOf(packageId), name), 'damaged');
    }
    await sender.bring(version, 1).catch(() => {});
    await begin(version, 1, [await inlineOf(contentId)]);
    await sender.bring(version, 1);
    assert.equal(await dp.provider.commit(action(1)), version.packageHash);
  });

  it('says nothing of a large content, which may take long to look through: Inspect does', async () => {
    const version = await source.commit(packageId, 1, { a: Buffer.alloc(17 * pieceBytes) });
    const answer = await begin(version, 1, [await inlineOf(contentId)]);
    assert.deepEqual(answer, { contentIdsWithoutManifest: [], inspected: [] });
    assert.equal((await sender.wanted(version, 1)).length, 1);
  });

  it('needs no room for what is here already', async () => {
    const version = await source.commit(packageId, 1, { a: small });
    await sender.distribute(version, 1);
    await dp[Symbol.asyncDispose]();
    const config = { reserveBytes: Number.MAX_SAFE_INTEGER };
    dp = await TestDistributionPoint.open({ directory: directory.join('dp'), config });
    sender = new TestSender(source, dp.provider);
    const renamed = { ...version, properties: { ...version.properties, name: 'renamed' } };
    const answer = await begin(renamed, 2, [await inlineOf(contentId)]);
    assert.deepEqual(answer, {
      contentIdsWithoutManifest: [],
      inspected: [{ contentId, wanted: [] }],
    });
    assert.deepEqual(await staged(), []);
    await dp.provider.commit(action(2));
    assert.equal((await dp.library.getPackage(packageId))?.properties.name, 'renamed');
  });

  it('believes none that is not the one its hash names, and writes nothing of it', async () => {
    const version = await source.commit(packageId, 1, { a: small, b: big });
    const honest = await inlineOf(contentId);
    for (const field of ['manifest', 'signature'] as const) {
      const bytes = Buffer.from(honest[field]);
      bytes.writeUInt8(bytes.readUInt8(bytes.length - 2) ^ 1, bytes.length - 2);
      await assert.rejects(
        begin(version, 1, [{ ...honest, [field]: bytes }]),
        code('MANIFEST_INVALID', 'CONTENT_HASH_MISMATCH'),
        field,
      );
      assert.deepEqual(await staged(), [], field);
    }
  });

  it('lets no PutManifest touch what a commit reads, or leave anything behind it', async () => {
    const version = await source.commit(packageId, 1, { a: small });
    const parts = await sender.manifestOf(contentId);
    await begin(version, 1, [await inlineOf(contentId)]);
    await sender.bring(version, 1);
    const committing = dp.provider.commit(action(1));
    // Whether what it writes is taken from under it, or it comes to its turn after the commit.
    const put = assert.rejects(dp.provider.putManifest(action(1), contentId, chunksOf(parts)));
    assert.equal(await committing, version.packageHash);
    await put;
    assert.deepEqual(await staged().catch(() => []), []);
    const manifest = join(dp.library.layout.dataLibrary, `${contentId}.manifest`);
    assert.deepEqual(await readFile(manifest), parts[0]);
  });

  describe('on the wire', () => {
    const bytesOf = (length: number) => Buffer.alloc(length);
    const version = (manifestBytes = 10, signatureBytes = 32) =>
      ({ contents: [{ contentId, manifestBytes, signatureBytes }] }) as unknown as PackageVersion;
    const one = (manifestBytes = 10, signatureBytes = 32, id = contentId) => ({
      contentId: id,
      manifest: bytesOf(manifestBytes),
      signature: bytesOf(signatureBytes),
    });

    it('are taken when they have the lengths that were promised', () => {
      assert.deepEqual(requireManifests([one()], version()), [one()]);
      const most = inlineManifestBytesMax - 32;
      assert.equal(requireManifests([one(most)], version(most)).length, 1);
    });

    it('are refused else, before anything is done', () => {
      const long = inlineManifestBytesMax - 31;
      const refusals = [
        () => requireManifests([one(9)], version()),
        () => requireManifests([one(10, 33)], version()),
        () => requireManifests([one(10, 32, 'PS100002.1')], version()),
        () => requireManifests([one(), one()], version()),
        () => requireManifests([one(long)], version(long)),
      ];
      for (const refusal of refusals) assert.throws(refusal, code('MESSAGE_INVALID'));
    });
  });
});
