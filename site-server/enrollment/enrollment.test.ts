import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { newPrivateKey } from '../../shared/certificates/certificate-requests.ts';
import {
  encodeEnrollmentToken,
  parseEnrollmentToken,
} from '../../shared/domain/enrollment-token.ts';
import { identityOfSubjectAltName } from '../../shared/rpc/certificate-identity.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { certificateIn } from './testing/test-authority.ts';
import { alice, dayMs, TestEnrollment } from './testing/test-enrollment.ts';

const dp1 = 'waybill://dp/PS1DP1';
const dp2 = 'waybill://dp/PS1DP2';
const hourMs = 3_600_000;

function reasonOf(reason: string) {
  return (error: { code?: string; details?: { reason?: string } }) => {
    assert.equal(error.code, 'ENROLLMENT_REFUSED');
    assert.equal(error.details?.reason, reason);
    return true;
  };
}

/** The same token with another secret. */
function withOtherSecret(text: string): string {
  const { token } = parseEnrollmentToken(text);
  assert.ok(token);
  return encodeEnrollmentToken({ ...token, secret: new Uint8Array(16) });
}

const ps2 = { siteCode: 'PS2', kind: 'primary', parentSiteCode: 'CS1' } as const;

describe('Enrollment (SEC-2)', () => {
  let site: TestEnrollment;

  beforeEach(async () => {
    site = await TestEnrollment.open();
  });

  afterEach(async () => {
    await site[Symbol.asyncDispose]();
  });

  it('gives a certificate for a token, and all that a new machine needs to know', async () => {
    const token = await site.token(dp1);
    const answer = await site.enroll({ token, identityUri: dp1 });
    const own = certificateIn(answer);
    const authority = new X509Certificate(answer.issuerCertificate);
    assert.deepEqual(identityOfSubjectAltName(own.subjectAltName), {
      kind: 'dp',
      dpId: 'PS1DP1',
    });
    assert.ok(own.verify(authority.publicKey));
    const roots = answer.roots.map((der) => new X509Certificate(der).toString().trim());
    assert.deepEqual(
      roots,
      site.authority.roots().map((pem) => pem.trim()),
    );
    const { siteCode, siteAddress, enrollmentAddress, address } = answer;
    assert.deepEqual(
      { siteCode, siteAddress, enrollmentAddress, address },
      {
        siteCode: 'PS1',
        siteAddress: 'ps1:8530',
        enrollmentAddress: 'ps1:8532',
        address: 'dp1:8531',
      },
    );
  });

  it('keeps no secret: not in its store, not in the audit trail', async () => {
    const token = await site.token(dp1);
    await site.enroll({ token, identityUri: dp1 });
    await assert.rejects(site.enroll({ token, identityUri: dp1 }));
    const secret = Buffer.from(parseEnrollmentToken(token).token!.secret);
    const rows: unknown[] = [];
    for await (const [, row] of site.store.records(keySpaces.enrollmentTokens).list())
      rows.push(row);
    const kept = JSON.stringify([rows, site.events]);
    for (const form of ['hex', 'base64', 'base64url'] as const) {
      assert.ok(!kept.includes(secret.toString(form).replace(/=+$/, '')), form);
    }
    assert.ok(!kept.includes(token.slice(5, 40)));
  });

  it('gives the same key the same certificate again, and makes no other', async () => {
    const token = await site.token(dp1);
    const key = await newPrivateKey();
    const first = await site.enroll({ token, identityUri: dp1, key });
    const again = await site.enroll({ token, identityUri: dp1, key });
    assert.deepEqual(again.certificate, first.certificate);
    assert.equal(site.authority.issued.length, 1);
    for (let count = 0; count < 20; count++) await site.enroll({ token, identityUri: dp1, key });
    // So few that nobody can fill the audit trail with them; for the first one there is always room.
    const areOnce = site.events.map(({ isOnce }) => isOnce === true);
    assert.deepEqual(areOnce, [true, false, false, false, false, false]);
  });

  it('a token used twice gives nothing the second time, and is in the audit trail (F24)', async () => {
    const token = await site.token(dp1);
    await site.enroll({ token, identityUri: dp1 }, '192.0.2.7');
    await assert.rejects(
      site.enroll({ token, identityUri: dp1 }, '198.51.100.9'),
      reasonOf('used'),
    );
    assert.equal(site.authority.issued.length, 1);
    const { tokenId } = parseEnrollmentToken(token).token!;
    assert.deepEqual(site.events.at(-1), {
      ...{ caller: 'unauthenticated', address: '198.51.100.9' },
      ...{ method: '/waybill.v1.Enrollment/Enroll', result: 'ENROLLMENT_REFUSED' },
      detail: `token=${tokenId} identity=${dp1} used`,
    });
  });

  it('a late token gives nothing, and is in the audit trail (F24)', async () => {
    const token = await site.token(dp1);
    await site.clock.advance(hourMs);
    await assert.rejects(site.enroll({ token, identityUri: dp1 }), reasonOf('late'));
    assert.match(site.events.at(-1)?.detail ?? '', / late$/);
    assert.deepEqual(site.authority.issued, []);
  });

  it('a token for another name gives nothing, and is in the audit trail (F24)', async () => {
    const token = await site.token(dp1);
    for (const other of [dp2, 'waybill://site/PS1', 'waybill://admin/full/PS1DP1']) {
      await assert.rejects(site.enroll({ token, identityUri: other }), reasonOf('other-name'));
      assert.match(site.events.at(-1)?.detail ?? '', / other-name$/);
    }
    assert.deepEqual(site.authority.issued, []);
    // Whoever has mistaken the name may still use it.
    await site.enroll({ token, identityUri: dp1 });
  });

  it('who does not know the secret hears what he would hear of a token that is not there', async () => {
    const wrong = withOtherSecret(await site.token(dp1));
    await assert.rejects(site.enroll({ token: wrong, identityUri: dp1 }, 'a'), reasonOf('unknown'));
    assert.match(site.events.at(-1)?.detail ?? '', / wrong-secret$/);
    const { token } = parseEnrollmentToken(wrong);
    const nobodys = encodeEnrollmentToken({ ...token!, tokenId: 'ffffffffffffffff' });
    await assert.rejects(
      site.enroll({ token: nobodys, identityUri: dp1 }, 'b'),
      reasonOf('unknown'),
    );
    assert.match(site.events.at(-1)?.detail ?? '', / unknown$/);
  });

  it('ten wrong secrets revoke a token, wherever they came from', async () => {
    const token = await site.token(dp1);
    const wrong = withOtherSecret(token);
    for (let count = 0; count < 10; count++) {
      await assert.rejects(site.enroll({ token: wrong, identityUri: dp1 }, `10.0.0.${count}`));
    }
    await assert.rejects(site.enroll({ token, identityUri: dp1 }), reasonOf('revoked'));
  });

  it('makes an address wait longer and longer after tokens that are not known', async () => {
    const wrong = withOtherSecret(await site.token(dp1));
    const guess = () => site.enroll({ token: wrong, identityUri: dp1 });
    for (const waitMs of [1_000, 2_000]) {
      await assert.rejects(guess(), reasonOf('unknown'));
      // Waiting costs no further wait.
      for (let count = 0; count < 2; count++) {
        const details = { code: 'ENROLLMENT_TOO_SOON', waitMs };
        await assert.rejects(guess(), { code: 'ENROLLMENT_TOO_SOON', details });
      }
      await site.clock.advance(waitMs);
    }
  });

  it('hears who knows his token, from an address where others guess', async () => {
    const wrong = withOtherSecret(await site.token(dp1));
    await assert.rejects(site.enroll({ token: wrong, identityUri: dp1 }), reasonOf('unknown'));
    await site.enroll({ token: await site.token(dp2), identityUri: dp2 });
  });

  it('counts the guesses of one who has to wait, and reads no key for them', async () => {
    const token = await site.token(dp1);
    const wrong = withOtherSecret(token);
    const certificateRequest = Buffer.from('no certificate request');
    const guess = () => site.enroll({ token: wrong, identityUri: dp1, certificateRequest });
    await assert.rejects(guess(), reasonOf('unknown'));
    for (let count = 1; count < 10; count++) {
      await assert.rejects(guess(), { code: 'ENROLLMENT_TOO_SOON' });
    }
    await assert.rejects(site.enroll({ token, identityUri: dp1 }), reasonOf('revoked'));
  });

  it('refuses what is no token without repeating it, and writes that down', async () => {
    const token = await site.token(dp1);
    const mistyped = `${token.slice(0, 20)}${token[20] === 'A' ? 'B' : 'A'}${token.slice(21)}`;
    for (const [index, text] of ['', mistyped, 'A'.repeat(10_000)].entries()) {
      await assert.rejects(
        site.enroll({ token: text, identityUri: dp1 }, `10.0.0.${index}`),
        (error) => {
          assert.equal((error as { code: string }).code, 'TOKEN_INVALID');
          assert.ok(!String(error).includes(token.slice(5, 30)));
          return true;
        },
      );
    }
    assert.equal(site.events.length, 3);
  });

  it('checks every field before it looks for the token', async () => {
    const token = await site.token(dp1);
    for (const changes of [
      { identityUri: 'waybill://dp/../x' },
      { identityUri: `waybill://dp/${'x'.repeat(10_000)}` },
      { identityUri: dp1, address: 'no address' },
      { identityUri: dp1, address: `${'x'.repeat(400)}:1` },
      { identityUri: dp1, certificateRequest: Buffer.alloc(0) },
      { identityUri: dp1, certificateRequest: Buffer.alloc(4_097) },
    ]) {
      await assert.rejects(site.enroll({ token, ...changes }), { code: 'MESSAGE_INVALID' });
    }
    const request = Buffer.from('no certificate request');
    await assert.rejects(site.enroll({ token, identityUri: dp1, certificateRequest: request }), {
      code: 'CERTIFICATE_REQUEST_INVALID',
    });
    await site.enroll({ token, identityUri: dp1 });
  });

  it('gives nothing to a DP that was deleted since', async () => {
    const token = await site.token(dp1);
    site.points.delete('PS1DP1');
    await assert.rejects(site.enroll({ token, identityUri: dp1 }), reasonOf('holder-gone'));
    site.points.set('PS1DP1', { dpId: 'PS1DP1', address: '' });
    await site.enroll({ token, identityUri: dp1 });
  });

  it('gives nothing to who is deleted while the certificate is made', async () => {
    const token = await site.token(dp1);
    site.authority.beforeIssuing = async () => void site.points.delete('PS1DP1');
    await assert.rejects(site.enroll({ token, identityUri: dp1 }), reasonOf('holder-gone'));
    for await (const { used } of site.tokens.list()) assert.equal(used, undefined);
  });

  it('gives nothing for a token that is revoked while the certificate is made', async () => {
    const token = await site.token(dp1);
    const rows = site.store.records(keySpaces.enrollmentTokens);
    site.authority.beforeIssuing = async () => {
      for await (const row of site.tokens.list()) {
        const revoked = { ...row, revoked: { atMs: 1, because: 'holder-gone' as const } };
        await site.store.write([rows.put(row.tokenId, revoked)], { sync: false });
      }
    };
    await assert.rejects(site.enroll({ token, identityUri: dp1 }), reasonOf('revoked'));
  });

  it('a crash while the certificate is made leaves the token unused', async () => {
    const token = await site.token(dp1);
    site.authority.beforeIssuing = async () => {
      throw new Error('killed');
    };
    await assert.rejects(site.enroll({ token, identityUri: dp1 }), /killed/);
    site.authority.beforeIssuing = async () => {};
    await site.enroll({ token, identityUri: dp1 });
  });

  it('two at the same moment with one token: one gets a certificate', async () => {
    const token = await site.token(dp1);
    const both = await Promise.allSettled([
      site.enroll({ token, identityUri: dp1 }),
      site.enroll({ token, identityUri: dp1 }),
    ]);
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    assert.equal(site.authority.issued.length, 1);
  });

  it('takes the address a DP says it has', async () => {
    const token = await site.token(dp1);
    const answer = await site.enroll({ token, identityUri: dp1, address: 'moved:9000' });
    assert.equal(answer.address, 'moved:9000');
    assert.equal(site.points.get('PS1DP1')?.address, 'moved:9000');
  });

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

  it('a newer token takes the place of one that was not used', async () => {
    const older = await site.token(dp1);
    const newer = await site.token(dp1);
    await assert.rejects(site.enroll({ token: older, identityUri: dp1 }), reasonOf('revoked'));
    await site.enroll({ token: newer, identityUri: dp1 });
  });

  it('a revoked token lets nobody in; a used one is not revoked any more', async () => {
    const token = await site.token(dp1);
    const { tokenId } = parseEnrollmentToken(token).token!;
    await site.commands.revoke(tokenId);
    await site.commands.revoke(tokenId);
    await assert.rejects(site.enroll({ token, identityUri: dp1 }), reasonOf('revoked'));
    const other = await site.token(dp2);
    await site.enroll({ token: other, identityUri: dp2 });
    const used = parseEnrollmentToken(other).token!.tokenId;
    await assert.rejects(site.commands.revoke(used), { code: 'ENROLLMENT_STATE_CONFLICT' });
    await assert.rejects(site.commands.revoke('ffffffffffffffff'), { code: 'ENROLLMENT_UNKNOWN' });
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

  it('makes no token for less than a second, or more than 30 days', async () => {
    for (const validForMs of [1, 999, 30 * dayMs + 1]) {
      await assert.rejects(site.token(dp1, validForMs), { code: 'REQUEST_INVALID' });
    }
    await assert.rejects(site.token(dp1, 40 * dayMs), /expected 1 s to 30 d, got 40 d$/);
  });

  it('writes down few of those who guess, and all the others of whom there are few', async () => {
    const wrong = withOtherSecret(await site.token(dp1));
    for (let count = 0; count < 200; count++) {
      const from = `10.0.${count}.1`;
      await assert.rejects(site.enroll({ token: wrong, identityUri: dp1 }, from));
    }
    assert.equal(site.events.length, 30);
    const late = await site.token(dp2, 60_000);
    await site.clock.advance(59_000);
    await assert.rejects(site.enroll({ token: late, identityUri: dp1 }), reasonOf('other-name'));
    assert.match(site.events.at(-1)?.detail ?? '', / other-name$/);
  });
});

describe('Enrollment of a site (SEC-2)', () => {
  const identityUri = 'waybill://site/PS2';

  it('gives it an authority, at the top', async () => {
    await using top = await TestEnrollment.open({ siteCode: 'CS1' });
    top.sites.set('PS2', { ...ps2, address: 'ps2:8530', description: '' });
    const answer = await top.enroll({ token: await top.token(identityUri), identityUri });
    const own = certificateIn(answer);
    assert.equal(own.subject, 'CN=Waybill site authority PS2');
    assert.ok(own.ca && own.verify(new X509Certificate(top.authority.root.certificate).publicKey));
    const { siteCode, siteKind, parentSiteCode, parentAddress, address } = answer;
    assert.deepEqual(
      { siteCode, siteKind, parentSiteCode, parentAddress, address },
      {
        ...{ siteCode: 'PS2', siteKind: 'SITE_KIND_PRIMARY', address: 'ps2:8530' },
        ...{ parentSiteCode: 'CS1', parentAddress: 'ps1:8530' },
      },
    );
    assert.equal(answer.issuerCertificate.length, 0);
  });

  it('is passed on by neighbours only', async () => {
    await using top = await TestEnrollment.open({ siteCode: 'CS1' });
    const signal = new AbortController().signal;
    for (const siteCode of ['PS3', 'CS1']) {
      const caller = { identity: { kind: 'site', siteCode }, address: 'ps3:1' } as const;
      const { passEnroll, passRenew } = top.enrollment.passedOn();
      const refused = { code: 'PEER_NOT_ALLOWED' };
      await assert.rejects(async () => passEnroll({} as never, { caller, signal }), refused);
      await assert.rejects(async () => passRenew({} as never, { caller, signal }), refused);
    }
  });

  it('is passed on for who knows his token at once, also from an address where others guess', async () => {
    await using ground = await topAndBelow();
    const { top, middle, passed } = ground;
    let askedCount = 0;
    middle.parent.enroll = async (request) => {
      askedCount += 1;
      return (await top.enrollment.passedOn().passEnroll(request, passed)) as never;
    };
    const token = await top.token(identityUri);
    const known = parseEnrollmentToken(token).token!;
    const guess = (tokenId: string) =>
      middle.enroll({ token: encodeEnrollmentToken({ ...known, tokenId }), identityUri });
    await assert.rejects(guess('00000000000000aa'), reasonOf('unknown'));
    const others = [1, 2, 3].map((index) =>
      assert.rejects(guess(`000000000000000${index}`), { code: 'ENROLLMENT_TOO_SOON' }),
    );
    const honest = middle.enroll({ token, identityUri });
    // Far less than the wait of who has guessed.
    for (let guessCount = 0; guessCount < 4; guessCount++) {
      while (middle.clock.sleeperCount === 0) await nextTurn();
      await middle.clock.advance(100);
    }
    assert.equal(askedCount, 5);
    await Promise.all([...others, honest]);
  });

  it('is passed on to the parent by a site that is not the top, which keeps nothing', async () => {
    await using ground = await topAndBelow();
    const { top, middle, passed } = ground;
    middle.parent.enroll = async (request) =>
      (await top.enrollment.passedOn().passEnroll(request, passed)) as never;
    const token = await top.token(identityUri);
    const answer = await middle.enroll({ token, identityUri });
    assert.equal(certificateIn(answer).subject, 'CN=Waybill site authority PS2');
    assert.equal(answer.enrollmentAddress, 'ps1:8532');
    assert.deepEqual(middle.authority.issued, []);
    assert.match(middle.events.at(-1)?.detail ?? '', /passed on to the parent$/);
    assert.equal(top.events.at(-1)?.caller, 'waybill://site/PS1');
    await assert.rejects(middle.enroll({ token, identityUri }), reasonOf('used'));
  });

  it('has its token made by the top alone', async () => {
    await using middle = await TestEnrollment.open({ siteCode: 'PS1', isTop: false });
    middle.sites.set('PS2', { ...ps2, address: '', description: '' });
    await assert.rejects(middle.token(identityUri), { code: 'ENROLLMENT_OFF' });
  });
});

/** The top, PS1 below it, which passes on what it cannot answer, and PS2, which wants to join. */
async function topAndBelow() {
  const top = await TestEnrollment.open({ siteCode: 'CS1' });
  top.sites.set('PS2', { ...ps2, address: 'ps2:8530', description: '' });
  const below = { siteCode: 'PS1', isTop: false, of: top.authority };
  const middle = await TestEnrollment.open(below);
  const caller = { identity: { kind: 'site', siteCode: 'PS1' }, address: 'ps1:1' } as const;
  return {
    ...{ top, middle },
    passed: { caller, signal: new AbortController().signal },
    [Symbol.asyncDispose]: async () => {
      await middle[Symbol.asyncDispose]();
      await top[Symbol.asyncDispose]();
    },
  };
}
