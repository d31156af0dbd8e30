import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  lutimesSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import { filePathOf } from '../../shared/content-library/library-layout.ts';
import { pieceBytes } from '../../shared/domain/content.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { packageId, SnapshotTest } from './testing/snapshot-test.ts';

describe('snapshot and extraction', function () {
  this.timeout(60_000);
  let test: SnapshotTest;
  beforeEach(async () => {
    test = await SnapshotTest.open();
  });
  afterEach(() => test[Symbol.asyncDispose]());

  /** Type, mode, time to the nanosecond and bytes of everything in a tree, by path. */
  function listTree(root: string): string {
    // find goes down by open directories: paths of any length.
    return execFileSync(
      'sh',
      [
        '-c',
        `cd "$1" && find . -mindepth 1 -printf '%y %m %T@ %s %l %p\\0' | sort -z | tr '\\0' '|' && find . -type f -execdir sha256sum {} + | sort`,
        'sh',
        root,
      ],
      { encoding: 'utf8', maxBuffer: 2 ** 30 },
    )
      .replace(/^(d \S+ \S+) \d+/gm, '$1')
      .replace(/\|(d \S+ \S+) \d+/g, '|$1');
  }

  it('give back an odd tree with equal bytes, modes and times (PKG-2)', async () => {
    const names = [
      'with space',
      'new\nline',
      '📦',
      'caf\u00e9',
      'cafe\u0301 decomposed',
      '-dash',
      '$(x)',
      '\\',
      '\u{10ffff}',
    ];
    for (const [index, name] of names.entries()) {
      writeFileSync(join(test.source, name), `content of ${name}`);
      execFileSync('touch', [
        '-h',
        '-d',
        `@${1_600_000_000 + index}.${String(123_456_789 + index)}`,
        '--',
        join(test.source, name),
      ]);
    }
    writeFileSync(join(test.source, 'zero'), '');
    writeFileSync(join(test.source, 'read-only'), 'x', { mode: 0o444 });
    writeFileSync(join(test.source, 'run'), '#!/bin/sh\n', { mode: 0o755 });
    writeFileSync(join(test.source, 'pieces'), Buffer.alloc(3 * pieceBytes + 7, 'p'));
    mkdirSync(join(test.source, 'empty', 'er'), { recursive: true });
    mkdirSync(join(test.source, 'locked'));
    writeFileSync(join(test.source, 'locked', 'in'), 'in');
    symlinkSync('../read-only', join(test.source, 'locked', 'link'));
    symlinkSync('nowhere', join(test.source, 'dangling'));
    symlinkSync('.', join(test.source, 'circle'));
    lutimesSync(join(test.source, 'circle'), 1_500_000_000.25, 1_500_000_000.25);
    execFileSync('touch', ['-d', '1965-03-04 05:06:07.000000008 UTC', join(test.source, 'zero')]);
    execFileSync('touch', [
      '-d',
      '2001-02-03 04:05:06.789012345 UTC',
      join(test.source, 'locked', 'in'),
      join(test.source, 'empty'),
    ]);
    chmodSync(join(test.source, 'locked'), 0o555);
    await test.commit(await test.snapshot());
    const progress: number[] = [];
    await test.library.extractPackage(packageId, test.directory.join('out'), {
      onProgress: ({ fileCount }) => progress.push(fileCount),
    });
    assert.equal(listTree(test.directory.join('out')), listTree(test.source));
    assert.equal(progress.at(-1), 14);
  });

  for (const [letters, levels] of [
    [200, 1_500],
    [1, 2_000],
  ] as const) {
    it(`give back ${levels} levels of names of ${letters} letters`, async () => {
      // Built from the inside out: no path is ever long.
      const name = 'd'.repeat(letters);
      const building = test.directory.join('building');
      const shell = test.directory.join('shell');
      mkdirSync(building);
      for (let level = 0; level < levels; level++) {
        mkdirSync(shell);
        renameSync(building, join(shell, name));
        if (level % 100 === 0) writeFileSync(join(shell, 'file'), `at ${level}`);
        renameSync(shell, building);
      }
      rmSync(test.source, { recursive: true });
      renameSync(building, test.source);
      await test.commit(await test.snapshot());
      await test.library.extractPackage(packageId, test.directory.join('out'));
      assert.equal(listTree(test.directory.join('out')), listTree(test.source));
    });
  }

  it('refuse to write where something is, and what is damaged', async () => {
    writeFileSync(join(test.source, 'a'), 'good');
    await assert.rejects(
      test.library.extractPackage(packageId, test.directory.join('out')),
      (error) => isErrorWithCode(error, 'PACKAGE_NOT_HELD'),
    );
    await test.commit(await test.snapshot());
    await assert.rejects(test.library.extractPackage(packageId, test.source), (error) =>
      isErrorWithCode(error, 'REQUEST_INVALID'),
    );
    const path = filePathOf(test.library.layout.fileLibrary, hashOf(Buffer.from('good')));
    chmodSync(path, 0o644);
    writeFileSync(path, 'evil');
    await assert.rejects(
      test.library.extractPackage(packageId, test.directory.join('out1')),
      (error) => isErrorWithCode(error, 'FILE_HASH_MISMATCH'),
    );
    rmSync(path);
    await assert.rejects(
      test.library.extractPackage(packageId, test.directory.join('out2')),
      (error) => isErrorWithCode(error, 'FILE_NOT_HELD'),
    );
  });
});
