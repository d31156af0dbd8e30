import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import { pieceBytes } from '../../shared/domain/content.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { pieceHashesOf } from '../../shared/testing/test-library.ts';
import { OwnInodes } from './own-places.ts';
import { SourceFileReader } from './source-snapshot-file.ts';
import { SourceChangedError, toShownPath, toSourceFailure } from './source-snapshot-path.ts';
import { SnapshotStaging } from './source-snapshot-staging.ts';

describe('source file reader', () => {
  let directory: TemporaryDirectory;
  let path: string;
  let whileRead: () => void;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    path = directory.join('file');
    whileRead = () => {};
    mkdirSync(directory.join('library'));
  });
  afterEach(async () => directory[Symbol.asyncDispose]());

  function read(previousHash?: string) {
    const staged: string[] = [];
    const staging = new SnapshotStaging({
      directory: directory.join('staging'),
      fileLibrary: directory.join('library'),
      onStaged: (files) => staged.push(...files.map((file) => file.path)),
    });
    // Asked for once the bytes are read, and before the file is looked at again.
    const isHeld = staging.isHeld.bind(staging);
    staging.isHeld = (file) => {
      whileRead();
      return isHeld(file);
    };
    mkdirSync(directory.join('staging'), { recursive: true });
    const reader = new SourceFileReader({ own: new OwnInodes([]), staging, onBytes: () => {} });
    const file = reader.read({ path, shownPath: path, previousHash: () => previousHash });
    staging.handOver();
    return { file, staged };
  }

  for (const [what, bytes] of [
    ['an empty file', Buffer.alloc(0)],
    ['a small file', Buffer.from('small')],
    ['a file of exactly one piece', Buffer.alloc(pieceBytes, 1)],
    ['a file of several pieces', Buffer.alloc(2 * pieceBytes + 1, 2)],
  ] as const) {
    it(`reads ${what}`, () => {
      writeFileSync(path, bytes);
      const { file, staged } = read();
      assert.equal(file.hash, hashOf(bytes));
      assert.deepEqual(Buffer.from(file.pieceHashes), pieceHashesOf(bytes));
      assert.deepEqual(
        staged.map((each) => readFileSync(each)),
        [bytes],
      );
    });

    it(`reads ${what} again when it changed meanwhile (PKG-3)`, () => {
      writeFileSync(path, bytes);
      let changes = 2;
      whileRead = () => {
        if (changes-- > 0) appendFileSync(path, 'more');
      };
      const { file } = read();
      assert.equal(file.hash, hashOf(readFileSync(path)));
      assert.equal(Number(file.stats.size), bytes.length + 8);
    });

    it(`gives ${what} up when it changes every time (PKG-3)`, () => {
      writeFileSync(path, bytes);
      let tryCount = 0;
      whileRead = () => {
        tryCount++;
        // Another file in its place, of the same size.
        writeFileSync(`${path}.new`, bytes);
        renameSync(`${path}.new`, path);
      };
      assert.throws(
        () => read(),
        (error) => error instanceof SourceChangedError && error.isFinal,
      );
      assert.equal(tryCount, 3);
    });
  }

  it('gives up a file that is gone, or is no file any more', () => {
    assert.throws(() => read(), SourceChangedError);
    mkdirSync(path);
    assert.throws(() => read(), SourceChangedError);
  });

  it('does not stage a file that is as it was before, and does when the library lost it', () => {
    const bytes = Buffer.alloc(2 * pieceBytes, 3);
    writeFileSync(path, bytes);
    const hash = hashOf(bytes);
    mkdirSync(directory.join('library', hash.slice(0, 4)));
    writeFileSync(directory.join('library', hash.slice(0, 4), hash), bytes);
    assert.deepEqual(read(hash).staged, []);
    assert.equal(read(hash).file.hash, hash);
    rmSync(directory.join('library', hash.slice(0, 4), hash));
    assert.equal(read(hash).staged.length, 1);
  });

  it('reads a file again to stage it when it is not what it was before', () => {
    writeFileSync(path, Buffer.alloc(2 * pieceBytes, 4));
    const { file, staged } = read(hashOf(Buffer.from('another')));
    assert.equal(file.hash, hashOf(Buffer.alloc(2 * pieceBytes, 4)));
    assert.equal(staged.length, 1);
  });
});

describe('source failures', () => {
  it('tell what is gone from what cannot be read', () => {
    const failed = (code: string) =>
      toSourceFailure(Object.assign(new Error(code), { code }), '/p');
    for (const code of ['ENOENT', 'ENOTDIR', 'ELOOP']) {
      assert.ok(failed(code) instanceof SourceChangedError, code);
    }
    for (const code of ['EACCES', 'EPERM', 'EIO', 'ESTALE']) {
      const failure = failed(code);
      assert.ok(isErrorWithCode(failure, 'SOURCE_UNREADABLE'), code);
      assert.deepEqual(failure.details, { code: 'SOURCE_UNREADABLE', path: '/p', reason: code });
    }
  });

  it('keep what is no failure of the source', () => {
    const full = new WaybillError({ code: 'DISK_FULL', path: '/', freeBytes: 0, neededBytes: 1 });
    assert.equal(toSourceFailure(full, '/p'), full);
    const bug = new TypeError('bug');
    assert.equal(toSourceFailure(bug, '/p'), bug);
  });

  it('show beginning and end of a path that is too long for a message', () => {
    assert.equal(toShownPath('/root', ['a', 'b']), '/root/a/b');
    const shown = toShownPath(
      '/root',
      Array.from({ length: 1_000 }, (_, index) => `📦${index}`),
    );
    assert.ok(shown.length < 1_010 && shown.isWellFormed());
    assert.match(shown, /^\/root\/📦0.* … .*📦999$/u);
  });
});
