import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashOf } from '../content-library/content-hash.ts';
import { filePathOf } from '../content-library/library-layout.ts';
import { headerBytes } from '../content-library/manifest-format.ts';
import type { ContentDescriptor } from '../domain/content.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import type { PackageVersion } from '../domain/package.ts';
import { noiseOf } from '../testing/noise.ts';
import { SeededRandom } from '../testing/seeded-random.ts';
import { toVersion } from '../testing/test-library.ts';
import { headBytes, type PackageFileHead } from './package-file-format.ts';
import { type ForgedItem, forgedBlock, forgedFile } from './testing/forged-file.ts';
import { packageId, TwoSites } from './testing/two-sites.ts';

const isLong = process.env.WAYBILL_TEST_SCALE === 'long';
const seed = Number(process.env.WAYBILL_TEST_SEED ?? (isLong ? Date.now() % 1e6 : 1));
const rounds = isLong ? 4_000 : 120;

/** Bytes of files the site got before, a base among them. */
const base = noiseOf(1_200_000, 1);
const changed = Buffer.concat([Buffer.from('in front'), base]);
const trees = {
  old: { big: base, same: Buffer.from('same') },
  new: {
    big: changed,
    same: Buffer.from('same'),
    text: Buffer.alloc(9_000, 'words '),
    none: Buffer.alloc(0),
  },
} as const;

/** A site that has the first version, and a right delta and a right full file of the second. */
async function openSites() {
  const sites = await TwoSites.open();
  await sites.publish(1, trees.old);
  await sites.receive(await sites.make());
  const version = await sites.publish(2, trees.new);
  await sites.addDelta(version, base, changed);
  const [delta, full] = [await sites.make(1), await sites.make(0)];
  return { sites, version, delta, full };
}

/** Every file of the other site's library has the bytes that its name promises; nothing is elsewhere. */
async function assertSound(sites: TwoSites): Promise<void> {
  const { fileLibrary, staging } = sites.target.library.layout;
  for (const shard of await readdir(fileLibrary)) {
    for (const name of await readdir(join(fileLibrary, shard))) {
      assert.equal(hashOf(await readFile(join(fileLibrary, shard, name))), name);
    }
  }
  for (const name of await readdir(staging)) assert.equal(name, packageId);
  const root = sites.directory.join('target');
  assert.deepEqual((await readdir(root)).sort(), ['library', 'state', 'state.lock']);
  const library = await readdir(join(root, 'library'));
  assert.deepEqual(library.sort(), ['data-lib', 'file-lib', 'pkg-lib', 'staging']);
}

/** Takes bytes apart; they are right after all, or refused with a code. */
async function offer(
  sites: TwoSites,
  bytes: Uint8Array,
  of: { version: PackageVersion; baseVersion: number },
): Promise<'taken' | 'refused'> {
  const path = sites.directory.join('offered');
  await writeFile(path, bytes);
  try {
    await sites.unpack({ ...of, path, made: undefined as never });
    return 'taken';
  } catch (error) {
    const isExpected = isErrorWithCode(error, 'PACKAGE_FILE_INVALID', 'DELTA_BASE_MISSING');
    assert.ok(isExpected, error instanceof Error ? error.stack : String(error));
    return 'refused';
  }
}

/** One random harm to a file. */
function harmed(bytes: Buffer, random: SeededRandom): Buffer {
  const at = () => random.below(bytes.length);
  const copy = Buffer.from(bytes);
  const harms = [
    () => flipped(copy, at(), 1 << random.below(8)),
    () => flipped(copy, random.below(headBytes), 1 << random.below(8)),
    () => copy.subarray(0, at()),
    () => Buffer.concat([copy, random.bytes(1 + random.below(50))]),
    () => {
      const [from, to] = [at(), at()];
      return Buffer.concat([copy.subarray(0, from), copy.subarray(to)]);
    },
    () => copy.fill(random.below(256), at(), at()),
    () => {
      const position = random.below(bytes.length - 4);
      copy.writeUInt32LE(random.pick([0, 1, 0x7fffffff, 0xffffffff, random.below(1e6)]), position);
      return copy;
    },
  ];
  return random.pick(harms)();
}

function flipped(bytes: Buffer, position: number, bit: number): Buffer {
  bytes[position] = (bytes[position] ?? 0) ^ bit;
  return bytes;
}

/** The records of a full file of the second version, right. */
async function rightItems(sites: TwoSites, version: PackageVersion): Promise<ForgedItem[]> {
  const { contentId } = version.contents[0] ?? assert.fail();
  await using content = await sites.source.library.openContent(contentId);
  const files = [...new Map(Object.values(trees.new).map((file) => [hashOf(file), file]))];
  return [
    { record: { kind: 'manifest' }, bytes: await readFile(content.manifestPath) },
    { record: { kind: 'signature' }, bytes: await readFile(content.signaturePath) },
    ...files.map(([hash, bytes]): ForgedItem => {
      return { record: { kind: 'file', hash, sizeBytes: bytes.length }, bytes };
    }),
  ];
}

