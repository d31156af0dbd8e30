import assert from 'node:assert/strict';
import {
  type IssuedCertificate,
  issueRoot,
  issueSiteAuthority,
} from '../../shared/certificates/certificate-issuing.ts';
import { newPrivateKey, publicKeyInfoOf } from '../../shared/certificates/certificate-requests.ts';
import { isToBeTaken, refusalOfFollower } from './site-authority-certificate.ts';

const dayMs = 24 * 3_600_000;
const nowMs = Date.UTC(2026, 0, 1);

describe('what takes the place of a site’s authority (SEC-3)', () => {
  let old: IssuedCertificate;
  let next: IssuedCertificate;
  let key: string;

  before(async () => {
    key = await newPrivateKey();
    [old, next] = await Promise.all([rootUntil(700), rootUntil(900)]);
  });

  const rootUntil = (days: number) =>
    issueRoot({ name: 'root', notBefore: new Date(nowMs - 90 * dayMs), notAfter: inDays(days) });

  const inDays = (days: number) => new Date(nowMs + days * dayMs);

  const by = (root: IssuedCertificate, endsInDays: number, beganDaysAgo = 60) =>
    issueSiteAuthority(root, {
      ...{ siteCode: 'SS1', publicKey: publicKeyInfoOf(key) },
      ...{ notBefore: inDays(-beganDaysAgo), notAfter: inDays(endsInDays) },
    });

  const isRefused = (current: string, offered: string, roots = [next, old]) => {
    const held = { roots: roots.map(({ certificate }) => certificate) };
    return refusalOfFollower({ siteCode: 'SS1', current, offered, held, nowMs }) !== undefined;
  };

  it('is one that ends later, of the same root', async () => {
    const current = await by(old, 100);
    assert.equal(isRefused(current, await by(old, 101)), false);
    assert.equal(isRefused(current, await by(old, 99)), true);
    assert.equal(isRefused(current, current), true);
  });

  it('is one that began later, where the end of the root is the end of both', async () => {
    const current = await by(old, 700);
    const [later, earlier] = await Promise.all([by(old, 700, 1), by(old, 700, 61)]);
    assert.equal(isRefused(current, later), false);
    assert.equal(isRefused(current, earlier), true);
    const held = { generation: 1, roots: [old.certificate] };
    const facts = { siteCode: 'SS1', current, held, overlapEndsMs: nowMs, nowMs };
    assert.equal(isToBeTaken({ ...facts, offered: later }), true);
    assert.equal(isToBeTaken({ ...facts, offered: earlier }), false);
    assert.equal(isToBeTaken({ ...facts, offered: current }), false);
  });

  it('is one of a newer root, whenever that ends; and none of an older one', async () => {
    assert.equal(isRefused(await by(old, 100), await by(next, 50)), false);
    assert.equal(isRefused(await by(next, 100), await by(old, 50)), true);
    assert.equal(isRefused(await by(next, 100), await by(old, 200)), true);
  });

  it('is whichever counts where the one before counts no more: it is over, or its root was retired', async () => {
    assert.equal(isRefused(await by(old, -1), await by(old, 1)), false);
    assert.equal(isRefused(await by(old, 100), await by(next, 50), [next]), false);
  });
});
