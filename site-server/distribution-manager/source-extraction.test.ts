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
import { type ContentDescriptor, pieceBytes } from '../../shared/domain/content.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { TestLibrary, toVersion } from '../../shared/testing/test-library.ts';
import { type SnapshotContent, takeSnapshot } from './source-snapshot.ts';

const packageId = 'PS100001';

function run(program: string, ...words: string[]): void {
  execFileSync(program, words);
}

describe('snapshot and extraction', function () {
  this.timeout(60_000);
  let directory: TemporaryDirectory;
  let test: TestLibrary;
  let source: string;
  let count = 0;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    source = directory.join('source');
    mkdirSync(source);
    test = await TestLibrary.open({ directory: directory.path });
  });
  afterEach(async () => {
    await test[Symbol.asyncDispose]();
    // Deeper than Node can delete.
    run('rm', '-rf', directory.path);
  });

  async function snapshot(previous?: ContentDescriptor): Promise<SnapshotContent> {
    const contentId = `${packageId}.${++count}`;
    const sources = [{ directory: source, contentId, ...(previous && { previous }) }];
    const { contents } = await takeSnapshot({ library: test.library, packageId, sources });
    return contents[0]!;
  }

  async function commit(content: SnapshotContent): Promise<void> {
    const { contentId } = content.descriptor;
    const version = toVersion(packageId, Number(contentId.split('.')[1]), [content.descriptor]);
    await test.library.commitPackage({
      version,
      jobSerial: 1,
      staged: [{ ...content, contentId }],
    });
  }

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
      writeFileSync(join(source, name), `content of ${name}`);
      execFileSync('touch', [
        '-h',
        '-d',
        `@${1_600_000_000 + index}.${String(123_456_789 + index)}`,
        '--',
        join(source, name),
      ]);
    }
    writeFileSync(join(source, 'zero'), '');
    writeFileSync(join(source, 'read-only'), 'x', { mode: 0o444 });
    writeFileSync(join(source, 'run'), '#!/bin/sh\n', { mode: 0o755 });
    writeFileSync(join(source, 'pieces'), Buffer.alloc(3 * pieceBytes + 7, 'p'));
    mkdirSync(join(source, 'empty', 'er'), { recursive: true });
    mkdirSync(join(source, 'locked'));
    writeFileSync(join(source, 'locked', 'in'), 'in');
    symlinkSync('../read-only', join(source, 'locked', 'link'));
    symlinkSync('nowhere', join(source, 'dangling'));
    symlinkSync('.', join(source, 'circle'));
    lutimesSync(join(source, 'circle'), 1_500_000_000.25, 1_500_000_000.25);
    execFileSync('touch', ['-d', '1965-03-04 05:06:07.000000008 UTC', join(source, 'zero')]);
    execFileSync('touch', [
      '-d',
      '2001-02-03 04:05:06.789012345 UTC',
      join(source, 'locked', 'in'),
      join(source, 'empty'),
    ]);
    chmodSync(join(source, 'locked'), 0o555);
    await commit(await snapshot());
    const progress: number[] = [];
    await test.library.extractPackage(packageId, directory.join('out'), {
      onProgress: ({ fileCount }) => progress.push(fileCount),
    });
    assert.equal(listTree(directory.join('out')), listTree(source));
    assert.equal(progress.at(-1), 14);
  });

  for (const [letters, levels] of [
    [200, 1_500],
    [1, 2_000],
  ] as const) {
    it(`give back ${levels} levels of names of ${letters} letters`, async () => {
      // Built from the inside out: no path is ever long.
      const name = 'd'.repeat(letters);
      const building = directory.join('building');
      const shell = directory.join('shell');
      mkdirSync(building);
      for (let level = 0; level < levels; level++) {
        mkdirSync(shell);
        renameSync(building, join(shell, name));
        if (level % 100 === 0) writeFileSync(join(shell, 'file'), `at ${level}`);
        renameSync(shell, building);
      }
      rmSync(source, { recursive: true });
      renameSync(building, source);
      await commit(await snapshot());
      await test.library.extractPackage(packageId, directory.join('out'));
      assert.equal(listTree(directory.join('out')), listTree(source));
    });
  }

  it('refuse to write where something is, and what is damaged', async () => {
    writeFileSync(join(source, 'a'), 'good');
    await assert.rejects(test.library.extractPackage(packageId, directory.join('out')), (error) =>
      isErrorWithCode(error, 'PACKAGE_NOT_HELD'),
    );
    await commit(await snapshot());
    await assert.rejects(test.library.extractPackage(packageId, source), (error) =>
      isErrorWithCode(error, 'REQUEST_INVALID'),
    );
    const path = filePathOf(test.library.layout.fileLibrary, hashOf(Buffer.from('good')));
    chmodSync(path, 0o644);
    writeFileSync(path, 'evil');
    await assert.rejects(test.library.extractPackage(packageId, directory.join('out1')), (error) =>
      isErrorWithCode(error, 'FILE_HASH_MISMATCH'),
    );
    rmSync(path);
    await assert.rejects(test.library.extractPackage(packageId, directory.join('out2')), (error) =>
      isErrorWithCode(error, 'FILE_NOT_HELD'),
    );
  });
});
