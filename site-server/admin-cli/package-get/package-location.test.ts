import assert from 'node:assert/strict';
import { isErrorWithCode } from '../../../shared/domain/errors.ts';
import { aVersion } from '../testing/fake-packages.ts';
import { toPackageLocation } from './package-location.ts';

type Answer = Parameters<typeof toPackageLocation>[0];
type Source = NonNullable<Answer['sources'][number]['source']>;

function sourceOf(changes: Partial<Source> = {}): Answer['sources'][number] {
  const source: Source = {
    identity: 'waybill://dp/PS1DP1',
    address: 'dp1:8531',
    rank: 1,
    protocol: 'SOURCE_PROTOCOL_GRPC',
    ...changes,
  };
  return { source, nearness: 'SOURCE_NEARNESS_SAME_NETWORK' };
}

function locate(...sources: Answer['sources']) {
  const answer = { bundle: Buffer.from('bundle'), sources };
  return toPackageLocation(answer, 'PS100001', (bytes, packageId) => {
    assert.equal(bytes.toString(), 'bundle');
    assert.equal(packageId, 'PS100001');
    return aVersion;
  });
}

describe('a content location (CLIENT-1)', () => {
  it('has the version and the sources, lowest rank first', () => {
    const site = sourceOf({ identity: 'waybill://site/PS1', address: '[::1]:8530', rank: 9 });
    assert.deepEqual(locate(site, sourceOf()), {
      version: aVersion,
      sources: [
        {
          identity: { kind: 'dp', dpId: 'PS1DP1' },
          address: 'dp1:8531',
          rank: 1,
          nearness: 'same-network',
        },
        {
          identity: { kind: 'site', siteCode: 'PS1' },
          address: '[::1]:8530',
          rank: 9,
          nearness: 'same-network',
        },
      ],
    });
  });

  it('without a source is none', () => {
    assert.throws(
      () => locate(),
      (error) => isErrorWithCode(error, 'PACKAGE_NOT_LOCATED'),
    );
  });

  for (const [what, source] of [
    ['an administrator', sourceOf({ identity: 'waybill://admin/full/eve' })],
    ['nobody', sourceOf({ identity: '' })],
    ['no address', sourceOf({ address: 'dp1' })],
    [
      'a protocol this program does not speak',
      sourceOf({ protocol: 'SOURCE_PROTOCOL_UNSPECIFIED' }),
    ],
    ['no source at all', { source: null, nearness: 'SOURCE_NEARNESS_UNSPECIFIED' as const }],
  ] as const) {
    it(`is refused when a source is ${what}`, () => {
      assert.throws(
        () => locate(sourceOf(), source),
        (error) => isErrorWithCode(error, 'MESSAGE_INVALID'),
      );
    });
  }
});
