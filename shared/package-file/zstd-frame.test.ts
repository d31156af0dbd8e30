import assert from 'node:assert/strict';
import { compress } from '@cloudpss/zstd/wasm';
import fc from 'fast-check';
import { noiseOf } from '../testing/noise.ts';
import { packBlock, unpackBlock } from './block-packing.ts';
import { frameContentBytes } from './zstd-frame.ts';

const mebibyte = 1024 * 1024;

describe('Zstandard frame', () => {
  it('says how long it becomes, whatever it holds', () => {
    for (const bytes of [0, 1, 255, 256, 300, 65_791, 65_792, 70_000, mebibyte, 4 * mebibyte]) {
      for (const raw of [noiseOf(bytes, 1), Buffer.alloc(bytes, 'words ')]) {
        assert.equal(frameContentBytes(compress(raw, 3)), bytes);
      }
    }
  });

  it('is exactly one: a second one, or a byte more or less, is refused', () => {
    const frame = Buffer.from(compress(Buffer.alloc(70_000, 'words '), 3));
    assert.equal(frameContentBytes(Buffer.concat([frame, frame])), undefined);
    assert.equal(frameContentBytes(Buffer.concat([frame, Buffer.alloc(1)])), undefined);
    for (let end = 0; end < frame.length; end++) {
      assert.equal(frameContentBytes(frame.subarray(0, end)), undefined);
    }
  });

  it('that becomes more than was said is refused before memory is taken', () => {
    const bomb = Buffer.from(compress(Buffer.alloc(64 * mebibyte), 3));
    assert.ok(bomb.length < 10_000);
    assert.equal(unpackBlock(bomb, mebibyte), undefined);
    // The same, which lies about it.
    bomb.writeUInt32LE(mebibyte, 6);
    assert.equal(frameContentBytes(bomb), mebibyte);
    assert.equal(unpackBlock(bomb, mebibyte), undefined);
    assert.equal(unpackBlock(Buffer.from(bomb).fill(0xff, 6, 10), mebibyte), undefined);
  });
});

describe('packing of a block', () => {
  it('keeps what does not compress', () => {
    assert.equal(packBlock(noiseOf(mebibyte, 1), 3), undefined);
    const raw = Buffer.alloc(mebibyte, 'words ');
    const packed = packBlock(raw, 3) ?? assert.fail();
    assert.deepEqual(Buffer.from(unpackBlock(packed, mebibyte) ?? []), raw);
  });

  it('gives bytes of the right length, or none, for any frame', () => {
    const raw = Buffer.concat([Buffer.alloc(50_000, 'words '), noiseOf(20_000, 1)]);
    const packed = packBlock(raw, 3) ?? assert.fail();
    fc.assert(
      fc.property(fc.nat(packed.length - 1), fc.nat(255), (index, value) => {
        const changed = Buffer.from(packed);
        changed[index] = value;
        const unpacked = unpackBlock(changed, raw.length);
        assert.ok(unpacked === undefined || unpacked.length === raw.length);
      }),
      { seed: 1 },
    );
  });
});
