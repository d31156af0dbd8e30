import assert from 'node:assert/strict';
import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashOf } from '../content-library/content-hash.ts';
import type { ContentReader } from '../content-library/content-reader.ts';
import { filePathOf } from '../content-library/library-layout.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import { noiseOf } from '../testing/noise.ts';
import { SeededRandom } from '../testing/seeded-random.ts';
import { readPatchList } from './patch-list.ts';
import {
  defaultStepPatchesConfig,
  makeStepPatches,
  type StepPatchesConfig,
} from './step-patches.ts';
import { forgedFile } from './testing/forged-file.ts';
import { packageId, type SentFile, TwoSites } from './testing/two-sites.ts';

const fileCount = 80;
const fileBytes = 20_000;

/** Files that do not compress; each has other bytes inside since the version it changed in. */
function treeOf(version: number, changedIn: (index: number) => number = () => version) {
  const files: Record<string, Uint8Array> = {};
  for (let index = 0; index < fileCount; index++) {
    const bytes = Buffer.from(noiseOf(fileBytes, 1_000 + index));
    const change = changedIn(index);
    if (change > 1) bytes.set(noiseOf(200, change * 10_000 + index), 7_000);
    files[`f${index}`] = bytes;
  }
  return { files };
}

async function assertHeld(sites: TwoSites, tree: ReturnType<typeof treeOf>): Promise<void> {
  const out = sites.directory.join('out');
  await sites.target.library.extractPackage(packageId, out);
  for (const [name, bytes] of Object.entries(tree.files)) {
    assert.deepEqual(await readFile(join(out, 'files', name)), bytes);
  }
  await rm(out, { recursive: true });
}

/** Both sites have the first version; the source site has the second, too. */
async function openSites(): Promise<{ sites: TwoSites; tree: ReturnType<typeof treeOf> }> {
  const sites = await TwoSites.open();
  await sites.publish(1, treeOf(1));
  await sites.receive(await sites.make());
  const tree = treeOf(2);
  await sites.publish(2, tree);
  return { sites, tree };
}

/** The contents that the source site has now, kept. */
async function contentsOf({ source: { library } }: TwoSites): Promise<ContentReader[]> {
  const { contents = [] } = (await library.getPackage(packageId)) ?? {};
  return Promise.all(contents.map(({ contentId }) => library.openContent(contentId)));
}

function patchesPath(sites: TwoSites, version: number): string {
  return sites.directory.join('history', packageId, String(version), 'patches');
}

async function refusalOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => assert.fail('It was not refused'),
    (error: unknown) => error,
  );
}

