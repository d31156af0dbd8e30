import assert from 'node:assert/strict';
import {
  decodeHead,
  decodeRecord,
  encodeHead,
  encodeRecord,
  headBytes,
  type PackageFileHead,
  type PackageFileRecord,
  recordFieldBytes,
} from './package-file-format.ts';

const max = Number.MAX_SAFE_INTEGER;
const head: PackageFileHead = {
  packageId: 'PS100001',
  ...{ sourceVersion: max, baseVersion: max, bundleBytes: max, rawBytes: max },
  ...{ fileCount: max, fileBytes: max, deltaCount: max, deltaBytes: max },
  ...{ patchCount: max, patchBytes: max, madeBytes: max },
};
const [a, b, c] = ['ab'.repeat(32), 'cd'.repeat(32), '00'.repeat(32)];
const delta = {
  ...{ fileHash: a, fileBytes: 2 ** 48 - 1, baseHash: b, baseBytes: 0 },
  ...{ deltaHash: c, deltaBytes: 5 },
};
const records: readonly PackageFileRecord[] = [
  { kind: 'manifest' },
  { kind: 'manifest-delta', baseContentId: 'P'.repeat(80), delta },
  { kind: 'signature' },
  { kind: 'file', hash: a, sizeBytes: 2 ** 48 - 1 },
  { kind: 'delta', contentIndex: 65_535, delta },
  {
    kind: 'patch',
    patch: { fileHash: a, fileBytes: 2 ** 48 - 1, baseHash: b, baseBytes: 0, patchBytes: 7 },
  },
];

describe('form of a package file', () => {
  it('has a head of one length that can be read back', () => {
    const bytes = encodeHead(head);
    assert.equal(bytes.length, headBytes);
    assert.deepEqual(decodeHead(bytes), head);
    assert.equal(bytes.toString('latin1', 0, 8), 'WBPKGF1\n');
  });

  it('refuses a head in any other spelling', () => {
    const bytes = encodeHead({ ...head, fileCount: 1 });
    const texts = [
      bytes.toString('latin1').replace('WBPKGF1', 'WBPKGF2'),
      bytes.toString('latin1').replace('"fileCount":1', '"fileCount":-'),
      bytes.toString('latin1').replace('"fileCount":1,', '"fileCount":01'),
      bytes.toString('latin1').replace('PS100001', '../00001'),
      bytes.toString('latin1').slice(1),
      `WBPKGF1\n${'null'.padEnd(headBytes - 9)}\n`,
    ];
    for (const text of texts) assert.equal(decodeHead(Buffer.from(text, 'latin1')), undefined);
  });

  it('has records that can be read back', () => {
    for (const record of records) {
      const bytes = encodeRecord(record);
      assert.equal(recordFieldBytes(bytes.readUInt8()), bytes.length - 1);
      assert.deepEqual(decodeRecord(bytes.readUInt8(), bytes.subarray(1)), record);
    }
    assert.equal(recordFieldBytes(records.length), undefined);
  });
});
