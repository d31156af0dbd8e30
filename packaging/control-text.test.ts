import assert from 'node:assert/strict';
import { changelogText, controlText, isDebianVersion } from './control-text.ts';

describe('controlText', () => {
  const fields = {
    name: 'waybill-dp',
    version: '0.1.0',
    architecture: 'all',
    depends: ['waybill (= 0.1.0)', 'systemd'],
    breaks: [],
    installedKib: 12,
    summary: 'distribution point',
    description: ['First, '.repeat(14).trim(), 'Second.'],
  };

  it('has a field a line, a description of paragraphs, and no empty field', () => {
    assert.equal(
      controlText(fields),
      [
        'Package: waybill-dp',
        'Version: 0.1.0',
        'Architecture: all',
        'Maintainer: Waybill developers <packages@waybill.example>',
        'Installed-Size: 12',
        'Depends: waybill (= 0.1.0), systemd',
        'Section: admin',
        'Priority: optional',
        'Description: distribution point',
        ` ${'First, '.repeat(11).trim()}`,
        ' First, First, First,',
        ' .',
        ' Second.',
        '',
      ].join('\n'),
    );
  });
});

describe('changelogText', () => {
  it('has the date in the form that Debian wants', () => {
    const text = changelogText('waybill', '0.1.0', 0);
    assert.match(text, /^waybill \(0\.1\.0\) stable; urgency=medium\n/);
    assert.match(text, / {2}Thu, 01 Jan 1970 00:00:00 \+0000\n$/);
  });
});

describe('isDebianVersion', () => {
  for (const version of ['0.1.0', '1.0.0~rc1', '0.1.0+test2']) {
    it(`takes ${version}`, () => assert(isDebianVersion(version)));
  }
  for (const version of ['', 'v1', '1.0-1', '1.0 ', '../1', '1:2', `1${'.1'.repeat(60)}`]) {
    it(`refuses ${JSON.stringify(version)}`, () => assert(!isDebianVersion(version)));
  }
});