describe('patches of small files', () => {
  it('travel in place of files that changed a little, and are not kept (REP-2)', async () => {
    const { sites, tree } = await openSites();
    await using _ = sites;
    const sent = await sites.make(1);
    assert.equal(sent.made.fileCount, fileCount);
    // 200 other bytes in each file, three hashes, and little more.
    const eachBytes = sent.made.fileBytes / fileCount;
    assert.ok(eachBytes < 200 + 3 * 32 + 100, `${eachBytes} bytes a file`);
    const { deltas } = await sites.receive(sent);
    assert.deepEqual(deltas, []);
    await assertHeld(sites, tree);
    const { contentId } = sent.version.contents[0] ?? assert.fail();
    assert.deepEqual(await sites.target.library.deltasOf(contentId), []);
    assert.deepEqual(await readdir(sites.target.library.layout.staging), []);
  });

  it('serve every version in which a file still had its old bytes (REP-2)', async () => {
    // A quarter of the files changes in each step from the second to the fourth version.
    const changedIn = (version: number) => (index: number) =>
      index % 4 !== 0 && (index % 4) + 1 <= version ? (index % 4) + 1 : 1;
    await using sites = await TwoSites.open();
    const sent: SentFile[] = [];
    for (let version = 1; version <= 5; version++) {
      await sites.publish(version, treeOf(version, changedIn(version)));
      sent.push(await sites.make());
    }
    const last = treeOf(5, changedIn(5));
    for (const [base, changedCount] of [
      [1, (3 * fileCount) / 4],
      [2, fileCount / 2],
      [3, fileCount / 4],
    ] as const) {
      const delta = await sites.make(base);
      assert.equal(delta.made.fileCount, changedCount);
      assert.ok(
        delta.made.fileBytes < (changedCount * fileBytes) / 20,
        `${delta.made.fileBytes} bytes`,
      );
      await using other = await TwoSites.open();
      await other.receive(sent[base - 1] ?? assert.fail());
      await other.receive(delta);
      await assertHeld(other, last);
    }
  });

  it('are there for a library delta whose base is in an older version, too (REP-2)', async () => {
    await using sites = await TwoSites.open();
    const base = noiseOf(600_000, 1);
    const file = Buffer.concat([Buffer.from('in front'), base]);
    for (const version of [1, 2]) {
      await sites.publish(version, { big: base, small: Buffer.from(`${version}`) });
      if (version === 1) await sites.receive(await sites.make());
    }
    const version = await sites.publish(3, { big: file, small: Buffer.from('3') });
    await sites.addDelta(version, base, file);
    const sent = await sites.make(1);
    assert.ok(sent.made.fileBytes < 5_000, `${sent.made.fileBytes} bytes`);
    await sites.receive(sent);
  });

  it('are made of those small files only that get shorter by it', async () => {
    await using sites = await TwoSites.open();
    const text = (words: string) => Buffer.from(words.repeat(50));
    const [big, other] = [noiseOf(300_000, 1), noiseOf(300_000, 2)];
    const at = {
      words: text('old words. '),
      tiny: Buffer.from('1'),
      noise: noiseOf(9_000, 3),
      big,
    };
    await sites.publish(1, at);
    const noise = Buffer.concat([at.noise, Buffer.from('more')]);
    await sites.publish(2, {
      words: text('new words. '),
      tiny: Buffer.from('2'),
      noise,
      big: other,
    });
    const hashes = [...readPatchList(patchesPath(sites, 2))].map((patch) => patch.fileHash);
    assert.deepEqual(hashes, [hashOf(noise)]);
  });

  it('are bounded in number, and in what is read for them', async () => {
    const { sites } = await openSites();
    await using _ = sites;
    const before = await contentsOf(sites);
    await sites.publish(3, treeOf(3));
    const after = await contentsOf(sites);
    const { fileLibrary } = sites.source.library.layout;
    const step = { before, contents: after, fileLibrary };
    const path = sites.directory.join('list');
    const countWith = async (limits: Partial<StepPatchesConfig>) => {
      const config = { ...defaultStepPatchesConfig, ...limits };
      await writeFile(path, await makeStepPatches(step, () => {}, config));
      return [...readPatchList(path)].length;
    };
    assert.equal(await countWith({}), fileCount);
    assert.equal(await countWith({ patchCountMax: 7 }), 7);
    assert.equal(await countWith({ readBytesMax: 11 * 2 * fileBytes }), 11);
    assert.equal(await countWith({ fileBytesMin: fileBytes + 1 }), 0);
    for (const content of before) await content[Symbol.asyncDispose]();
    for (const content of after) await content[Symbol.asyncDispose]();
  });

  it('make the same package file each time', async () => {
    const { sites } = await openSites();
    await using _ = sites;
    const [first, second] = [await sites.make(1), await sites.make(1)];
    assert.equal(first.made.fileHash, second.made.fileHash);
  });

  it('cost only bytes when they are lost, damaged or cut off (REP-2)', async () => {
    const { sites, tree } = await openSites();
    await using _ = sites;
    const path = patchesPath(sites, 2);
    const right = await readFile(path);
    const flipped = Buffer.from(right);
    flipped[5_000] = (flipped[5_000] ?? 0) ^ 1;
    const lose = [
      () => writeFile(path, flipped),
      () => truncate(path, 3_000),
      () => truncate(path, 3),
      () => rm(path),
    ];
    for (const harm of lose) {
      await harm();
      const sent = await sites.make(1);
      assert.ok(sent.made.fileBytes > fileCount * fileBytes, 'all files travel whole');
      await sites.unpack(sent);
    }
    await sites.receive(await sites.make(1));
    await assertHeld(sites, tree);
  });

  it('are not made of what the library has damaged', async () => {
    await using sites = await TwoSites.open();
    const before = treeOf(1);
    await sites.publish(1, before);
    const { fileLibrary } = sites.source.library.layout;
    const [lost, wrong] = [before.files.f3, before.files.f4].map((bytes) =>
      hashOf(bytes ?? assert.fail()),
    );
    await rm(filePathOf(fileLibrary, lost ?? ''));
    await rm(filePathOf(fileLibrary, wrong ?? ''));
    await writeFile(filePathOf(fileLibrary, wrong ?? ''), noiseOf(fileBytes, 1));
    await sites.publish(2, treeOf(2));
    const bases = [...readPatchList(patchesPath(sites, 2))].map((patch) => patch.baseHash);
    assert.equal(bases.length, fileCount - 2);
    assert.ok(!bases.includes(lost ?? '') && !bases.includes(wrong ?? ''));
  });

  it('need their bases, which are not believed: a full file is asked for (REP-2)', async () => {
    const { sites, tree } = await openSites();
    await using _ = sites;
    const { library } = sites.target;
    const hash = hashOf(treeOf(1).files.f9 ?? assert.fail());
    const path = filePathOf(library.layout.fileLibrary, hash);
    await rm(path);
    await writeFile(path, noiseOf(fileBytes, 1));
    const sent = await sites.make(1);
    for (const what of ['damaged', 'gone']) {
      const error = await refusalOf(sites.unpack(sent));
      assert.ok(isErrorWithCode(error, 'DELTA_BASE_MISSING'), `${what}: ${error}`);
      const [isHeld] = await library.areHeld([{ hash, sizeBytes: fileBytes }]);
      assert.equal(isHeld, false, 'what is damaged leaves the library');
    }
    await sites.receive(await sites.make());
    await assertHeld(sites, tree);
  });

  it('cannot make a file of other bytes, whatever is in them (REP-7)', async () => {
    await using sites = await TwoSites.open();
    const [base, file] = [Buffer.from(noiseOf(500, 1)), Buffer.from(noiseOf(500, 1))];
    file.set(Buffer.from('changed'), 90);
    await sites.publish(1, { one: base });
    await sites.receive(await sites.make());
    const version = await sites.publish(2, { one: file });
    const [right] = [...readPatchList(patchesPath(sites, 2))];
    if (!right) return assert.fail('There is no patch');
    const { bytes: rightBytes, ...patch } = right;
    const { contentId } = version.contents[0] ?? assert.fail();
    await using content = await sites.source.library.openContent(contentId);
    const items = [
      { record: { kind: 'manifest' as const }, bytes: await readFile(content.manifestPath) },
      { record: { kind: 'signature' as const }, bytes: await readFile(content.signaturePath) },
    ];
    const path = sites.directory.join('forged');
    const offer = async (lie: Partial<typeof patch>, bytes: Buffer, baseVersion = 1) => {
      const record = { kind: 'patch' as const, patch: { ...patch, ...lie } };
      const all = [...items, { record, bytes }];
      await writeFile(path, forgedFile({ version, baseVersion, items: all }));
      return sites.unpack({ path, version, baseVersion, made: undefined as never });
    };
    const refused: [Promise<unknown>, string][] = [];
    const random = new SeededRandom(7);
    for (let position = 0; position < rightBytes.length; position++) {
      const bytes = Buffer.from(rightBytes);
      bytes[position] = (bytes[position] ?? 0) ^ (1 << random.below(8));
      refused.push([refusalOf(offer({}, bytes)), `byte ${position}`]);
      await refused.at(-1)?.[0];
    }
    const cut = rightBytes.subarray(0, -1);
    const long = { patchBytes: 501 };
    const lies: [Partial<typeof patch>, Buffer, number?][] = [
      [{ patchBytes: cut.length }, cut],
      [{ patchBytes: 0 }, Buffer.alloc(0)],
      [long, Buffer.alloc(501)],
      [{ baseBytes: 2 ** 40 }, rightBytes],
      [{ fileBytes: 2 ** 40 }, rightBytes],
      [{ fileBytes: 499 }, rightBytes],
      [{ fileHash: hashOf(base) }, rightBytes],
      [{}, rightBytes, 0],
    ];
    for (const [lie, bytes, baseVersion] of lies) {
      refused.push([refusalOf(offer(lie, bytes, baseVersion)), JSON.stringify(lie)]);
      await refused.at(-1)?.[0];
    }
    for (const [refusal, what] of refused) {
      const error = await refusal;
      assert.ok(isErrorWithCode(error, 'PACKAGE_FILE_INVALID'), `${what}: ${error}`);
    }
    await offer({}, rightBytes);
  });
});
