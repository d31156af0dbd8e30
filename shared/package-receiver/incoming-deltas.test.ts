import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { hashOf } from '../content-library/content-hash.ts';
import { filePathOf } from '../content-library/library-layout.ts';
import { defaultDeltaConfig, makeDelta } from '../delta/delta-maker.ts';
import { hasPieces, pieceBytes } from '../domain/content.ts';
import type { Delta } from '../domain/delta.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import type { PackageVersion } from '../domain/package.ts';
import { noiseOf } from '../testing/noise.ts';
import { pieceHashesOf } from '../testing/test-library.ts';
import { action, ProviderTest, packageId } from './testing/provider-test.ts';

const old = noiseOf(3 * pieceBytes + 9, 1);
const oldSmall = noiseOf(400_000, 2);
const edited = Buffer.concat([Buffer.from('front'), old, noiseOf(20, 3)]);
const editedSmall = Buffer.concat([oldSmall, Buffer.from('end')]);

describe('deltas that arrive', function () {
  this.timeout(20_000);
  let test: ProviderTest;
  let version: PackageVersion;

  beforeEach(async () => {
    test = await ProviderTest.open();
    await test.sender.distribute(await test.publish(1, { big: old, small: oldSmall }), 1);
    version = await test.publish(2, { big: edited, small: editedSmall });
  });
  afterEach(() => test[Symbol.asyncDispose]());

  const receiver = () => test.dp.provider;

  /** A delta as the site makes it. */
  async function deltaFrom(base: Buffer, file: Buffer): Promise<{ delta: Delta; bytes: Buffer }> {
    const [basePath, filePath, deltaPath] = ['base', 'file', 'delta'].map((name) =>
      test.directory.join(name),
    ) as [string, string, string];
    await writeFile(basePath, base);
    await writeFile(filePath, file);
    const sizes = { baseBytes: base.length, fileBytes: file.length };
    const request = {
      ...{ basePath, filePath, deltaPath, ...sizes },
      ...{ baseHash: hashOf(base), fileHash: hashOf(file) },
    };
    const config = { ...defaultDeltaConfig, deltaShareMax: 2 };
    const delta = await makeDelta(test.source.library.threads, request, { config });
    assert.ok(delta);
    return { delta, bytes: await readFile(deltaPath) };
  }

  async function bring({ delta, bytes }: { delta: Delta; bytes: Buffer }, jobSerial = 2) {
    const { deltaHash: hash } = delta;
    if (!hasPieces(bytes.length)) {
      await receiver().receiveSmallFiles(action(jobSerial), [{ hash, bytes: Buffer.from(bytes) }]);
      return;
    }
    for (let index = 0; index * pieceBytes < bytes.length; index++) {
      const piece = Buffer.from(bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes));
      await test.sender.sendPiece(action(jobSerial), hash, index, piece);
    }
  }

  const offer = async (...deltas: readonly Delta[]) =>
    (await receiver().offerDeltas(action(2), deltas)).map(({ delta, piecesHeld }) => [
      delta.deltaHash,
      piecesHeld.heldCount,
      piecesHeld.pieceCount,
    ]);

  async function missing(): Promise<Map<string, number>> {
    const wanted = await test.sender.wanted(version, 2);
    return new Map(wanted.map(({ file, missingBytes }) => [file.name, missingBytes]));
  }

  async function damage(base: Buffer, at: number): Promise<void> {
    const damaged = Buffer.from(base);
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    await writeFile(test.pathOf(base), damaged);
  }

  it('make files that need not arrive, and belong to the content then (PULL-6, PKG-5)', async () => {
    const made = [await deltaFrom(old, edited), await deltaFrom(oldSmall, editedSmall)];
    await test.sender.begin(version, 2);
    assert.equal((await offer(...made.map(({ delta }) => delta))).length, 2);
    for (const one of made) await bring(one);
    const { madeFiles } = await receiver().applyDeltas(action(2));
    assert.deepEqual([...madeFiles].sort(), [hashOf(edited), hashOf(editedSmall)].sort());
    assert.deepEqual([...(await missing())], []);
    await receiver().commit(action(2));
    assert.ok((await test.extracted('big')).equals(edited));
    assert.ok((await test.extracted('small')).equals(editedSmall));
    const kept = await test.dp.library.deltasOf(`${packageId}.2`);
    const hashes = made.map(({ delta }) => delta.deltaHash);
    assert.deepEqual(kept.map(({ deltaHash }) => deltaHash).sort(), hashes.sort());
  });

  it('are wanted when the base is here and the file is not, each once (PULL-6)', async () => {
    const { delta, bytes } = await deltaFrom(old, edited);
    await test.sender.begin(version, 2);
    const withoutBase = { ...delta, baseHash: hashOf(edited) };
    const ofOld = { ...delta, fileHash: hashOf(old), fileBytes: old.length };
    assert.deepEqual(await offer(withoutBase, ofOld), []);
    assert.deepEqual(await offer(delta, delta), [[delta.deltaHash, 0, 1]]);
    await bring({ delta, bytes });
    await test.sender.begin(version, 2);
    assert.deepEqual(await offer(delta), [[delta.deltaHash, 1, 1]], 'what has come need not again');
  });

  it('are not wanted of files that are not, nor when they are no shorter (SEC-4)', async () => {
    const { delta } = await deltaFrom(old, edited);
    await test.sender.begin(version, 2);
    const foreign = hashOf(Buffer.from('a file of no content here'));
    assert.deepEqual(await offer({ ...delta, fileHash: foreign }), []);
    assert.deepEqual(await offer({ ...delta, fileBytes: edited.length + 1 }), []);
    assert.deepEqual(await offer({ ...delta, deltaBytes: edited.length }), []);
  });

  it('never take the place of a file that is arriving under their name (SEC-4)', async () => {
    const { delta } = await deltaFrom(oldSmall, editedSmall);
    await test.sender.begin(version, 2);
    await missing();
    const piece = Buffer.from(edited.subarray(0, pieceBytes));
    await test.sender.sendPiece(action(2), hashOf(edited), 0, piece);
    const named = { deltaHash: hashOf(edited), deltaBytes: 200_000 };
    assert.deepEqual(await offer({ ...delta, ...named }), []);
    assert.equal((await missing()).get('big'), edited.length - pieceBytes);
  });

  it('whose piece hashes are not those of the manifest are refused for its file (SEC-4)', async () => {
    const huge = Buffer.concat([noiseOf(9, 4), noiseOf(5 * pieceBytes, 5)]);
    version = await test.publish(3, { big: edited, huge });
    const { delta } = await deltaFrom(old, edited);
    await test.sender.begin(version, 2);
    await missing();
    const piece = Buffer.from(edited.subarray(0, pieceBytes));
    await test.sender.sendPiece(action(2), hashOf(edited), 0, piece);
    const ofHuge = { ...delta, fileHash: hashOf(huge), fileBytes: huge.length };
    const named = { deltaHash: hashOf(edited), deltaBytes: edited.length };
    assert.deepEqual(await offer({ ...ofHuge, ...named, deltaPieceHashes: '0'.repeat(256) }), []);
    assert.equal((await missing()).get('big'), edited.length - pieceBytes);
    const next = Buffer.from(edited.subarray(pieceBytes, 2 * pieceBytes));
    await test.sender.sendPiece(action(2), hashOf(edited), 1, next);
  });

  it('of several pieces come as any file does, and go on where they stopped (PTM-7)', async () => {
    const other = Buffer.concat([noiseOf(pieceBytes + 500_000, 9), old]);
    version = await test.publish(3, { big: other });
    const made = await deltaFrom(old, other);
    assert.equal(made.delta.deltaPieceHashes, pieceHashesOf(made.bytes).toString('hex'));
    await test.sender.begin(version, 2);
    assert.deepEqual(await offer(made.delta), [[made.delta.deltaHash, 0, 2]]);
    const first = Buffer.from(made.bytes.subarray(0, pieceBytes));
    await test.sender.sendPiece(action(2), made.delta.deltaHash, 0, first);
    assert.deepEqual(await offer(made.delta), [[made.delta.deltaHash, 1, 2]]);
    await test.restart();
    await test.sender.begin(version, 2);
    assert.deepEqual(await offer(made.delta), [[made.delta.deltaHash, 1, 2]]);
    await bring(made);
    assert.deepEqual(await receiver().applyDeltas(action(2)), { madeFiles: [hashOf(other)] });
    await receiver().commit(action(2));
    assert.ok((await test.extracted('big')).equals(other));
  });

  it('are not wanted by a redistribution, which believes nothing here (PKG-6)', async () => {
    const { delta } = await deltaFrom(old, edited);
    await test.sender.begin(version, 2, true);
    assert.deepEqual(await offer(delta), []);
    assert.deepEqual(await receiver().applyDeltas(action(2)), { madeFiles: [] });
  });

  it('make what a damaged base allows; only the rest has to arrive (SEC-4)', async () => {
    await damage(old, 2 * pieceBytes);
    await damage(oldSmall, 7);
    const made = [await deltaFrom(old, edited), await deltaFrom(oldSmall, editedSmall)];
    await test.sender.begin(version, 2);
    await offer(...made.map(({ delta }) => delta));
    for (const one of made) await bring(one);
    assert.deepEqual(await receiver().applyDeltas(action(2)), { madeFiles: [] });
    const rest = await missing();
    assert.deepEqual(
      [...rest],
      [
        ['big', pieceBytes],
        ['small', editedSmall.length],
      ],
    );
    await test.sender.bring(version, 2);
    await receiver().commit(action(2));
    assert.ok((await test.extracted('big')).equals(edited));
    assert.ok((await test.extracted('small')).equals(editedSmall));
    assert.deepEqual(await test.dp.library.deltasOf(`${packageId}.2`), []);
  });

  it('that are wrong, or did not come, make nothing, and do no harm (SEC-4)', async () => {
    const right = await deltaFrom(old, edited);
    const garbage = Buffer.concat([right.bytes.subarray(0, 80), noiseOf(500, 8)]);
    const hash = hashOf(garbage);
    const wrong = { ...right.delta, deltaHash: hash, deltaBytes: garbage.length };
    await test.sender.begin(version, 2);
    await offer(wrong);
    assert.deepEqual(await receiver().applyDeltas(action(2)), { madeFiles: [] });
    await bring({ delta: wrong, bytes: garbage });
    assert.deepEqual(await receiver().applyDeltas(action(2)), { madeFiles: [] });
    assert.equal((await missing()).get('big'), edited.length);
    await test.sender.bring(version, 2);
    await receiver().commit(action(2));
    assert.ok((await test.extracted('big')).equals(edited));
  });

  it('of an action that is over are refused', async () => {
    const { delta } = await deltaFrom(old, edited);
    const isNotBegun = (error: unknown) => isErrorWithCode(error, 'ACTION_NOT_BEGUN');
    await assert.rejects(receiver().offerDeltas(action(2), [delta]), isNotBegun);
    await test.sender.begin(version, 3);
    const isSuperseded = (error: unknown) => isErrorWithCode(error, 'ACTION_SUPERSEDED');
    await assert.rejects(receiver().offerDeltas(action(2), [delta]), isSuperseded);
    await assert.rejects(receiver().applyDeltas(action(2)), isSuperseded);
  });

  it('keep nothing of the older version in the way: its file stands as it was', async () => {
    const made = await deltaFrom(old, edited);
    await test.sender.begin(version, 2);
    await offer(made.delta);
    await bring(made);
    await receiver().applyDeltas(action(2));
    const { fileLibrary } = test.dp.library.layout;
    assert.equal(hashOf(await readFile(filePathOf(fileLibrary, hashOf(old)))), hashOf(old));
    assert.ok((await test.extracted('big')).equals(old));
  });
});
