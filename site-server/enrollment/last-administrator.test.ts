import assert from 'node:assert/strict';
import type { Administrator } from '../../shared/domain/administrator.ts';
import type { IssuedCertificateRecord } from '../../shared/domain/issued-certificate.ts';
import type { PeerIdentity } from '../../shared/domain/peer-identity.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { LastAdministrator } from './last-administrator.ts';

const alice: PeerIdentity = { kind: 'admin', role: 'full', name: 'alice' };
const bob: PeerIdentity = { kind: 'admin', role: 'full', name: 'bob' };
const nowMs = 1_000_000;

function listed<T>(rows: readonly T[]) {
  return {
    list: async function* () {
      yield* rows;
    },
  };
}

describe('The last administrator of a site (SEC-1)', () => {
  let administrators: Administrator[];
  let issued: IssuedCertificateRecord[];
  let revokedAtMs: Map<string, number>;
  let done: string[];
  let last: LastAdministrator;

  beforeEach(() => {
    [administrators, issued, done] = [[], [], []];
    revokedAtMs = new Map();
    last = new LastAdministrator({
      siteCode: 'PS1',
      administrators: listed(administrators),
      issued: listed(issued),
      revocations: {
        heardByIssuer: (holder) => {
          const atMs = revokedAtMs.get(holder);
          return atMs === undefined ? undefined : { revokedAtMs: atMs };
        },
      },
      rootKeyIds: () => ['root'],
      clock: new FakeClock(nowMs),
    });
    add('alice', 'waybill://admin/full/alice');
  });

  /** One who has a certificate, unless said otherwise. */
  function add(
    name: string,
    identityUri = `waybill://admin/full/${name}`,
    certificate: Partial<IssuedCertificateRecord> | 'none' = {},
  ): void {
    const facts = { createdAtMs: 1, createdBy: '', enrolledAtMs: 1 };
    administrators.push({ name, identityUri, ...facts });
    if (certificate === 'none') return;
    issued.push({
      ...{ kind: 'leaf', serialNumber: name, holder: `admin/${name}`, identityUri },
      ...{ issuedAtMs: 500, notBeforeMs: 500, notAfterMs: nowMs, rootKeyId: 'root' },
      ...certificate,
    });
  }

  const putOut = (holder: string, by: PeerIdentity = alice) =>
    last.putOut(holder, by, async () => {
      done.push(holder);
      // As it is written by the time the work is done.
      revokedAtMs.set(holder, nowMs);
    });

  async function isRefused(holder = 'admin/alice', by: PeerIdentity = alice): Promise<void> {
    const details = { code: 'ADMINISTRATOR_LAST', name: holder.slice(6), siteCode: 'PS1' };
    const message = /site PS1 .*"waybill admin add NAME --role full"/;
    const before = done.length;
    await assert.rejects(putOut(holder, by), { code: 'ADMINISTRATOR_LAST', details, message });
    assert.equal(done.length, before);
  }

  it('does not put himself out', () => isRefused());

  for (const [why, identityUri, certificate] of [
    ['is no administrator with full rights', 'waybill://admin/operator/bob', {}],
    ['has a scope', 'waybill://admin/full/bob?site=PS1', {}],
    ['has not enrolled', undefined, 'none'],
    ['has one that has expired', undefined, { notAfterMs: nowMs - 1 }],
    ['has one of a root that is trusted no more', undefined, { rootKeyId: 'older' }],
    ['had it with another role', undefined, { identityUri: 'waybill://admin/full/bob?site=PS1' }],
  ] as const) {
    it(`is not helped by another one who ${why}`, async () => {
      add('bob', identityUri, certificate);
      await isRefused();
    });
  }

  it('is not helped by another one who was revoked, by himself or with the site', async () => {
    add('bob');
    revokedAtMs.set('admin/bob', 500);
    await isRefused();
    revokedAtMs = new Map([['site/PS1', 500]]);
    await isRefused();
  });

  it('may go when there is another one, who may have been revoked before', async () => {
    add('bob');
    revokedAtMs.set('admin/bob', 499);
    await putOut('admin/alice');
    assert.deepEqual(done, ['admin/alice']);
  });

  it('puts out everybody else: he himself is left, wherever he is from', async () => {
    add('bob');
    for (const holder of ['admin/bob', 'dp/PS1DP1', 'site/PS2', 'client/alice'])
      await putOut(holder);
    await putOut('admin/alice', { kind: 'admin', role: 'full', name: 'carol' });
    assert.equal(done.length, 5);
  });

  it('of two who put each other out at the same moment one stays', async () => {
    add('bob');
    const both = [putOut('admin/bob', alice), putOut('admin/alice', bob)];
    const ends = await Promise.allSettled(both);
    assert.deepEqual(
      ends.map(({ status }) => status),
      ['fulfilled', 'rejected'],
    );
    assert.deepEqual(done, ['admin/bob']);
  });
});
