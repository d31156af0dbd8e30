import assert from 'node:assert/strict';
import type { Voucher } from '../../shared/domain/certificate-authority.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { Revocation } from '../../shared/domain/revocation.ts';
import { SiteTree } from '../../shared/domain/site-tree.ts';
import type { CallContext } from '../../shared/rpc/conversation.ts';
import { RevocationAnswers } from './revocation-answers.ts';

const context: CallContext = {
  caller: {
    identity: {
      ...{ kind: 'admin', role: 'full', name: 'alice' },
      scope: { siteCodes: ['PS1'], groupNames: [] },
    },
    address: '::1',
  },
  signal: new AbortController().signal,
};

describe('what administrators say about revocations (SEC-3)', () => {
  const known: Revocation = {
    ...{ siteCode: 'CS1', holder: 'admin/bob', revokedAtMs: 7, reason: '' },
    revokedBy: 'waybill://admin/full/alice',
  };
  let said: object[];
  let near: string | undefined;
  let vouchers: Map<string, Voucher | undefined>;
  let answers: ReturnType<RevocationAnswers['methods']>;

  beforeEach(() => {
    said = [];
    near = 'dp/PS1DP1';
    const revoke = async (holder: string, why: { reason: string; revokedBy: string }) => {
      said.push({ holder, ...why });
      return { siteCode: 'PS1', holder, revokedAtMs: 9, ...why };
    };
    const parent = { siteCode: 'CS1', address: 'cs1:8530' };
    const own = { siteCode: 'PS1', kind: 'primary', parent } as const;
    const place = { kind: 'primary', address: '', description: '' } as const;
    const tree = new SiteTree([
      { ...place, siteCode: 'CS1', parentSiteCode: '' },
      { ...place, siteCode: 'PS1', parentSiteCode: 'CS1' },
    ]);
    const sites = { own, tree, identityOf: () => undefined };
    vouchers = new Map([
      ['dp/PS1DP1', { siteCode: 'PS1' }],
      ['admin/eve', { siteCode: 'CS1' }],
    ]);
    const holders: ConstructorParameters<typeof RevocationAnswers>[0]['holders'] = {
      find: async (holder) =>
        vouchers.has(holder) ? { holder, voucher: vouchers.get(holder) } : undefined,
      nearest: async () => near,
    };
    answers = new RevocationAnswers({
      revocations: { list: () => [known], revoke },
      ...{ sites, holders },
      lastAdministrator: {
        putOut: async (holder, _by, work) => {
          if (holder !== 'admin/alice') return work();
          throw new WaybillError({ code: 'ADMINISTRATOR_LAST', name: 'alice', siteCode: 'PS1' });
        },
      },
    }).methods();
  });

  it('revokes, and says who said so, with his scope', async () => {
    const request = { holder: 'dp/PS1DP1', reason: 'stolen', evenIfUnknown: false };
    const revokedBy = 'waybill://admin/full/alice?site=PS1';
    const answer = await answers.revokeCertificates(request, context);
    const { holder, reason } = request;
    assert.deepEqual(said, [{ holder, reason, revokedBy }]);
    assert.deepEqual(answer, {
      ...{ siteCode: 'PS1', revokedAtMs: 9, holder, reason, revokedBy },
      reach: 'REVOCATION_REACH_EVERYWHERE',
    });
  });

  it('refuses a name that nobody has, with the one that was meant; and revokes it when told so', async () => {
    const request = { holder: 'dp/PS1DP2', reason: '', evenIfUnknown: false };
    await assert.rejects(answers.revokeCertificates(request, context), {
      code: 'HOLDER_UNKNOWN',
      message: /PS1 knows nobody called dp\/PS1DP2; did you mean dp\/PS1DP1\? Nothing was revoked/,
    });
    near = undefined;
    await assert.rejects(answers.revokeCertificates(request, context), {
      message: /PS1 knows nobody called dp\/PS1DP2\. Nothing was revoked\. /,
    });
    assert.deepEqual(said, []);
    const forced = { ...request, evenIfUnknown: true };
    const { reach } = await answers.revokeCertificates(forced, context);
    assert.equal(reach, 'REVOCATION_REACH_UNKNOWN');
  });

  it('says that one whom a site above vouches for is out here and below alone', async () => {
    const request = { holder: 'admin/eve', reason: '', evenIfUnknown: false };
    const { reach } = await answers.revokeCertificates(request, context);
    assert.equal(reach, 'REVOCATION_REACH_BELOW');
  });

  for (const [holder, message] of [
    ['PS1DP1', /holder: expected whose certificates, such as dp\/PS1DP1, .* got "PS1DP1"/],
    ['admin/full/bob', /holder: expected whose certificates, such as/],
    ['', /holder: expected whose certificates, such as/],
    [
      'site/PS1',
      /holder: expected another site than PS1, which is asked, got "site\/PS1"\. Ask site CS1/,
    ],
  ] as const) {
    it(`refuses "${holder}", and revokes nothing`, async () => {
      const asked = answers.revokeCertificates(
        { holder, reason: '', evenIfUnknown: true },
        context,
      );
      await assert.rejects(asked, { code: 'REQUEST_INVALID', message });
      assert.deepEqual(said, []);
    });
  }

  it('does not revoke the last administrator', async () => {
    const asked = answers.revokeCertificates(
      { holder: 'admin/alice', reason: '', evenIfUnknown: true },
      context,
    );
    await assert.rejects(asked, { code: 'ADMINISTRATOR_LAST' });
    assert.deepEqual(said, []);
  });

  it('lists all that are known', async () => {
    const listed = [];
    for await (const one of answers.listRevocations()) listed.push(one);
    assert.deepEqual(listed, [known]);
  });
});
