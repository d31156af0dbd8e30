import assert from 'node:assert/strict';
import { siteAddressOf } from './site-address.ts';

describe('address of a site', () => {
  it('is what is configured, where it listens, or the name of its machine', () => {
    const addresses: [string | undefined, string, string][] = [
      ['site.example.org:1', '0.0.0.0:8530', 'site.example.org:1'],
      [undefined, '192.0.2.1:8530', '192.0.2.1:8530'],
      [undefined, '0.0.0.0:8530', 'host:8530'],
      [undefined, '[::]:8530', 'host:8530'],
      [undefined, '[2001:db8::1]:8530', '[2001:db8::1]:8530'],
    ];
    for (const [address, listen, expected] of addresses) {
      assert.equal(siteAddressOf({ address, listen }, 'host'), expected);
    }
  });
});
