import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import {
  type EnrollmentToken,
  encodeEnrollmentToken,
  enrollmentTokenChars,
  parseEnrollmentToken,
} from './enrollment-token.ts';

const tokens = fc
  .record({
    tokenId: fc.uint8Array({ minLength: 8, maxLength: 8 }),
    secret: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    rootKeyHash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  })
  .map(({ tokenId, ...rest }) => ({ tokenId: Buffer.from(tokenId).toString('hex'), ...rest }));

const one: EnrollmentToken = {
  tokenId: '0123456789abcdef',
  secret: new Uint8Array(16).fill(7),
  rootKeyHash: createHash('sha256').update('root').digest(),
};

describe('enrollment token', () => {
  it('comes back as it was, whatever is in it (SEC-2)', () => {
    fc.assert(
      fc.property(tokens, (token) => {
        const { token: parsed } = parseEnrollmentToken(encodeEnrollmentToken(token));
        assert.deepEqual(parsed?.tokenId, token.tokenId);
        assert.deepEqual(Buffer.from(parsed.secret), Buffer.from(token.secret));
        assert.deepEqual(Buffer.from(parsed.rootKeyHash), Buffer.from(token.rootKeyHash));
      }),
    );
  });

  it('is wbt1_ and base64url of ID, secret, hash and CRC-32, so that others can make one', () => {
    const bytes = Buffer.concat([Buffer.from(one.tokenId, 'hex'), one.secret, one.rootKeyHash]);
    const checksum = Buffer.alloc(4);
    checksum.writeUInt32BE((crc32 as (data: Buffer) => number)(bytes));
    const expected = `wbt1_${Buffer.concat([bytes, checksum]).toString('base64url')}`;
    assert.equal(encodeEnrollmentToken(one), expected);
    assert.equal(expected.length, enrollmentTokenChars);
  });

  it('does not mind blanks and a line break around it, as a pasted one has', () => {
    const text = encodeEnrollmentToken(one);
    assert.equal(parseEnrollmentToken(`  ${text}\r\n`).token?.tokenId, one.tokenId);
  });

  it('tells each character that is another one (SEC-2)', () => {
    const text = encodeEnrollmentToken(one);
    for (let at = 5; at < text.length; at++) {
      const other = text[at] === 'A' ? 'B' : 'A';
      const typed = text.slice(0, at) + other + text.slice(at + 1);
      assert.deepEqual(parseEnrollmentToken(typed), { fault: 'mistyped' }, `character ${at}`);
    }
  });

  it('tells two neighbours that changed places (SEC-2)', () => {
    const text = encodeEnrollmentToken(one);
    for (let at = 5; at + 1 < text.length; at++) {
      const [a = '', b = ''] = [text[at], text[at + 1]];
      if (a === b) continue;
      const typed = text.slice(0, at) + b + a + text.slice(at + 2);
      assert.deepEqual(parseEnrollmentToken(typed), { fault: 'mistyped' }, `characters ${at}`);
    }
  });

  for (const [what, text, fault] of [
    ['nothing', '', 'no-token'],
    ['another word', 'hunter2', 'no-token'],
    ['a later kind of token', encodeEnrollmentToken(one).replace('wbt1_', 'wbt2_'), 'no-token'],
    ['a token that was cut', encodeEnrollmentToken(one).slice(0, -1), 'wrong-length'],
    ['one with more behind it', `${encodeEnrollmentToken(one)}A`, 'wrong-length'],
    ['padding', `${encodeEnrollmentToken(one).slice(0, -1)}=`, 'wrong-length'],
    ['plain base64', `${encodeEnrollmentToken(one).slice(0, -1)}/`, 'wrong-length'],
    [
      'a character beyond all',
      `${encodeEnrollmentToken(one).slice(0, -1)}\u{1F511}`,
      'wrong-length',
    ],
    ['a megabyte', `wbt1_${'A'.repeat(1_000_000)}`, 'wrong-length'],
    ['a megabyte of blanks', ' '.repeat(1_000_000), 'no-token'],
  ] as const) {
    it(`does not take ${what} for one`, () => {
      assert.deepEqual(parseEnrollmentToken(text), { fault });
    });
  }

  it('never throws, whatever it is given, and takes only what it would write itself', () => {
    const nearly = fc.string().map((text) => `wbt1_${text}`);
    const chars = fc.constantFrom(...'ABCabc019-_=/+ \n\u{1F511}');
    const sized = fc
      .array(chars, { minLength: 78, maxLength: 82 })
      .map((all) => `wbt1_${all.join('')}`);
    fc.assert(
      fc.property(fc.oneof(fc.string(), nearly, sized), (text) => {
        const { token } = parseEnrollmentToken(text);
        if (token) assert.equal(encodeEnrollmentToken(token), text.trim());
      }),
    );
  });

  it('is not made of parts of a wrong length', () => {
    assert.throws(() => encodeEnrollmentToken({ ...one, tokenId: 'ABC' }), RangeError);
    assert.throws(() => encodeEnrollmentToken({ ...one, secret: new Uint8Array(15) }), RangeError);
    assert.throws(
      () => encodeEnrollmentToken({ ...one, rootKeyHash: new Uint8Array(3) }),
      RangeError,
    );
  });
});
