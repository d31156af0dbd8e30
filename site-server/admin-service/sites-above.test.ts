import assert from 'node:assert/strict';
import type { SiteKind } from '../../shared/domain/site.ts';
import { SiteTree } from '../../shared/domain/site-tree.ts';
import type { CallContext } from '../../shared/rpc/conversation.ts';
import type { OwnSite } from '../hierarchy-manager/site-directory.ts';
import { RevocationAnswers } from './revocation-answers.ts';
import { requireNotAbove } from './sites-above.ts';

const place = (siteCode: string, kind: SiteKind, parentSiteCode: string) => {
  return { siteCode, kind, parentSiteCode, address: '', description: '' };
};
const tree = new SiteTree([
  place('CS1', 'central-administration', ''),
  place('PS1', 'primary', 'CS1'),
  place('PS2', 'primary', 'CS1'),
  place('S11', 'secondary', 'PS1'),
]);
const own = (siteCode: string, parentSiteCode: string): OwnSite => {
  return { siteCode, kind: 'secondary', parent: { siteCode: parentSiteCode, address: 'p:1' } };
};

describe('a site that would revoke one above it (SEC-3)', () => {
  for (const [holder, message] of [
    [
      'site/PS1',
      /no site above S11, which .* cut itself off, got "site\/PS1"\. Ask site CS1, or enroll S11 anew/,
    ],
    ['site/CS1', /no site above S11, which .* cut itself off, got "site\/CS1"\. Enroll S11 anew/],
  ] as const) {
    it(`is refused ${holder}`, () => {
      const asked = { own: own('S11', 'PS1'), tree };
      assert.throws(() => requireNotAbove(asked, holder), { code: 'REQUEST_INVALID', message });
    });
  }

  for (const holder of ['site/PS2', 'site/S11', 'dp/PS1', 'admin/CS1', 'client/CS1']) {
    it(`may revoke ${holder}`, () => requireNotAbove({ own: own('PS1', 'CS1'), tree }, holder));
  }

  it('has said nothing of it', async () => {
    const said: string[] = [];
    const revoke = async (holder: string) => {
      said.push(holder);
      throw new Error('It was revoked');
    };
    const components = {
      revocations: { list: () => [], revoke },
      sites: { own: own('PS1', 'CS1'), tree, identityOf: () => undefined },
      holders: { find: async () => undefined, nearest: async () => undefined },
    };
    const answers = new RevocationAnswers(components as never).methods();
    const identity = { kind: 'admin', role: 'full', name: 'alice' } as const;
    const { signal } = new AbortController();
    const context: CallContext = { caller: { identity, address: '::1' }, signal };
    const request = { holder: 'site/CS1', reason: '', evenIfUnknown: true };
    await assert.rejects(answers.revokeCertificates(request as never, context), {
      code: 'REQUEST_INVALID',
    });
    assert.deepEqual(said, []);
  });
});
