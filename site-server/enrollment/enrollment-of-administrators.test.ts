import assert from 'node:assert/strict';
import { parseEnrollmentToken } from '../../shared/domain/enrollment-token.ts';
import { identityOfSubjectAltName } from '../../shared/rpc/certificate-identity.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { defaultEnrollmentTokensConfig } from './enrollment-tokens.ts';
import { openBeforeEach, reasonOf, site } from './testing/enrollment-ground.ts';
import { certificateIn } from './testing/test-authority.ts';
import { alice } from './testing/test-enrollment.ts';

describe('Enrollment of an administrator (SEC-2)', () => {
  openBeforeEach();

  it('gives an administrator the role and scope of the token, whatever he asks for', async () => {
    const bob = 'waybill://admin/operator/bob?site=PS1';
    const token = await site.token(bob);
    const answer = await site.enroll({ token, identityUri: 'waybill://admin/full/bob' });
    const identity = identityOfSubjectAltName(certificateIn(answer).subjectAltName);
    const scope = { siteCodes: ['PS1'], groupNames: [] };
    assert.deepEqual(identity, { kind: 'admin', role: 'operator', name: 'bob', scope });
    const names: string[] = [];
    for await (const { name, enrolledAtMs } of site.commands.listAdministrators()) {
      names.push(`${name} ${enrolledAtMs === site.clock.nowMs()}`);
    }
    assert.deepEqual(names, ['bob true']);
  });

  it('audits the role that the token gives, and never one that was only asked for', async () => {
    const bob = 'waybill://admin/operator/bob?site=PS1';
    const token = await site.token(bob);
    const tokenId = parseEnrollmentToken(token).token?.tokenId;
    const asked = { token, identityUri: 'waybill://admin/read-only/bob' };
    await site.enroll(asked);
    const given = site.events.at(-1)?.detail ?? '';
    assert.ok(given.startsWith(`token=${tokenId} holder=admin/bob as=${bob} key=`), given);
    await assert.rejects(site.enroll(asked), reasonOf('used'));
    assert.equal(site.events.at(-1)?.detail, `token=${tokenId} holder=admin/bob used`);
  });

  it('gives an administrator who was deleted nothing, and does not bring him back', async () => {
    const token = await site.token('waybill://admin/full/bob');
    await site.commands.deleteAdministrator('bob', alice);
    const asBob = { token, identityUri: 'waybill://admin/full/bob' };
    await assert.rejects(site.enroll(asBob), reasonOf('revoked'));
    const bob = { kind: 'admin', role: 'full', name: 'bob' } as const;
    await site.administrators.wasEnrolled(bob, 0);
    assert.equal(await site.administrators.has(bob), false);
    assert.ok(site.revokedAtMs.has('admin/bob'));
  });

  it('makes no administrator of what there is not', async () => {
    const to = (scope: string) => site.token(`waybill://admin/operator/bob?${scope}`);
    await assert.rejects(to('site=PS1&site=PS9'), { code: 'SITE_UNKNOWN' });
    await assert.rejects(to('group=Lab&group=Lbb'), { code: 'GROUP_UNKNOWN' });
    for await (const { name } of site.commands.listAdministrators()) assert.fail(name);
    await to('site=PS1&group=Lab');
  });

  it('does not delete the last administrator at his own word, nor revoke him', async () => {
    await site.token('waybill://admin/full/alice');
    const deleting = site.commands.deleteAdministrator('alice', alice);
    await assert.rejects(deleting, { code: 'ADMINISTRATOR_LAST' });
    const still = { kind: 'admin', role: 'full', name: 'alice' } as const;
    assert.ok(await site.administrators.has(still));
    assert.ok(!site.revokedAtMs.has('admin/alice'));
  });

  it('makes no second administrator of the same name with another role', async () => {
    await site.token('waybill://admin/operator/bob');
    await assert.rejects(site.token('waybill://admin/full/bob'), { code: 'ADMINISTRATOR_EXISTS' });
  });

  it('makes no administrator for whose token there is no room', async () => {
    const rows = site.store.records(keySpaces.enrollmentTokens);
    const token = await site.token('waybill://admin/operator/carol');
    const row = await rows.get(parseEnrollmentToken(token).token?.tokenId ?? '');
    assert.ok(row);
    const many = Array.from({ length: defaultEnrollmentTokensConfig.countMax }, (_, index) => {
      const tokenId = `${index}`.padStart(16, '0');
      return rows.put(tokenId, { ...row, tokenId });
    });
    await site.store.write(many, { sync: false });
    const bob = site.token('waybill://admin/full/bob');
    await assert.rejects(bob, {
      code: 'REQUEST_INVALID',
      message: /tokens that can still be used/,
    });
    const names = [];
    for await (const { name } of site.commands.listAdministrators()) names.push(name);
    assert.deepEqual(names, ['carol']);
  });

  it('ends no token of an administrator for one who is refused', async () => {
    const token = await site.token('waybill://admin/operator/bob');
    await assert.rejects(site.token('waybill://admin/full/bob'), { code: 'ADMINISTRATOR_EXISTS' });
    await site.enroll({ token, identityUri: 'waybill://admin/operator/bob' });
  });

  it('lets nobody with a scope or a lower role make somebody who may more', async () => {
    const scope = { siteCodes: ['PS1'], groupNames: [] };
    const bob = { kind: 'admin', role: 'full', name: 'bob' } as const;
    for (const by of [
      { ...bob, scope },
      { ...bob, role: 'operator' as const },
      { ...bob, role: 'read-only' as const },
    ]) {
      await assert.rejects(site.commands.create(bob, 0, by), { code: 'PEER_NOT_ALLOWED' });
    }
    const names: string[] = [];
    for await (const { name } of site.commands.listAdministrators()) names.push(name);
    assert.deepEqual(names, []);
    // Of machines, those that belong to a site.
    const scoped = { ...bob, scope };
    const laptop = { kind: 'client', name: 'laptop' } as const;
    await assert.rejects(site.commands.create(laptop, 0, scoped), { code: 'PEER_NOT_ALLOWED' });
    await site.commands.create({ kind: 'dp', dpId: 'PS1DP1' }, 0, scoped);
  });
});
