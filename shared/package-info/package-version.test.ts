import assert from 'node:assert/strict';
import { isErrorWithCode } from '../domain/errors.ts';
import type {
  BeginRequest,
  BeginRequest__Output,
} from '../rpc/generated/waybill/v1/BeginRequest.ts';
import type { ContentDescriptor } from '../rpc/generated/waybill/v1/ContentDescriptor.ts';
import type { PackageProperties } from '../rpc/generated/waybill/v1/PackageProperties.ts';
import type { PackageVersion } from '../rpc/generated/waybill/v1/PackageVersion.ts';
import { methodDefinition } from '../rpc/service-definitions.ts';
import { requireAction, requirePackageVersion } from './package-version.ts';

const packageId = 'PS100001';
const hash = Buffer.alloc(32, 7);

const content: ContentDescriptor = {
  contentId: 'PS100001.1',
  contentHash: hash,
  signatureHash: hash,
  manifestBytes: 100,
  signatureBytes: 64,
  entryCount: 2,
  fileCount: 1,
  sizeBytes: 2_000_000,
};
const properties: PackageProperties = {
  name: 'Office',
  version: '16',
  manufacturer: 'Contoso',
  language: 'de',
  description: 'two\nlines',
  priority: 'PRIORITY_HIGH',
  programs: [{ name: 'Setup', commandLine: 'setup.exe /s' }],
  iconName: 'office.ico',
  icon: Buffer.from('icon'),
};
const version: PackageVersion = {
  packageId,
  sourceVersion: 3,
  packageHash: hash,
  contents: [content],
  properties,
};

/** A request as it arrives. */
function arrived(request: BeginRequest): BeginRequest__Output {
  const { requestSerialize, requestDeserialize } = methodDefinition('DistributionPoint', 'begin');
  return requestDeserialize(requestSerialize(request)) as BeginRequest__Output;
}

const read = (changes: Partial<PackageVersion>) =>
  requirePackageVersion(arrived({ package: { ...version, ...changes } }).package, packageId);
const readContent = (changes: Partial<ContentDescriptor>) =>
  read({
    contents: [
      { ...content, contentId: 'first' },
      { ...content, ...changes },
    ],
  });
const readProperties = (changes: Partial<PackageProperties>) =>
  read({ properties: { ...properties, ...changes } });

function refuses(field: string, call: () => unknown): void {
  assert.throws(call, (error) => {
    assert.ok(isErrorWithCode(error, 'MESSAGE_INVALID'), `${field}: ${error}`);
    const { details } = error;
    assert.equal(details.code === 'MESSAGE_INVALID' && details.field, field);
    return true;
  });
}

