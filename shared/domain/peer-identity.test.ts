import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  type AdminScope,
  fromIdentityUri,
  type PeerIdentity,
  scopePartsMax,
  toIdentityUri,
} from './peer-identity.ts';

const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$/);
const sorted = (names: readonly string[]) => [...names].sort();
const scope: fc.Arbitrary<AdminScope> = fc
  .record({
    siteCodes: fc
      .uniqueArray(fc.stringMatching(/^[A-Z0-9]{3}$/), { maxLength: scopePartsMax / 2 })
      .map(sorted),
    groupNames: fc
      .uniqueArray(fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$/), {
        maxLength: scopePartsMax / 2,
      })
      .map(sorted),
  })
  .map((one) => ({ ...one }))
  .filter(({ siteCodes, groupNames }) => siteCodes.length + groupNames.length > 0);
const identity: fc.Arbitrary<PeerIdentity> = fc.oneof(
  fc.record({ kind: fc.constant('site' as const), siteCode: fc.stringMatching(/^[A-Z0-9]{3}$/) }),
  fc.record({
    kind: fc.constant('dp' as const),
    dpId: fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$/),
  }),
  fc.record({
    kind: fc.constant('admin' as const),
    role: fc.constantFrom('full' as const, 'operator' as const, 'read-only' as const),
    name,
  }),
  fc.record({
    kind: fc.constant('admin' as const),
    role: fc.constantFrom('full' as const, 'operator' as const, 'read-only' as const),
    name,
    scope,
  }),
  fc.record({ kind: fc.constant('client' as const), name }),
);

describe('peer identity', () => {
  it('is read from its URI as it was written (SEC-1)', () => {
    fc.assert(
      fc.property(identity, (peer) => {
        assert.deepEqual(fromIdentityUri(toIdentityUri(peer)), { ...peer });
      }),
    );
  });

  it('has one URI only', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const uri = `waybill://${text}`;
        const peer = fromIdentityUri(uri);
        if (peer) assert.equal(toIdentityUri(peer), uri);
      }),
    );
  });

  it('is nobody when anything is wrong', () => {
    const tooMany = Array.from({ length: scopePartsMax + 1 }, (_, index) => `A${index + 10}`);
    const refused = [
      '',
      'waybill://',
      'waybill://site/PS',
      'waybill://site/ps1',
      'waybill://site/PS1/x',
      'waybill://site/PS1/',
      'Waybill://site/PS1',
      'https://site/PS1',
      'waybill://dp/',
      'waybill://dp/a/b',
      'waybill://dp/a%2f',
      'waybill://admin/root/alice',
      'waybill://admin/full',
      'waybill://admin/full/',
      'waybill://admin/full/a/b',
      'waybill://admin/constructor/alice',
      'waybill://client/-a',
      'waybill://toString/a',
      'waybill://admin/operator/bob?',
      'waybill://admin/operator/bob?site=',
      'waybill://admin/operator/bob?site=ps1',
      'waybill://admin/operator/bob?group=a%20b',
      'waybill://admin/operator/bob?group=a/b',
      'waybill://admin/operator/bob?site=PS1&',
      'waybill://admin/operator/bob?site=PS1&site=PS1',
      'waybill://admin/operator/bob?site=PS2&site=PS1',
      'waybill://admin/operator/bob?group=Lab&site=PS1',
      'waybill://admin/operator/bob?site=PS1?site=PS2',
      'waybill://admin/operator/bob?site=PS1=PS2',
      'waybill://admin/operator/bob?name=PS1',
      'waybill://site/PS1?site=PS1',
      'waybill://client/pc1?site=PS1',
      `waybill://admin/full/bob?${tooMany.map((code) => `site=${code}`).join('&')}`,
    ];
    for (const uri of refused) assert.equal(fromIdentityUri(uri), undefined, uri);
  });
});
