import assert from 'node:assert/strict';
import fc from 'fast-check';
import { identityOfSubjectAltName } from './certificate-identity.ts';

const dp = { kind: 'dp', dpId: 'PS1DP1' };

describe('identity of a certificate (SEC-1)', () => {
  const cases: readonly [string, string | undefined, unknown][] = [
    ['one URI', 'URI:waybill://dp/PS1DP1', dp],
    ['host names beside it', 'DNS:localhost, URI:waybill://dp/PS1DP1, IP Address:127.0.0.1', dp],
    ['foreign URIs beside it', 'URI:https://example.org/a, URI:waybill://dp/PS1DP1', dp],
    ['no subject alternative name', undefined, undefined],
    ['no URI', 'DNS:localhost', undefined],
    ['two identities', 'URI:waybill://dp/PS1DP1, URI:waybill://site/PS1', undefined],
    ['the same identity twice', 'URI:waybill://dp/PS1DP1, URI:waybill://dp/PS1DP1', undefined],
    [
      'one that is not well formed',
      'URI:waybill://dp/PS1DP1, URI:waybill://king/arthur',
      undefined,
    ],
    ['an identity as a host name', 'DNS:waybill://dp/PS1DP1', undefined],
    ['an identity inside a quoted name', 'DNS:"a, URI:waybill://dp/PS1DP1"', undefined],
    ['a quoted identity', 'URI:"waybill://dp/PS1DP1"', undefined],
    ['text that does not parse', 'URI:waybill://dp/PS1DP1, DNS:"open', undefined],
    ['text after the names', 'URI:waybill://dp/PS1DP1,URI:waybill://site/PS1', undefined],
  ];
  for (const [name, subjectAltName, expected] of cases) {
    it(`${expected ? 'takes' : 'refuses'} ${name}`, () => {
      assert.deepEqual(identityOfSubjectAltName(subjectAltName), expected);
    });
  }

  it('cannot be feigned by any other name, quoted as Node quotes it', () => {
    const quoted = fc.string().map((text) => JSON.stringify(`${text}, URI:waybill://site/PS1`));
    fc.assert(
      fc.property(fc.array(quoted), fc.array(quoted), (before, after) => {
        const own = 'URI:waybill://dp/PS1DP1';
        const names = [...before.map((n) => `DNS:${n}`), own, ...after.map((n) => `email:${n}`)];
        assert.deepEqual(identityOfSubjectAltName(names.join(', ')), dp);
      }),
    );
  });
});