/** One random lie of somebody who makes package files. */
function lied(
  items: readonly ForgedItem[],
  random: SeededRandom,
): { items: ForgedItem[]; head: Partial<PackageFileHead> } {
  const copy = [...items];
  const index = random.below(copy.length);
  const one = copy[index] ?? assert.fail();
  const fields = [
    'rawBytes',
    'fileCount',
    'fileBytes',
    'deltaCount',
    'deltaBytes',
    'patchCount',
    'patchBytes',
    'madeBytes',
    'bundleBytes',
  ] as const;
  const number = random.pick([0, 1, 2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER, random.below(1e7)]);
  const lies = [
    () => ({ items: copy, head: { [random.pick(fields)]: number } }),
    () => ({ items: copy.toSpliced(index, 1), head: {} }),
    () => ({ items: copy.toSpliced(index, 0, random.pick(items)), head: {} }),
    () => ({ items: [...copy.slice(index), ...copy.slice(0, index)], head: {} }),
    () => ({
      items: copy.with(index, { ...one, bytes: random.bytes(random.below(100)) }),
      head: {},
    }),
    () => {
      const record =
        one.record.kind === 'file' ? { ...one.record, sizeBytes: number % 2 ** 47 } : one.record;
      return { items: copy.with(index, { ...one, record }), head: {} };
    },
    () => {
      const delta = {
        ...{ fileHash: hashOf(changed), fileBytes: changed.length, baseHash: hashOf(base) },
        ...{ baseBytes: base.length, deltaHash: hashOf(Buffer.from('no delta')), deltaBytes: 8 },
      };
      const contentIndex = random.pick([0, 1, 65_535]);
      const record = { kind: 'delta', contentIndex, delta } as const;
      return {
        items: copy.toSpliced(index, 1, { record, bytes: Buffer.from('no delta') }),
        head: {},
      };
    },
  ];
  return random.pick(lies)();
}

