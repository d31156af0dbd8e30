import assert from 'node:assert/strict';
import fc from 'fast-check';
import { outsideOf, outsideText, scopeText } from './admin-scope.ts';

const scope = { siteCodes: ['PS1'], groupNames: ['Lab'] };
const here = { dpId: 'PS1DP1', siteCode: 'PS1', groupNames: [] };
const inLab = { dpId: 'PS2DP1', siteCode: 'PS2', groupNames: ['Lab'] };
const away = { dpId: 'PS2DP2', siteCode: 'PS2', groupNames: [] };

describe('scope of an administrator', () => {
  it('holds DPs of its sites and in its groups, packages of its sites, and no more', () => {
    const own = { points: [here, inLab], packageIds: ['PS100001'] };
    assert.deepEqual(outsideOf(scope, { ...own, groupNames: ['Lab'], siteCodes: ['PS1'] }), []);
    const mixed = {
      points: [here, away, inLab],
      packageIds: ['PS100001', 'CS100001'],
      groupNames: ['Lab', 'West'],
      siteCodes: ['CS1', 'PS1'],
    };
    assert.deepEqual(outsideOf(scope, mixed), [
      'site CS1',
      'group West',
      'package CS100001 of site CS1',
      'distribution point PS2DP2 of site PS2',
    ]);
  });

  it('holds no DP that is not known, whatever group names it', () => {
    const gone = { dpId: 'GONE', siteCode: undefined, groupNames: ['Lab'] };
    const outside = outsideOf(scope, { points: [gone] });
    assert.deepEqual(outside, ['distribution point GONE, which is not known here']);
  });

  it('of sites alone holds no group, and of groups alone no site and no package', () => {
    const ofSite = { siteCodes: ['PS1'], groupNames: [] };
    assert.equal(outsideOf(ofSite, { groupNames: ['Lab'] }).length, 1);
    const ofGroup = { siteCodes: [], groupNames: ['Lab'] };
    const change = { points: [here], packageIds: ['PS100001'], siteCodes: ['PS1'] };
    assert.equal(outsideOf(ofGroup, change).length, 3);
  });

  it('never holds more for what is added to a change', () => {
    const code = fc.constantFrom('PS1', 'PS2', 'CS1');
    const group = fc.constantFrom('Lab', 'West');
    const point = fc.record({
      dpId: fc.constantFrom('A', 'B', 'C'),
      siteCode: fc.option(code, { nil: undefined }),
      groupNames: fc.uniqueArray(group),
    });
    const scopes = fc.record({
      siteCodes: fc.uniqueArray(code),
      groupNames: fc.uniqueArray(group),
    });
    const changes = fc.record({ points: fc.array(point), siteCodes: fc.array(code) });
    fc.assert(
      fc.property(scopes, changes, changes, (one, first, second) => {
        const both = {
          points: [...first.points, ...second.points],
          siteCodes: [...first.siteCodes, ...second.siteCodes],
        };
        const outside = outsideOf(one, both);
        for (const text of outsideOf(one, first)) assert.ok(outside.includes(text));
      }),
    );
  });

  it('is told in words, however much lies outside', () => {
    assert.equal(scopeText(scope), 'site PS1, group Lab');
    assert.equal(outsideText(['a', 'b']), 'a, b');
    const many = Array.from({ length: 1_000 }, (_, index) => `group ${index}`);
    assert.match(outsideText(many), /group 7 and 992 more$/);
  });
});
