import assert from 'node:assert/strict';
import { hashOf } from '../content-library/content-hash.ts';
import { sharedMemoryBytesMax } from './message-memory.ts';
import { packFiles, type SmallFile, unpackFiles } from './packed-files.ts';

function filesIn(memory: ArrayBuffer, sizes: readonly number[]): SmallFile[] {
  let offset = 0;
  return sizes.map((size, index) => {
    const bytes = new Uint8Array(memory, offset, size).fill(index + 1);
    offset += size;
    return { hash: hashOf(bytes), bytes };
  });
}

describe('packed files', () => {
  const long = sharedMemoryBytesMax + 100;

  it('come out as they went in, empty ones included', () => {
    const files = filesIn(new ArrayBuffer(30), [10, 0, 20]);
    const packed = packFiles(files);
    assert.notEqual(packed.memory, files[0]?.bytes.buffer, "short memory is others' too");
    assert.deepEqual(unpackFiles(packed), files);
  });

  it('stay where they are in memory that is theirs alone', () => {
    const files = filesIn(new ArrayBuffer(long), [long - 50, 50]);
    const packed = packFiles(files);
    assert.equal(packed.memory, files[0]?.bytes.buffer);
    assert.deepEqual(unpackFiles(packed), files);
  });

  it('stay where they are when others of their message are left out', () => {
    const files = filesIn(new ArrayBuffer(long), [long - 50, 50]);
    const packed = packFiles(
      files.slice(1),
      files.map(({ bytes }) => bytes),
    );
    assert.equal(packed.memory, files[0]?.bytes.buffer);
    assert.deepEqual(unpackFiles(packed), files.slice(1));
  });
});
