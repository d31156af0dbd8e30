import assert from 'node:assert/strict';
import {
  encodeEnrollmentToken,
  parseEnrollmentToken,
} from '../../shared/domain/enrollment-token.ts';
import {
  dp1,
  dp2,
  openBeforeEach,
  reasonOf,
  site,
  withOtherSecret,
} from './testing/enrollment-ground.ts';

describe('Enrollment, of who has no token that is known (SEC-2)', () => {
  openBeforeEach();

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
