import assert from 'node:assert/strict';
import { hashOf } from '../content-library/content-hash.ts';
import { pieceBytes } from '../domain/content.ts';
import type { PackageVersion } from '../domain/package.ts';
import { collect } from '../testing/test-library.ts';
import { action, big, bytes, ProviderTest, packageId } from './testing/provider-test.ts';

const contentId = `${packageId}.1`;

describe('wanted units of a content (PULL-6)', () => {
  let test: ProviderTest;
  beforeEach(async function () {
    this.timeout(10_000);
    test = await ProviderTest.open();
  });
  afterEach(async function () {
    this.timeout(10_000);
    await test[Symbol.asyncDispose]();
  });

  const tree = { a: bytes('one'), b: big('b'), c: bytes('three'), d: { e: bytes('five') } };

  async function wanted(jobSerial: number) {
    const parts = await collect(test.dp.provider.wantedFiles(action(jobSerial), contentId));
    const units = parts.flatMap(({ files }) =>
      files.map(({ hash, firstUnit, pieces }) => ({
        hash,
        firstUnit,
        held: [...Array(pieces.pieceCount).keys()].filter((index) => pieces.has(index)),
      })),
    );
    return { parts: parts.map(({ firstUnit, endUnit }) => [firstUnit, endUnit]), units };
  }

  async function begun(redistribute = false): Promise<PackageVersion> {
    const version = await test.publish(1, tree);
    await test.sender.begin(version, 1, redistribute);
    return version;
  }

  it('counts the units of all files, and says which pieces are here', async () => {
    await begun();
    await wanted(1);
    const piece = Buffer.from(big('b').subarray(pieceBytes, 2 * pieceBytes));
    await test.sender.sendPiece(action(1), hashOf(big('b')), 1, piece);
    await test.dp.provider.receiveSmallFiles(action(1), [
      { hash: hashOf(tree.a), bytes: Buffer.from(tree.a) },
    ]);
    assert.deepEqual(await wanted(1), {
      parts: [[0, 6]],
      units: [
        { hash: hashOf(tree.b), firstUnit: 1, held: [1] },
        { hash: hashOf(tree.c), firstUnit: 4, held: [] },
        { hash: hashOf(tree.d.e), firstUnit: 5, held: [] },
      ],
    });
  });

  it('tells no more of it than was so when it was asked', async () => {
    await begun();
    const [part] = await collect(test.dp.provider.wantedFiles(action(1), contentId));
    const [file] = part?.files.filter(({ hash }) => hash === hashOf(tree.b)) ?? [];
    const piece = Buffer.from(big('b').subarray(0, pieceBytes));
    await test.sender.sendPiece(action(1), hashOf(big('b')), 0, piece);
    assert.equal(file?.pieces.heldCount, 0);
  });

  it('covers all units where nothing is wanted', async () => {
    await test.sender.distribute(await test.publish(1, tree), 1);
    await test.sender.begin(await test.publish(1, tree), 2);
    assert.deepEqual(await wanted(2), { parts: [[0, 6]], units: [] });
  });

  it('says where a manifest is, once it is here', async () => {
    const version = await test.publish(1, tree);
    await test.dp.provider.begin({ ...action(1), version, redistribute: false });
    assert.equal(await test.dp.provider.manifestFilesOf(action(1), contentId), undefined);
    await test.sender.begin(version, 1);
    const files = await test.dp.provider.manifestFilesOf(action(1), contentId);
    assert.match(files?.manifestPath ?? '', /\.manifest$/);
  });
}).timeout(20_000);
