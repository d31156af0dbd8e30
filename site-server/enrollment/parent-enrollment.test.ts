import assert from 'node:assert/strict';
import type { EnrollRequest__Output } from '../../shared/rpc/generated/waybill/v1/EnrollRequest.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import type { PeerTrust } from '../../shared/rpc/peer-trust.ts';
import type { RpcChannelOptions } from '../../shared/rpc/rpc-channel.ts';
import { ParentEnrollment } from './parent-enrollment.ts';

describe('what is passed on to the parent (SEC-2)', () => {
  it('goes to the parent only, and not to one that is revoked', async () => {
    const opened: RpcChannelOptions<'SiteEnrollment'>[] = [];
    const trust = {} as PeerTrust;
    const parts = {
      credentials: {} as PeerCredentials,
      trust,
      sites: { addressesOf: () => [] },
      openChannel: (options: RpcChannelOptions<'SiteEnrollment'>) => {
        opened.push(options);
        return { unary: async () => ({}) as never, close: () => {} };
      },
    };
    const parent = new ParentEnrollment(parts, { siteCode: 'CS1', address: 'cs1:8530' });
    await parent.enroll({} as EnrollRequest__Output, new AbortController().signal);
    const [options] = opened;
    assert.equal(options?.trust, trust);
    assert.equal(options?.address, 'cs1:8530');
    assert.equal(options?.expected({ kind: 'site', siteCode: 'PS2' }), false);
    assert.equal(options?.expected({ kind: 'site', siteCode: 'CS1' }), true);
  });
});
