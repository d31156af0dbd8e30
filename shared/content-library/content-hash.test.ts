import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  ContentHash,
  hashImplementation,
  hashOf,
  loadNativeHash,
  loadWasmHash,
} from './content-hash.ts';

describe('content hash', () => {
  const big = Buffer.alloc(1024 * 1024, 'waybill');
  const cases: [string, Buffer, string | undefined][] = [
    [
      'nothing',
      Buffer.alloc(0),
      'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262',
    ],
    [
      '"abc"',
      Buffer.from('abc'),
      '6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85',
    ],
    ['1 MiB', big, undefined],
  ];

  for (const [name, bytes, expected] of cases) {
    it(`is the same by the native and the portable library: ${name}`, async () => {
      const native = await loadNativeHash();
      const portable = await loadWasmHash();
      assert.ok(native, 'the native library loads on the platforms we test on');
      const hash = hashOf(bytes);
      for (const { create, hash: hashAtOnce } of [native, portable]) {
        const hasher = create();
        hasher.update(bytes);
        assert.equal(hasher.digest().toString('hex'), hash);
        assert.equal(hashAtOnce(new Uint8Array(bytes)).toString('hex'), hash);
      }
      if (expected) assert.equal(hash, expected);
    });
  }

  it('does not depend on how the bytes are cut', async () => {
    const wasm = await loadWasmHash();
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 3_000 })), (parts) => {
        const whole = hashOf(Buffer.concat(parts));
        const streamed = new ContentHash();
        const portable = wasm.create();
        for (const part of parts) {
          streamed.update(part);
          portable.update(part);
        }
        assert.equal(streamed.digest(), whole);
        assert.equal(portable.digest().toString('hex'), whole);
      }),
    );
  });

  it('takes the native library where there is one', () => {
    assert.equal(hashImplementation.name, 'native');
  });
});
