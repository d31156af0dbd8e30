import assert from 'node:assert/strict';
import type { PeerIdentity } from '../../shared/domain/peer-identity.ts';
import type { CallContext } from '../../shared/rpc/conversation.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { prestagedConversation } from './prestaged-conversation.ts';

/** Who imports at DP PS1DP1 of site PS1, and how that ends; 'imported': it was begun. */
async function importedBy(identity: PeerIdentity): Promise<string> {
  const { importPrestaged } = prestagedConversation({
    prestaged: { run: async () => Promise.reject(new Error('imported')) },
    ...{ clock: new FakeClock(), dpId: 'PS1DP1', siteCode: 'PS1' },
  });
  const signal = new AbortController().signal;
  const context: CallContext = { caller: { identity, address: '::1' }, signal };
  try {
    for await (const _ of importPrestaged({ path: '/x' }, context));
  } catch (error) {
    return (error as { code?: string }).code ?? (error as Error).message;
  }
  return 'ended';
}

const admin = { kind: 'admin', role: 'operator', name: 'bob' } as const;

describe('who imports prestaged files at a DP (SEC-1)', () => {
  for (const [who, identity, end] of [
    ['the DP itself', { kind: 'dp', dpId: 'PS1DP1' }, 'imported'],
    ['another DP', { kind: 'dp', dpId: 'PS1DP2' }, 'PEER_NOT_ALLOWED'],
    ['an administrator', admin, 'imported'],
    [
      'one of this site',
      { ...admin, scope: { siteCodes: ['PS1', 'PS2'], groupNames: [] } },
      'imported',
    ],
    [
      'one of another site',
      { ...admin, scope: { siteCodes: ['PS2'], groupNames: [] } },
      'SCOPE_EXCEEDED',
    ],
    [
      'one of a group, which a DP does not know',
      { ...admin, scope: { siteCodes: [], groupNames: ['Lab'] } },
      'SCOPE_EXCEEDED',
    ],
  ] as const) {
    it(`${who}: ${end}`, async () => {
      assert.equal(await importedBy(identity), end);
    });
  }
});
