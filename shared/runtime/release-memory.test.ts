import assert from 'node:assert/strict';
import { releaseMemory } from './release-memory.ts';

describe('memory that is released', () => {
  it('is empty for whoever still has it, and gone without a collection', () => {
    const before = process.memoryUsage().arrayBuffers;
    const memory = new ArrayBuffer(64 * 1024 * 1024);
    const view = new Uint8Array(memory);
    assert.ok(process.memoryUsage().arrayBuffers - before >= 60 * 1024 * 1024);
    releaseMemory(memory);
    assert.equal(memory.byteLength, 0);
    assert.equal(view.length, 0);
    assert.ok(process.memoryUsage().arrayBuffers - before < 4 * 1024 * 1024);
  });
});