describe('package version of the wire', () => {
  it('is read as it was written', () => {
    const hex = hash.toString('hex');
    assert.deepEqual(read({}), {
      packageId,
      sourceVersion: 3,
      packageHash: hex,
      contents: [{ ...content, contentHash: hex, signatureHash: hex }],
      properties: {
        name: 'Office',
        version: '16',
        manufacturer: 'Contoso',
        language: 'de',
        description: 'two\nlines',
        priority: 1,
        programs: [{ name: 'Setup', commandLine: 'setup.exe /s' }],
        iconName: 'office.ico',
        iconBase64: Buffer.from('icon').toString('base64'),
      },
    });
  });

  it('may have no icon and no programs', () => {
    const bare = readProperties({ icon: Buffer.alloc(0), iconName: '', programs: [] });
    assert.equal(bare.properties.iconBase64, '');
  });

  const badVersions: [string, Partial<PackageVersion>][] = [
    ['package.package_id', { packageId: 'PS100002' }],
    ['package.package_id', { packageId: '../../etc' }],
    ['package.source_version', { sourceVersion: 0 }],
    ['package.source_version', { sourceVersion: 2 ** 31 + 1 }],
    ['package.package_hash', { packageHash: hash.subarray(1) }],
    ['package.package_hash', { packageHash: Buffer.alloc(33) }],
    ['package.package_hash', { packageHash: Buffer.alloc(0) }],
    ['package.contents', { contents: [] }],
    ['package.contents', { contents: [content, content] }],
    [
      'package.contents',
      { contents: Array.from({ length: 101 }, (_, at) => ({ ...content, contentId: `c${at}` })) },
    ],
    ['package.properties', { properties: null }],
  ];
  for (const [field, changes] of badVersions) {
    it(`is refused for its ${field}: ${JSON.stringify(changes).slice(0, 60)} (SEC-4)`, () => {
      refuses(field, () => read(changes));
    });
  }

  const badContents: [string, Partial<ContentDescriptor>][] = [
    ['content_id', { contentId: '' }],
    ['content_id', { contentId: '../x' }],
    ['content_id', { contentId: 'a/b' }],
    ['content_id', { contentId: `a${'b'.repeat(80)}` }],
    ['content_hash', { contentHash: hash.subarray(1) }],
    ['signature_hash', { signatureHash: Buffer.alloc(0) }],
    ['manifest_bytes', { manifestBytes: 0 }],
    ['manifest_bytes', { manifestBytes: 2_000_000_001 }],
    ['signature_bytes', { signatureBytes: 256 * 1024 ** 2 + 1 }],
    ['entry_count', { entryCount: 5_000_001 }],
    ['file_count', { fileCount: 5_000_001 }],
    ['size_bytes', { sizeBytes: 8 * 1024 ** 4 + 1 }],
    ['size_bytes', { sizeBytes: '18446744073709551615' }],
  ];
  for (const [field, changes] of badContents) {
    it(`is refused for a content's ${field}: ${JSON.stringify(changes).slice(0, 60)} (SEC-4)`, () => {
      refuses(`package.contents[1].${field}`, () => readContent(changes));
    });
  }

  const long = (length: number) => 'x'.repeat(length);
  const badProperties: [string, Partial<PackageProperties>][] = [
    ['priority', { priority: 'PRIORITY_UNSPECIFIED' }],
    ['priority', { priority: 7 as never }],
    ['name', { name: long(257) }],
    ['version', { version: long(257) }],
    ['manufacturer', { manufacturer: long(257) }],
    ['language', { language: long(257) }],
    ['description', { description: long(4_097) }],
    ['icon_name', { iconName: '../evil.ico' }],
    ['icon_name', { iconName: long(256) }],
    ['icon', { icon: Buffer.alloc(256 * 1024 + 1) }],
    [
      'programs',
      { programs: Array.from({ length: 101 }, () => ({ name: 'a', commandLine: 'b' })) },
    ],
    ['programs[0].name', { programs: [{ name: long(257), commandLine: 'a' }] }],
    ['programs[0].command_line', { programs: [{ name: 'a', commandLine: long(8_192) }] }],
  ];
  for (const [field, changes] of badProperties) {
    it(`is refused for its ${field}: ${JSON.stringify(changes).slice(0, 60)} (SEC-4)`, () => {
      refuses(`package.properties.${field}`, () => readProperties(changes));
    });
  }

  it('is refused when it is not there', () => {
    refuses('package', () => requirePackageVersion(arrived({}).package, packageId));
  });

  it('tells back no more of a long text than a line', () => {
    assert.throws(
      () => readContent({ contentId: long(1_000) }),
      (error) => error instanceof Error && error.message.length < 250,
    );
  });
});

describe('package action of the wire', () => {
  const readAction = (action: BeginRequest['action']) =>
    requireAction(arrived({ ...(action !== undefined && { action }) }).action);

  it('is read as it was written', () => {
    const action = { packageId, jobSerial: Number.MAX_SAFE_INTEGER };
    assert.deepEqual(readAction(action), action);
  });

  it('is refused for what is missing or wrong, by name', () => {
    refuses('action', () => readAction(undefined));
    refuses('action.package_id', () => readAction({ jobSerial: 1 }));
    refuses('action.package_id', () => readAction({ packageId: 'PS1/0001', jobSerial: 1 }));
    refuses('action.job_serial', () => readAction({ packageId }));
    refuses('action.job_serial', () => readAction({ packageId, jobSerial: 0 }));
    refuses('action.job_serial', () => readAction({ packageId, jobSerial: '9007199254740993' }));
  });
});
