import assert from 'node:assert/strict';
import fc from 'fast-check';
import { packageIdCountMax, parsePackageId, toPackageId } from './package.ts';

describe('package ID', () => {
  it('is the site code and five upper-case hexadecimal digits (PKG-1)', () => {
    assert.equal(toPackageId('PS1', 1), 'PS100001');
    assert.equal(toPackageId('PS1', 0xabc), 'PS100ABC');
    assert.equal(toPackageId('PS1', packageIdCountMax), 'PS1FFFFF');
  });

  it('is read back, and differs for every number', () => {
    const count = fc.integer({ min: 1, max: packageIdCountMax });
    fc.assert(
      fc.property(count, count, (a, b) => {
        const id = toPackageId('C01', a);
        assert.equal(parsePackageId(id), id);
        assert.equal(id === toPackageId('C01', b), a === b);
      }),
    );
  });

  it('is nothing else', () => {
    for (const text of [
      '',
      'PS10001',
      'PS1000001',
      'ps100001',
      'PS10000g',
      'PS1000a1',
      'PS100001\n',
      '../00001',
    ]) {
      assert.equal(parsePackageId(text), undefined, JSON.stringify(text));
    }
  });
});
