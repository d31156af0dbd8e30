import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { noiseOf } from '../testing/noise.ts';
import type { TestTree } from '../testing/test-library.ts';
import type { PackageFileEstimate } from './estimate-worker.ts';
import { estimatePackageFile } from './package-file-maker.ts';
import { packageId, TwoSites } from './testing/two-sites.ts';

const mebibyte = 1024 * 1024;

/** Half noise, half text: compresses to something over its half. */
function treeOf(megabytes: number, seed: number): TestTree {
  const files: Record<string, Uint8Array> = {};
  for (let index = 0; index < megabytes / 2; index++) {
    files[`noise-${index}.bin`] = noiseOf(mebibyte, seed * 1_000 + index);
    files[`words-${index}.txt`] = Buffer.from(`words of file ${index}. `.repeat(mebibyte / 20));
  }
  return files;
}

async function estimateOf(
  sites: TwoSites,
  options: { baseVersion: number; sampleBytesMax: number },
): Promise<PackageFileEstimate> {
  const { library } = sites.source;
  const version = await library.getPackage(packageId);
  assert.ok(version);
  const contents = [];
  for (const { contentId } of version.contents) contents.push(await library.openContent(contentId));
  const path = sites.directory.join('estimate');
  try {
    return await estimatePackageFile(
      { library, history: sites.history },
      { version, contents, path, ...options },
    );
  } finally {
    for (const content of contents) await content[Symbol.asyncDispose]();
  }
}

describe('estimate of a package file', () => {
  it('is what the file becomes, when all of it is looked at', async () => {
    await using sites = await TwoSites.open();
    await sites.publish(1, treeOf(6, 1));
    const estimate = await estimateOf(sites, { baseVersion: 0, sampleBytesMax: 64 * mebibyte });
    const { made } = await sites.make();
    assert.equal(estimate.fileBytes, made.fileBytes);
    assert.equal(estimate.fileCount, made.fileCount);
    assert.equal(estimate.isSampled, false);
  });

  it('is what a delta becomes, patches and deltas of manifests included (REP-2)', async () => {
    await using sites = await TwoSites.open();
    const tree = { ...treeOf(4, 1), 'small.txt': Buffer.from('a small file. '.repeat(2_000)) };
    await sites.publish(1, tree);
    const changed = Buffer.from(`${'a small file. '.repeat(2_000)}and more`);
    await sites.publish(2, { ...tree, 'small.txt': changed, 'new.bin': noiseOf(50_000, 3) });
    const estimate = await estimateOf(sites, { baseVersion: 1, sampleBytesMax: 64 * mebibyte });
    const { made } = await sites.make(1);
    assert.equal(estimate.fileBytes, made.fileBytes);
    assert.ok(made.fileBytes < 60_000);
  });

  it('is near what the file becomes, when some of it is looked at, and leaves nothing', async () => {
    await using sites = await TwoSites.open();
    await sites.publish(1, treeOf(40, 1));
    const before = await readdir(sites.directory.path);
    const estimate = await estimateOf(sites, { baseVersion: 0, sampleBytesMax: 16 * mebibyte });
    assert.deepEqual(await readdir(sites.directory.path), before);
    assert.equal(estimate.isSampled, true);
    const { made } = await sites.make();
    const share = estimate.fileBytes / made.fileBytes;
    // Like stands beside like, so one more block of text or noise than its share moves it.
    assert.ok(share > 0.75 && share < 1.35, `${estimate.fileBytes} for ${made.fileBytes}`);
  });

  it('says when the base is not known', async () => {
    await using sites = await TwoSites.open();
    await sites.publish(2, treeOf(2, 1));
    await assert.rejects(estimateOf(sites, { baseVersion: 1, sampleBytesMax: mebibyte }), {
      code: 'DELTA_BASE_MISSING',
    });
  });
});
