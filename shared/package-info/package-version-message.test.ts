import assert from 'node:assert/strict';
import type { BeginRequest__Output } from '../rpc/generated/waybill/v1/BeginRequest.ts';
import { methodDefinition } from '../rpc/service-definitions.ts';
import { testProperties, toVersion } from '../testing/test-library.ts';
import { toPackageVersionMessage } from './package-version-message.ts';

const content = {
  contentId: 'PS100001.1',
  contentHash: '01'.repeat(32),
  signatureHash: 'fe'.repeat(32),
  manifestBytes: 5_000_000_000,
  signatureBytes: 64,
  entryCount: 2,
  fileCount: 1,
  sizeBytes: Number.MAX_SAFE_INTEGER,
};

describe('package version message', () => {
  it('carries all of the version, in the encoding of the wire', () => {
    const properties = {
      ...testProperties,
      priority: 3 as const,
      programs: [{ name: 'Setup', commandLine: 'setup.exe' }],
      iconName: 'a.ico',
      iconBase64: Buffer.from('icon').toString('base64'),
    };
    const version = { ...toVersion('PS100001', 7, [content]), properties };
    const { requestSerialize, requestDeserialize } = methodDefinition('DistributionPoint', 'begin');
    const bytes = requestSerialize({ package: toPackageVersionMessage(version) });
    const read = (requestDeserialize(bytes) as BeginRequest__Output).package;
    assert.deepEqual(read, {
      packageId: 'PS100001',
      sourceVersion: 7,
      packageHash: Buffer.from(version.packageHash, 'hex'),
      contents: [
        {
          ...content,
          contentHash: Buffer.from(content.contentHash, 'hex'),
          signatureHash: Buffer.from(content.signatureHash, 'hex'),
          manifestBytes: '5000000000',
          signatureBytes: '64',
          entryCount: '2',
          fileCount: '1',
          sizeBytes: '9007199254740991',
        },
      ],
      properties: {
        name: 'Test package',
        version: '1.0',
        manufacturer: '',
        language: '',
        description: '',
        priority: 'PRIORITY_LOW',
        programs: [{ name: 'Setup', commandLine: 'setup.exe' }],
        iconName: 'a.ico',
        icon: Buffer.from('icon'),
      },
    });
  });
});
