import assert from 'node:assert/strict';
import { sourceInWords } from './pull-source.ts';

describe('sourceInWords', () => {
  it('tells people whom a source is without a URI', () => {
    assert.equal(sourceInWords({ kind: 'dp', dpId: 'PS1DP1' }), 'distribution point PS1DP1');
    assert.equal(sourceInWords({ kind: 'site', siteCode: 'PS1' }), 'site PS1');
  });
});
