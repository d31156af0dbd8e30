import assert from 'node:assert/strict';
import { ownMemoryOf, sharedMemoryBytesMax } from './message-memory.ts';

const mib = 1024 * 1024;

describe('memory of a message', () => {
  it('is its own when a long message fills it', () => {
    const memory = new ArrayBuffer(mib + 50);
    assert.equal(ownMemoryOf([new Uint8Array(memory, 50)]), memory);
  });

  it('is its own when the files of a batch fill it', () => {
    const memory = new ArrayBuffer(10 + 100 * 4_096);
    const views = Array.from(
      { length: 100 },
      (_, index) => new Uint8Array(memory, 10 + index * 4_096 + 44, 4_096 - 44),
    );
    assert.equal(ownMemoryOf(views), memory);
    assert.equal(ownMemoryOf(views.slice(0, 99)), undefined);
  });

  it('is shared when another message may be in it', () => {
    const memory = new ArrayBuffer(2 * mib);
    assert.equal(ownMemoryOf([new Uint8Array(memory, 0, mib)]), undefined);
    assert.equal(ownMemoryOf([new Uint8Array(memory, 0, 2 * mib - 100)]), undefined);
  });

  it('is shared as long as one read of a socket could hold it', () => {
    assert.equal(ownMemoryOf([new Uint8Array(sharedMemoryBytesMax)]), undefined);
    assert.notEqual(ownMemoryOf([new Uint8Array(sharedMemoryBytesMax + 1)]), undefined);
    assert.equal(ownMemoryOf([Buffer.from('pooled')]), undefined);
  });

  it('is not one when files lie in several, or there is none', () => {
    assert.equal(ownMemoryOf([new Uint8Array(mib), new Uint8Array(mib)]), undefined);
    assert.equal(ownMemoryOf([]), undefined);
    assert.equal(ownMemoryOf([new Uint8Array(new SharedArrayBuffer(mib))]), undefined);
  });
});
