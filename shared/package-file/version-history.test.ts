import assert from 'node:assert/strict';
import { mkdir, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { hashOf } from '../content-library/content-hash.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { toVersion } from '../testing/test-library.ts';
import { SortedHashes } from './sorted-hashes.ts';
import { packageId, TwoSites } from './testing/two-sites.ts';

const bytes = (text: string) => Buffer.from(text);
const tree = (version: number) => ({ same: bytes('same'), own: bytes(`of version ${version}`) });

describe('version history', () => {
  it('knows the files of the last five versions before the newest (REP-2)', async () => {
    await using sites = await TwoSites.open();
    for (let version = 1; version <= 7; version++) await sites.publish(version, tree(version));
    assert.equal(await sites.history.hasVersion(packageId, 1), false);
    for (let version = 2; version <= 7; version++) {
      using files = (await sites.history.filesOf(packageId, version)) ?? assert.fail();
      assert.ok(files.has(hashOf(bytes('same'))));
      assert.ok(files.has(hashOf(bytes(`of version ${version}`))));
      assert.ok(!files.has(hashOf(bytes(`of version ${version + 1}`))));
    }
    const kept = await readdir(sites.directory.join('history', packageId));
    assert.deepEqual(kept.sort(), ['2', '3', '4', '5', '6', '7']);
  });

  it('records a version once, and goes on after a crash', async () => {
    await using sites = await TwoSites.open();
    const version = await sites.source.commit(packageId, 3, tree(3));
    const unfinished = sites.directory.join('history', packageId, '3.part');
    await mkdir(unfinished, { recursive: true });
    await writeFile(`${unfinished}/hashes`, 'half of it');
    assert.equal(await sites.history.hasVersion(packageId, 3), false);
    await sites.history.record(version);
    await sites.history.record(version);
    assert.deepEqual(await readdir(sites.directory.join('history', packageId)), ['3']);
  });

  it('does not know a version of which a part is lost, and records it anew', async () => {
    await using sites = await TwoSites.open();
    const version = await sites.publish(1, tree(1));
    const directory = sites.directory.join('history', packageId, '1');
    for (const name of ['hashes', 'contents.json']) {
      await rm(`${directory}/${name}`);
      assert.equal(await sites.history.hasVersion(packageId, 1), false);
      await sites.history.record(version);
      assert.equal(await sites.history.hasVersion(packageId, 1), true);
    }
    await truncate(`${directory}/contents.json`, 5);
    assert.equal(await sites.history.hasVersion(packageId, 1), false);
  });

  it('does not know a version whose list of contents was damaged, whatever it says now', async () => {
    await using sites = await TwoSites.open();
    const version = await sites.publish(1, tree(1));
    const [content] = version.contents;
    const path = sites.directory.join('history', packageId, '1', 'contents.json');
    for (const damaged of [
      null,
      {},
      [{}],
      [5],
      [{ ...content, contentId: '../../../state' }],
      [{ ...content, manifestBytes: '9' }],
      [{ ...content, contentHash: undefined }],
    ]) {
      await writeFile(path, JSON.stringify(damaged));
      assert.equal(await sites.history.hasVersion(packageId, 1), false, JSON.stringify(damaged));
    }
    await sites.history.record(version);
    assert.equal(await sites.history.hasVersion(packageId, 1), true);
  });

  it('leaves nothing of a version that the library has no more', async () => {
    await using sites = await TwoSites.open();
    const { contents } = await sites.publish(1, tree(1));
    await sites.publish(2, tree(2));
    const gone = toVersion(packageId, 3, contents);
    const error = await sites.history.record(gone).catch((reason: unknown) => reason);
    assert.ok(isErrorWithCode(error, 'CONTENT_NOT_HELD'));
    assert.deepEqual(await readdir(sites.directory.join('history', packageId)), ['1', '2']);
  });

  it('forgets a package', async () => {
    await using sites = await TwoSites.open();
    await sites.publish(1, tree(1));
    await sites.history.forget(packageId);
    await sites.history.forget(packageId);
    assert.equal(await sites.history.hasVersion(packageId, 1), false);
  });
});

describe('sorted hashes', () => {
  it('have what is in them, and nothing else', async () => {
    await using directory = await TemporaryDirectory.create();
    for (const count of [0, 1, 127, 128, 129, 1_000]) {
      const all = Array.from({ length: 2 * count }, (_, index) => hashOf(bytes(`${index}`)));
      const path = directory.join(String(count));
      await writeFile(path, Buffer.from(all.slice(0, count).sort().join(''), 'hex'));
      using hashes = new SortedHashes(path);
      for (const [index, hash] of all.entries()) assert.equal(hashes.has(hash), index < count);
    }
  });

  it('tell hashes apart that begin alike', async () => {
    await using directory = await TemporaryDirectory.create();
    const alike = (index: number) => `${'ab'.repeat(6)}${index.toString(16).padStart(52, '0')}`;
    const path = directory.join('alike');
    const all = Array.from({ length: 400 }, (_, index) => alike(2 * index));
    await writeFile(path, Buffer.from(all.join(''), 'hex'));
    using hashes = new SortedHashes(path);
    for (let index = 0; index < 800; index++) {
      assert.equal(hashes.has(alike(index)), index % 2 === 0);
    }
  });
});
