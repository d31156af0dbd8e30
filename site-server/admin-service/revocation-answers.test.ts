import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { Revocation } from '../../shared/domain/revocation.ts';
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
  let answers: ReturnType<RevocationAnswers['methods']>;

  beforeEach(() => {
    said = [];
    const revoke = async (holder: string, why: { reason: string; revokedBy: string }) => {
      said.push({ holder, ...why });
      return { siteCode: 'PS1', holder, revokedAtMs: 9, ...why };
    };
    const parent = { siteCode: 'CS1', address: 'cs1:8530' };
    const own = { siteCode: 'PS1', kind: 'primary', parent } as const;
    const sites = { own } as ConstructorParameters<typeof RevocationAnswers>[0]['sites'];
    answers = new RevocationAnswers({
      revocations: { list: () => [known], revoke },
      lastAdministrator: {
        putOut: async (holder, _by, work) => {
          if (holder !== 'admin/alice') return work();
          throw new WaybillError({ code: 'ADMINISTRATOR_LAST', name: 'alice', siteCode: 'PS1' });
        },
      },
      sites,
    }).methods();
  });

  it('revokes, and says who said so, with his scope', async () => {
    const request = { holder: 'dp/PS1DP1', reason: 'stolen' };
    const revokedBy = 'waybill://admin/full/alice?site=PS1';
    const answer = await answers.revokeCertificates(request, context);
    assert.deepEqual(said, [{ ...request, revokedBy }]);
    assert.deepEqual(answer, { siteCode: 'PS1', revokedAtMs: 9, ...request, revokedBy });
  });

  for (const [holder, message] of [
    ['PS1DP1', /holder: expected such as dp\/PS1DP1, .* got "PS1DP1"/],
    ['admin/full/bob', /holder: expected such as/],
    ['', /holder: expected such as/],
    ['site/PS1', /holder: expected another site than PS1, which is asked; ask site CS1/],
  ] as const) {
    it(`refuses "${holder}", and revokes nothing`, async () => {
      const asked = answers.revokeCertificates({ holder, reason: '' }, context);
      await assert.rejects(asked, { code: 'REQUEST_INVALID', message });
      assert.deepEqual(said, []);
    });
  }

  it('does not revoke the last administrator', async () => {
    const asked = answers.revokeCertificates({ holder: 'admin/alice', reason: '' }, context);
    await assert.rejects(asked, { code: 'ADMINISTRATOR_LAST' });
    assert.deepEqual(said, []);
  });

  it('lists all that are known', async () => {
    const listed = [];
    for await (const one of answers.listRevocations()) listed.push(one);
    assert.deepEqual(listed, [known]);
  });
});
