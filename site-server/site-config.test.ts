import assert from 'node:assert/strict';
import { assertConfigPage } from '../shared/testing/config-page.ts';
import { siteConfigSchema } from './site-config.ts';

const least = {
  siteCode: 'PS1',
  dataDirectory: '/data',
  certificates: { caFile: 'ca', certificateFile: 'crt', keyFile: 'key' },
};
const parent = { siteCode: 'CS1', address: 'cs1:8530' };

describe('site configuration', () => {
  it('is described key by key in docs/configuration.md', async () => {
    await assertConfigPage('waybill-site', siteConfigSchema);
  });

  it('is that of a primary site alone when nothing is said of a hierarchy (ROLE-1)', () => {
    const { kind, parent: above } = siteConfigSchema.parse(least);
    assert.deepEqual([kind, above], ['primary', undefined]);
  });

  for (const [what, place, expected] of [
    ['a top with a parent', { kind: 'central-administration', parent }, /is the top/],
    ['a secondary site without one', { kind: 'secondary' }, /primary site above/],
    ['a site above itself', { parent: { ...parent, siteCode: 'PS1' } }, /another site/],
    ['a kind there is not', { kind: 'third' }, /kind/],
    ['a parent without address', { parent: { siteCode: 'CS1' } }, /address/],
    ['a parent that is no site code', { parent: { ...parent, siteCode: 'cs1' } }, /three of/],
  ] as const) {
    it(`refuses ${what} (ROLE-1)`, () => {
      const result = siteConfigSchema.safeParse({ ...least, ...place });
      assert.match(String(result.error?.message), expected);
    });
  }

  it('takes each kind in its place (ROLE-1)', () => {
    for (const place of [
      { kind: 'central-administration' },
      { kind: 'primary', parent },
      { kind: 'secondary', parent },
    ]) {
      assert.ok(siteConfigSchema.safeParse({ ...least, ...place }).success);
    }
  });
});
