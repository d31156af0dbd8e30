import assert from 'node:assert/strict';
import fc from 'fast-check';
import { fromIdentityUri, type PeerIdentity, toIdentityUri } from './peer-identity.ts';

const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$/);
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
    ];
    for (const uri of refused) assert.equal(fromIdentityUri(uri), undefined, uri);
  });
});
