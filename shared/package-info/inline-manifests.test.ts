import assert from 'node:assert/strict';
import { readFile, rm, truncate } from 'node:fs/promises';
import { inlineManifestBytesMax, messageBytesMax } from '../rpc/rpc-limits.ts';
import { methodDefinition } from '../rpc/service-definitions.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { TestLibrary, toVersion } from '../testing/test-library.ts';
import { inlineManifests } from './inline-manifests.ts';
import { toPackageVersionMessage } from './package-version-message.ts';

const packageId = 'PS100001';

describe('manifests inside Begin', () => {
  let directory: TemporaryDirectory;
  let test: TestLibrary;

  beforeEach(async function () {
    this.timeout(10_000);
    directory = await TemporaryDirectory.create();
    test = await TestLibrary.open({ directory: directory.path });
  });
  afterEach(async function () {
    this.timeout(10_000);
    await test[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  /** A tree whose manifest has about so many bytes. */
  function treeOf(manifestBytes: number) {
    const names = Array.from({ length: manifestBytes / 400 }, (_, index) => `${index}`);
    return Object.fromEntries(names.map((name) => [name.padEnd(240, 'n'), Buffer.alloc(0)]));
  }

  async function commit(contents: Record<string, ReturnType<typeof treeOf>>) {
    const parts = [];
    for (const [contentId, tree] of Object.entries(contents)) {
      parts.push(await test.stage(packageId, contentId, tree));
    }
    const version = toVersion(
      packageId,
      1,
      parts.map(({ descriptor }) => descriptor),
    );
    const staged = parts.map((part) => part.staged);
    await test.library.commitPackage({ version, jobSerial: 1, staged });
    return version;
  }

  it('are those of small contents, whole', async () => {
    const version = await commit({ 'a.1': treeOf(800), 'b.1': treeOf(100_000) });
    assert.ok((version.contents[1]?.manifestBytes ?? 0) > inlineManifestBytesMax);
    const [only, ...others] = await inlineManifests(test.library, version);
    assert.equal(others.length, 0);
    await using content = await test.library.openContent('a.1');
    assert.deepEqual(only, {
      contentId: 'a.1',
      manifest: await readFile(content.manifestPath),
      signature: await readFile(content.signaturePath),
    });
  });

  it('are as many as the message has room for beside icon and programs', async function () {
    this.timeout(30_000);
    const contents = Array.from({ length: 26 }, (_, index) => [`${index}.1`, treeOf(60_000)]);
    const committed = await commit(Object.fromEntries(contents));
    const programs = Array.from({ length: 20 }, () => ({
      name: 'p',
      commandLine: '"'.repeat(8_000),
    }));
    const { properties } = committed;
    const iconBase64 = Buffer.alloc(256 * 1024).toString('base64');
    const versions = [
      { ...committed, properties: { ...properties, iconBase64 } },
      { ...committed, properties: { ...properties, iconBase64, programs } },
      committed,
    ];
    const counts: number[] = [];
    for (const version of versions) {
      const manifests = await inlineManifests(test.library, version);
      counts.push(manifests.length);
      const action = { packageId, jobSerial: 1 };
      const message = { action, package: toPackageVersionMessage(version), manifests };
      const { requestSerialize } = methodDefinition('DistributionPoint', 'begin');
      assert.ok(requestSerialize(message).length <= messageBytesMax);
    }
    const [withIcon = 0, withPrograms = 0, without = 0] = counts;
    assert.ok(withPrograms < withIcon && withIcon < without && without < 26, `${counts}`);
  });

  it('leave out one that is lost or has not its length any more: PutManifest says what is wrong', async () => {
    const version = await commit({ 'a.1': treeOf(800) });
    await using content = await test.library.openContent('a.1');
    for (const harm of [
      () => truncate(content.manifestPath, 100),
      () => rm(content.manifestPath),
    ]) {
      await harm();
      assert.deepEqual(await inlineManifests(test.library, version), []);
    }
  });
});
