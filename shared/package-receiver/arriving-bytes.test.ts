import assert from 'node:assert/strict';
import { mkdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { hashOf } from '../content-library/content-hash.ts';
import { pieceBytes } from '../domain/content.ts';
import { PieceSet } from '../domain/piece-set.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { IncomingBytes, type IncomingPlaces } from './arriving-bytes.ts';
import { action, big, bytes, ProviderTest } from './testing/provider-test.ts';

const fileOf = (content: Buffer) => ({ hash: hashOf(content), sizeBytes: content.length });
const pieceOf = (content: Buffer, index: number) =>
  content.subarray(index * pieceBytes, (index + 1) * pieceBytes);

describe('arriving bytes of a package receiver (PULL-11, SEC-4)', () => {
  let test: ProviderTest;
  const reader = () => test.dp.provider.arrivingBytes;
  const sendPiece = (content: Buffer, index: number) =>
    test.sender.sendPiece(action(1), hashOf(content), index, Buffer.from(pieceOf(content, index)));

  beforeEach(async function () {
    this.timeout(10_000);
    test = await ProviderTest.open();
  });
  afterEach(async function () {
    this.timeout(10_000);
    await test[Symbol.asyncDispose]();
  });

  async function begun(...contents: Buffer[]): Promise<void> {
    const tree = Object.fromEntries(contents.map((content, index) => [`f${index}`, content]));
    const version = await test.publish(1, tree);
    await test.sender.begin(version, 1);
    await test.sender.wanted(version, 1);
  }

  it('are the pieces that have come and been verified, and no others', async () => {
    const content = big('a');
    await begun(content);
    assert.equal(await reader().readPiece(fileOf(content), 0), undefined);
    await sendPiece(content, 2);
    assert.deepEqual(await reader().readPiece(fileOf(content), 2), pieceOf(content, 2));
    // The file is long enough by now; what is before the last piece is a hole.
    assert.equal(await reader().readPiece(fileOf(content), 0), undefined);
    assert.equal(await reader().readPiece(fileOf(content), 3), undefined, 'no such piece');
    const longer = { hash: hashOf(content), sizeBytes: content.length + 1 };
    assert.equal(await reader().readPiece(longer, 2), undefined, 'another length');
  });

  it('are the files that are whole and wait for the library, small, empty and large', async () => {
    const [content, small, empty] = [big('a'), bytes('small'), bytes('')];
    await begun(content, small, empty);
    assert.equal(await reader().readSmall(fileOf(small)), undefined);
    const staged = [small, empty].map((one) => ({ hash: hashOf(one), bytes: Buffer.from(one) }));
    await test.dp.provider.receiveSmallFiles(action(1), staged);
    for (const index of [0, 1, 2]) await sendPiece(content, index);
    assert.deepEqual(await reader().readSmall(fileOf(small)), small);
    assert.deepEqual(await reader().readSmall(fileOf(empty)), empty);
    assert.deepEqual(await reader().readPiece(fileOf(content), 1), pieceOf(content, 1));
    assert.equal(await reader().readPiece(fileOf(small), 0), undefined, 'it has no pieces');
    assert.equal(await reader().readSmall(fileOf(content)), undefined, 'it is not small');
    assert.equal(await reader().readSmall({ hash: hashOf(small), sizeBytes: 9 }), undefined);
    await test.dp.provider.commit(action(1));
    assert.equal(await reader().readSmall(fileOf(small)), undefined, 'the library has it');
    assert.equal(await reader().readPiece(fileOf(content), 1), undefined);
  });
}).timeout(10_000);

describe('incoming bytes', () => {
  let directory: TemporaryDirectory;
  const content = big('a');
  const file = fileOf(content);
  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
  });
  afterEach(() => directory[Symbol.asyncDispose]());

  const held = {
    sizeBytes: content.length,
    pieces: new PieceSet(3, new Uint8Array([0b111])),
    isRead: false,
  };
  const staged = { sizeBytes: content.length };
  const reader = (places: Partial<IncomingPlaces>) =>
    new IncomingBytes({
      pathOf: (hash) => directory.join(hash),
      staged: () => undefined,
      arriving: () => undefined,
      ...places,
    });
  const path = () => directory.join(file.hash);

  it('are not given away when the file was begun anew while it was read (SEC-4)', async () => {
    await writeFile(path(), content);
    const begunAnew = { ...held, pieces: new PieceSet(3) };
    const answers = [held, begunAnew];
    const bytesOf = reader({ arriving: () => answers.shift() ?? begunAnew });
    assert.equal(await bytesOf.readPiece(file, 1), undefined);
  });

  it('are read once more when the file became whole while it was read', async () => {
    await writeFile(path(), content);
    const answers = [held];
    let isStaged = false;
    const bytesOf = reader({
      staged: () => (isStaged ? staged : undefined),
      arriving: () => {
        isStaged = true;
        return answers.shift();
      },
    });
    assert.deepEqual(await bytesOf.readPiece(file, 2), pieceOf(content, 2));
  });

  it('are not here when the library took the file, or it is cut, a link or a directory', async () => {
    const bytesOf = reader({ staged: () => staged });
    assert.equal(await bytesOf.readPiece(file, 1), undefined, 'there is none');
    await writeFile(path(), content);
    await truncate(path(), pieceBytes + 5);
    assert.equal(await bytesOf.readPiece(file, 1), undefined, 'it is cut');
    await rename(path(), directory.join('other'));
    await symlink(directory.join('other'), path());
    assert.equal(await bytesOf.readPiece(file, 0), undefined, 'it is a link');
    await rm(path());
    await mkdir(path());
    assert.equal(await bytesOf.readPiece(file, 0), undefined, 'it is a directory');
  });
});
