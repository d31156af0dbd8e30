import assert from 'node:assert/strict';
import type { PackageVersion } from '../../shared/domain/package.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { PrestagedHead } from '../../shared/prestaged-file/prestaged-file-format.ts';
import type { SignatureRefusal } from '../site-identity/site-identity-keeper.ts';
import { refusalOfImport } from './import-check.ts';

const hash = 'a'.repeat(64);
const other = 'b'.repeat(64);

interface Case {
  readonly head?: Partial<PrestagedHead>;
  readonly by?: string;
  readonly held?: Partial<PackageVersion>;
  readonly published?: Partial<SitePackage>;
  readonly signature?: SignatureRefusal;
  readonly at?: string;
}

/** Version 3 in full, made by its source site, of which version 3 is published. */
function refusal({ head, by = 'CS1', held, published, signature, at = 'PS1' }: Case) {
  const made = {
    ...{ packageId: 'CS100001', sourceVersion: 3, baseVersion: 0, packageHash: hash },
    ...{ fileHash: other, fileBytes: 10, madeAtMs: 1, identity: { siteCode: by } },
    ...head,
  } as PrestagedHead;
  const beginning = { head: made, signedBytes: Buffer.of(1), signature: Buffer.of(2), keyId: 'k' };
  const result = refusalOfImport(beginning, {
    siteCode: at,
    held: held && ({ sourceVersion: 3, packageHash: hash, ...held } as PackageVersion),
    published: {
      sourceVersion: 3,
      packageHash: hash,
      state: 'published',
      ...published,
    } as SitePackage,
    signatureRefusal: ({ siteCode, keyId, signedAtMs }) => {
      assert.deepEqual(
        { siteCode, keyId, signedAtMs },
        { siteCode: by, keyId: 'k', signedAtMs: 1 },
      );
      return signature;
    },
  });
  return result instanceof Error ? result.message : result;
}

describe('what may be imported at a site (PKG-12)', () => {
  const taken: readonly (readonly [string, Case])[] = [
    ['a package of another site', {}],
    ['one that is here in an older version', { held: { sourceVersion: 2 } }],
    ['one that is stored here already', { held: {} }],
    ['one of which nothing was heard yet', { published: { sourceVersion: 0, packageHash: '' } }],
    ['a newer version than was heard of', { published: { sourceVersion: 2, packageHash: other } }],
    ['an older version than is published', { published: { sourceVersion: 4, packageHash: other } }],
    [
      'what changed since the version here',
      { head: { baseVersion: 2 }, held: { sourceVersion: 2 } },
    ],
    ['what another site made of what its source site published', { by: 'PS2' }],
    [
      'what another site made of what was not heard of yet: it is asked again then',
      { by: 'PS2', published: { sourceVersion: 2, packageHash: other } },
    ],
  ];
  for (const [name, one] of taken) {
    it(`takes ${name}`, () => assert.equal(refusal(one), undefined));
  }

  const refused: readonly (readonly [string, Case, RegExp])[] = [
    ['a key nobody knows', { signature: 'key-unknown' }, /none of a site .* \(site CS1, key k\)/],
    ['a key that retired long ago', { signature: 'key-retired' }, /exported anew/],
    ['another signature', { signature: 'signature' }, /it was altered/],
    ['a package of this site', { at: 'CS1' }, /made at site CS1 itself/],
    [
      'a package that is being deleted',
      { published: { state: 'deleting' } },
      /is deleting; this needs a package that is not being deleted/,
    ],
    [
      'another content of the published version',
      { published: { packageHash: other } },
      /another one than site CS1 has published/,
    ],
    [
      'what another site made of a version that is not published any more',
      { by: 'PS2', published: { sourceVersion: 4, packageHash: other } },
      /site PS2 cannot speak for version 3; expected version 4, or a file made by site CS1/,
    ],
    ['an older version', { held: { sourceVersion: 4 } }, /3 was offered; version 4 is served/],
    ['other content of the version here', { held: { packageHash: other } }, /other content of/],
    [
      'a delta where nothing is',
      { head: { baseVersion: 2 } },
      /since version 2 .* none of it is here; expected a file exported without "--since"$/,
    ],
    [
      'a delta on another version',
      { head: { baseVersion: 1 }, held: { sourceVersion: 2 } },
      /version 2 is here; expected .*, or with "--since 2"$/,
    ],
  ];
  for (const [name, one, words] of refused) {
    it(`refuses ${name}`, () => assert.match(refusal(one) ?? '', words));
  }
});
