import assert from 'node:assert/strict';
import fc from 'fast-check';
import { crc32c, masked, unmasked } from './crc32c.ts';

describe('crc32c', () => {
  it('gives the checksums of RFC 3720, B.4', () => {
    assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
    assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
    assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
    assert.equal(crc32c(Uint8Array.from(Array(32).keys())), 0x46dd794e);
  });

  it('masks and unmasks', () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), (crc) => {
        assert.equal(unmasked(masked(crc)), crc);
        assert.notEqual(masked(crc), crc);
      }),
    );
  });
});
