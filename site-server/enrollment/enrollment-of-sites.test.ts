import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  encodeEnrollmentToken,
  parseEnrollmentToken,
} from '../../shared/domain/enrollment-token.ts';
import { reasonOf } from './testing/enrollment-ground.ts';
import { certificateIn } from './testing/test-authority.ts';
import { TestEnrollment } from './testing/test-enrollment.ts';

const ps2 = { siteCode: 'PS2', kind: 'primary', parentSiteCode: 'CS1' } as const;

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