describe('package file that is damaged or made to do harm', () => {
  it(`does none, however it is harmed, from seed ${seed} (REP-7)`, async () => {
    const { sites, version, delta, full } = await openSites();
    await using _ = sites;
    const random = new SeededRandom(seed);
    let takenCount = 0;
    for (let round = 0; round < rounds; round++) {
      const sent = random.pick([delta, full]);
      const bytes = harmed(await readFile(sent.path), random);
      const taken = await offer(sites, bytes, { version, baseVersion: sent.baseVersion });
      if (taken === 'taken') takenCount += 1;
    }
    await assertSound(sites);
    // Some harm makes no difference, such as an empty stretch that is cut out.
    assert.ok(takenCount < rounds / 4, `${takenCount} were taken`);
    await sites.receive(delta);
  }).timeout(600_000);

  it(`does none, whatever its maker says, from seed ${seed} (REP-7)`, async () => {
    const { sites, version } = await openSites();
    await using _ = sites;
    const random = new SeededRandom(seed);
    const right = await rightItems(sites, version);
    const of = { version, baseVersion: 0 };
    assert.equal(await offer(sites, forgedFile({ version, items: right }), of), 'taken');
    for (let round = 0; round < rounds; round++) {
      const { items, head } = lied(right, random);
      await offer(sites, forgedFile({ version, items, head }), of);
    }
    await assertSound(sites);
  }).timeout(600_000);

  it('does not become more than it says: a bomb is refused in its first block (REP-7)', async () => {
    const { sites, version } = await openSites();
    await using _ = sites;
    const items = await rightItems(sites, version);
    const right = forgedFile({ version, items });
    const start = headBytes + JSON.parse(right.toString('latin1', 8, headBytes)).bundleBytes;
    const bomb = forgedBlock(Buffer.alloc(256 * 1024 * 1024));
    const rawBytes = right.readUInt32LE(start);
    const of = { version, baseVersion: 0 };
    const before = process.memoryUsage().rss;
    for (const said of [rawBytes, 0xffffffff, 4 * 1024 * 1024]) {
      bomb.writeUInt32LE(said, 0);
      const bytes = Buffer.concat([right.subarray(0, start), bomb]);
      assert.equal(await offer(sites, bytes, of), 'refused');
    }
    const grownBytes = process.memoryUsage().rss - before;
    assert.ok(grownBytes < 100 * 1024 * 1024, `${grownBytes} bytes`);
  });

  it('cannot make the library hold a name that leads elsewhere (REP-7)', async () => {
    const { sites } = await openSites();
    await using _ = sites;
    const file = Buffer.from('harm');
    for (const name of [
      '../../../../harm',
      'a/b',
      '..',
      '.',
      '',
      'a\0b',
      'x'.repeat(256),
      '\ud800',
    ]) {
      const { descriptor, manifest } = forgedContent(name, file);
      const version = toVersion(packageId, 2, [descriptor]);
      const items: ForgedItem[] = [
        { record: { kind: 'manifest' }, bytes: manifest },
        { record: { kind: 'signature' }, bytes: Buffer.alloc(0) },
        { record: { kind: 'file', hash: hashOf(file), sizeBytes: file.length }, bytes: file },
      ];
      const of = { version, baseVersion: 0 };
      const taken = await offer(sites, forgedFile({ version, items }), of);
      assert.equal(taken, 'refused', JSON.stringify(name));
    }
    await assertSound(sites);
    const { descriptor, manifest } = forgedContent('harmless', file);
    const version = toVersion(packageId, 2, [descriptor]);
    const items: ForgedItem[] = [
      { record: { kind: 'manifest' }, bytes: manifest },
      { record: { kind: 'signature' }, bytes: Buffer.alloc(0) },
      { record: { kind: 'file', hash: hashOf(file), sizeBytes: file.length }, bytes: file },
    ];
    const of = { version, baseVersion: 0 };
    assert.equal(await offer(sites, forgedFile({ version, items }), of), 'taken');
  });

  it('cannot take the name of a content of another package (REP-7)', async () => {
    const { sites } = await openSites();
    await using _ = sites;
    const file = Buffer.from('harm');
    const offered = async (contentId: string) => {
      const { descriptor, manifest } = forgedContent('file', file, contentId);
      const version = toVersion(packageId, 2, [descriptor]);
      const items: ForgedItem[] = [
        { record: { kind: 'manifest' }, bytes: manifest },
        { record: { kind: 'signature' }, bytes: Buffer.alloc(0) },
        { record: { kind: 'file', hash: hashOf(file), sizeBytes: file.length }, bytes: file },
      ];
      return offer(sites, forgedFile({ version, items }), { version, baseVersion: 0 });
    };
    for (const contentId of ['PS200001.1', 'PS200001.9']) {
      assert.equal(await offered(contentId), 'refused', contentId);
    }
    for (const contentId of ['Content_1.2', `${packageId}.2`]) {
      assert.equal(await offered(contentId), 'taken', contentId);
    }
  });

  it('cannot make a file of other bytes by a delta (REP-7)', async () => {
    const { sites, version } = await openSites();
    await using _ = sites;
    const { library } = sites.source;
    const [right] = await library.deltasOf(version.contents[0]?.contentId ?? '');
    if (!right) return assert.fail('There is no delta');
    const path = filePathOf(library.layout.fileLibrary, right.deltaHash);
    const items = (await rightItems(sites, version)).filter(({ record }) => {
      return record.kind !== 'file' || record.hash !== right.fileHash;
    });
    const outcomes = new Set<string>();
    for (let position = 0; position < right.deltaBytes; position++) {
      const bytes = flipped(await readFile(path), position, 1);
      const delta = { ...right, deltaHash: hashOf(bytes) };
      const record = { kind: 'delta', contentIndex: 0, delta } as const;
      const file = forgedFile({ version, baseVersion: 1, items: [...items, { record, bytes }] });
      outcomes.add(await offer(sites, file, { version, baseVersion: 1 }));
    }
    assert.deepEqual([...outcomes], ['refused']);
    await assertSound(sites);
  });

  it('cannot bring more files or bytes than its version has (REP-7)', async () => {
    const { sites, version } = await openSites();
    await using _ = sites;
    const items = await rightItems(sites, version);
    const more = noiseOf(100_000, 9);
    const extra: ForgedItem = {
      record: { kind: 'file', hash: hashOf(more), sizeBytes: more.length },
      bytes: more,
    };
    const of = { version, baseVersion: 0 };
    assert.equal(
      await offer(sites, forgedFile({ version, items: [...items, extra] }), of),
      'refused',
    );
    const [isHeld] = await sites.target.library.areHeld([
      { hash: hashOf(more), sizeBytes: more.length },
    ]);
    assert.equal(isHeld, false, 'refused before it is written');
  });
});

/** A content of one file, with a manifest that says what it likes, under the right hashes. */
function forgedContent(
  name: string,
  file: Buffer,
  contentId = `${packageId}.2`,
): { descriptor: ContentDescriptor; manifest: Buffer } {
  const counts = { entryCount: 1, fileCount: 1, sizeBytes: file.length };
  const header = JSON.stringify({ format: 1, contentId, ...counts }).padEnd(headerBytes - 1);
  const line = JSON.stringify(['f', 0, name, file.length, 0o644, '0', hashOf(file)]);
  const manifest = Buffer.from(`${header}\n${line}\n`);
  const descriptor = {
    ...{ contentId, contentHash: hashOf(manifest.subarray(headerBytes)) },
    ...{ signatureHash: hashOf(Buffer.alloc(0)), signatureBytes: 0 },
    ...{ manifestBytes: manifest.length, ...counts },
  };
  return { descriptor, manifest };
}
