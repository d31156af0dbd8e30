import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { hashOf } from '../content-library/content-hash.ts';
import type { StagedFile } from '../content-library/library-tasks.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { FileStager } from './file-stager.ts';

describe('file stager', () => {
  let place: TemporaryDirectory;
  const staged: StagedFile[] = [];
  beforeEach(async () => {
    place = await TemporaryDirectory.create();
    staged.length = 0;
  });
  afterEach(() => place[Symbol.asyncDispose]());
  const open = () => new FileStager(place.path, (files) => staged.push(...files));

  const bytes = Buffer.from('what the hash promises');
  const file = { hash: hashOf(bytes), sizeBytes: bytes.length };

  it('never writes again where it has staged a file: its taking over may be under way', () => {
    const stager = open();
    assert.ok(stager.stage(file, [bytes]));
    stager.handOver();
    const wrong = Buffer.alloc(bytes.length);
    let seenMeanwhile: Buffer | undefined;
    const lies = function* () {
      yield wrong.subarray(0, 5);
      seenMeanwhile = readFileSync(staged[0]?.path ?? '');
      yield wrong.subarray(5);
    };
    assert.equal(stager.stage(file, lies()), undefined);
    assert.deepEqual(seenMeanwhile, bytes);
    assert.deepEqual(readFileSync(staged[0]?.path ?? ''), bytes);
  });

  it('goes round what another one left in the same directory', () => {
    for (const stager of [open(), open()]) {
      assert.ok(stager.stage(file, [bytes]));
      stager.handOver();
    }
    assert.equal(new Set(staged.map(({ path }) => path)).size, 2);
  });
});
