import assert from 'node:assert/strict';
import fc from 'fast-check';
import { hashOf } from '../content-library/content-hash.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import { testProperties, toVersion } from '../testing/test-library.ts';
import { bundleHashOf, decodeBundle, encodeBundle } from './package-info-bundle.ts';

const packageId = 'PS100001';
const content = {
  contentId: `${packageId}.1`,
  contentHash: '01'.repeat(32),
  signatureHash: 'fe'.repeat(32),
  manifestBytes: 100,
  signatureBytes: 64,
  entryCount: 2,
  fileCount: 1,
  sizeBytes: 3_000_000_000,
};
const version = {
  ...toVersion(packageId, 3, [content]),
  properties: { ...testProperties, iconBase64: Buffer.from('icon').toString('base64') },
};

const refused = (call: () => unknown) =>
  assert.throws(call, (error) => isErrorWithCode(error, 'MESSAGE_INVALID'));

describe('package info bundle', () => {
  it('gives back the version it was made of, under a hash of its bytes (PULL-2)', () => {
    const { bytes, hash } = encodeBundle(version);
    assert.deepEqual(decodeBundle(bytes, packageId), version);
    assert.equal(hash, hashOf(bytes));
    assert.equal(hash, bundleHashOf(new Uint8Array(bytes)));
    assert.equal(encodeBundle(decodeBundle(bytes, packageId)).hash, hash);
  });

  it('refuses what is of another package, or of none (SEC-4)', () => {
    const { bytes } = encodeBundle(version);
    refused(() => decodeBundle(bytes, 'PS100002'));
    refused(() => decodeBundle(Buffer.alloc(0), packageId));
    refused(() => decodeBundle(bytes.subarray(0, bytes.length - 1), packageId));
    refused(() => decodeBundle(encodeBundle({ ...version, contents: [] }).bytes, packageId));
  });

  it('gives a version or a coded refusal for any bytes (SEC-4)', () => {
    const { bytes } = encodeBundle(version);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (index, value) => {
        const changed = Buffer.from(bytes);
        changed[index] = value;
        try {
          assert.equal(decodeBundle(changed, packageId).packageId, packageId);
        } catch (error) {
          assert.ok(isErrorWithCode(error, 'MESSAGE_INVALID'), String(error));
        }
      }),
    );
  });
});
