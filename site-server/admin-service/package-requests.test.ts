import assert from 'node:assert/strict';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { PackageProperties__Output } from '../../shared/rpc/generated/waybill/v1/PackageProperties.ts';
import type { PackagePropertiesPatch__Output } from '../../shared/rpc/generated/waybill/v1/PackagePropertiesPatch.ts';
import {
  toPackageProperties,
  toPackageStatusQuery,
  toTargets,
  withPatch,
} from './package-requests.ts';

const good: PackageProperties__Output = {
  name: 'Dummy1',
  version: '16.0.2',
  manufacturer: 'Contoso',
  language: 'en',
  description: 'first line\nsecond line',
  priority: 'PRIORITY_HIGH',
  programs: [{ name: 'install', commandLine: 'setup /quiet' }],
  iconName: 'dummy.ico',
  icon: Buffer.from('icon'),
};

const nothing: PackagePropertiesPatch__Output = {
  priority: 'PRIORITY_UNSPECIFIED',
  programs: null,
  icon: null,
};

function refuses(field: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isErrorWithCode(error, 'REQUEST_INVALID'));
    const { details } = error;
    assert.equal('field' in details && details.field, field);
    return true;
  };
}

describe('Requests about packages', () => {
  it('become the properties of a package (PKG-1, PKG-11)', () => {
    assert.deepEqual(toPackageProperties(good), {
      ...{ name: 'Dummy1', version: '16.0.2', manufacturer: 'Contoso', language: 'en' },
      description: 'first line\nsecond line',
      priority: 1,
      programs: [{ name: 'install', commandLine: 'setup /quiet' }],
      iconName: 'dummy.ico',
      iconBase64: Buffer.from('icon').toString('base64'),
    });
  });

  it('mean normal priority when they name none', () => {
    const { priority } = toPackageProperties({ ...good, priority: 'PRIORITY_UNSPECIFIED' });
    assert.equal(priority, 2);
  });

  it('may be as large as the limits say', () => {
    const programs = Array.from({ length: 100 }, (_, index) => {
      return { name: `${index}`.padEnd(256, 'x'), commandLine: 'x'.repeat(8_191) };
    });
    const icon = Buffer.alloc(256 * 1024);
    const large = { ...good, name: '\u{1f4e6}'.repeat(256), programs, icon };
    assert.equal(toPackageProperties(large).programs.length, 100);
  });

  const program = { name: 'a', commandLine: 'b' };
  const bad: [string, Partial<PackageProperties__Output>][] = [
    ['properties.name', { name: '' }],
    ['properties.name', { name: 'x'.repeat(257) }],
    ['properties.name', { name: 'two\nlines' }],
    ['properties.name', { name: 'colour\u001b[31m' }],
    ['properties.version', { version: 'x'.repeat(257) }],
    ['properties.manufacturer', { manufacturer: '\0' }],
    ['properties.language', { language: 'x'.repeat(257) }],
    ['properties.description', { description: 'x'.repeat(4_097) }],
    ['properties.description', { description: 'bell\u0007' }],
    ['properties.priority', { priority: 9 as unknown as 'PRIORITY_LOW' }],
    ['properties.programs', { programs: new Array(101).fill(program) }],
    ['properties.programs', { programs: [program, program] }],
    ['properties.programs[1].name', { programs: [program, { ...program, name: '' }] }],
    ['properties.programs[0].command_line', { programs: [{ ...program, commandLine: '' }] }],
    ['properties.icon', { icon: Buffer.alloc(256 * 1024 + 1) }],
    ['properties.icon_name', { iconName: '' }],
    ['properties.icon_name', { iconName: '../dummy.ico' }],
  ];
  for (const [field, wrong] of bad) {
    it(`are refused with ${JSON.stringify(wrong).slice(0, 50)}, naming ${field}`, () => {
      assert.throws(() => toPackageProperties({ ...good, ...wrong }), refuses(field));
    });
  }

  it('change only what they name', () => {
    const before = toPackageProperties(good);
    assert.deepEqual(withPatch(before, nothing), before);
    const patch = { ...nothing, version: '17', priority: 'PRIORITY_LOW' } as const;
    assert.deepEqual(withPatch(before, patch), { ...before, version: '17', priority: 3 });
    const emptied = { ...nothing, description: '', programs: { programs: [] } };
    assert.deepEqual(withPatch(before, emptied), { ...before, description: '', programs: [] });
    const noIcon = { ...nothing, icon: { name: '', bytes: Buffer.alloc(0) } };
    assert.deepEqual(withPatch(before, noIcon), { ...before, iconName: '', iconBase64: '' });
    assert.throws(() => withPatch(before, { ...nothing, name: '' }), refuses('properties.name'));
    assert.throws(() => withPatch(before, null), refuses('properties'));
  });

  it('name distribution points, each once, or all of them', () => {
    const dpIds = ['DP2', 'DP1', 'DP2'];
    const groupNames = ['Offices', 'Offices'];
    const names = { dpIds, siteCodes: ['PS2'], groupNames };
    const targets = { packageId: 'PS100001', allDps: false, ...names };
    assert.deepEqual(toTargets(targets).siteCodes, ['PS2']);
    assert.deepEqual(toTargets(targets).groupNames, ['Offices']);
    assert.throws(() => toTargets({ ...targets, groupNames: ['a b'] }), refuses('group_names[0]'));
    targets.siteCodes = [];
    targets.groupNames = [];
    assert.deepEqual(toTargets(targets).dpIds, ['DP2', 'DP1']);
    assert.equal(toTargets({ ...targets, dpIds: [], allDps: true }).dpIds, 'all');
    assert.throws(() => toTargets({ ...targets, dpIds: [] }), refuses('dp_ids'));
    assert.throws(() => toTargets({ ...targets, allDps: true }), refuses('dp_ids'));
    assert.throws(() => toTargets({ ...targets, dpIds: ['DP1', ''] }), refuses('dp_ids[1]'));
    const many = Array.from({ length: 1_001 }, (_, index) => `DP${index}`);
    assert.throws(() => toTargets({ ...targets, dpIds: many }), refuses('dp_ids'));
    assert.throws(() => toTargets({ ...targets, packageId: 'ps1' }), refuses('package_id'));
  });

  it('ask for status by package and DP, each optional', () => {
    const all = toPackageStatusQuery({
      packageId: '',
      dpId: '',
      failedOnly: true,
      siteCode: '',
      groupName: '',
    });
    assert.deepEqual(all, {
      ...{ packageId: undefined, dpId: undefined, failedOnly: true },
      ...{ siteCode: undefined, groupName: undefined },
    });
    const about = { dpId: 'DP1', siteCode: 'PS2', groupName: 'Offices' };
    const one = { packageId: 'PS100001', failedOnly: false, ...about };
    assert.deepEqual(toPackageStatusQuery(one), one);
    assert.throws(() => toPackageStatusQuery({ ...one, dpId: '/' }), refuses('dp_id'));
  });
});
