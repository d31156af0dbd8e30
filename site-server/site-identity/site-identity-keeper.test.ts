import assert from 'node:assert/strict';
import { createPrivateKey, sign } from 'node:crypto';
import { rm } from 'node:fs/promises';
import {
  issueLeafWithKey,
  issueRoot,
  issueSiteAuthority,
} from '../../shared/certificates/certificate-issuing.ts';
import { newPrivateKey, publicKeyInfoOf } from '../../shared/certificates/certificate-requests.ts';
import type { CertifiedPeer } from '../../shared/domain/certificate-authority.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type { SiteIdentity } from '../../shared/domain/site.ts';
import { LiveCredentials } from '../../shared/rpc/live-credentials.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import { identityText } from '../../shared/site-identity/identity-text.ts';
import { TestAuthority } from '../../shared/site-identity/testing/test-authority.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { signedAnewMs } from './site-identity-keeper.ts';
import { TestIdentity } from './testing/test-identity.ts';

const dayMs = 86_400_000;
const text = Buffer.from('what is signed');

describe('Site identity', () => {
  let clock: FakeClock;
  let authority: TestAuthority;
  let ps1: TestIdentity;
  let ps2: TestIdentity;
  /** What PS1 knows of revocations. */
  let revokedBeforeMs: number;

  beforeEach(async () => {
    clock = new FakeClock();
    authority = await TestAuthority.create(clock.nowMs());
    revokedBeforeMs = 0;
    const revocationOf = ({ notBeforeMs }: CertifiedPeer) =>
      notBeforeMs < revokedBeforeMs ? 'it was revoked' : undefined;
    ps1 = await TestIdentity.open({ siteCode: 'PS1', clock, authority, trust: { revocationOf } });
    ps2 = await TestIdentity.open({ siteCode: 'PS2', clock, authority });
    await ps1.learn('PS2', await ps2.row());
  });
  afterEach(async () => {
    await ps1[Symbol.asyncDispose]();
    await ps2[Symbol.asyncDispose]();
  });

  /** What PS1 says of a text of PS2. */
  const refusal = (
    signed: { keyId: string; signature: Buffer },
    { signedAtMs = clock.nowMs(), siteCode = 'PS2', bytes = text } = {},
  ) => ps1.keeper.refusalOf({ ...signed, siteCode, bytes, signedAtMs });

  /** A row of PS2 as somebody with these credentials would sign it. */
  const resigned = (row: SiteIdentity, { certificate, key }: PeerCredentials): SiteIdentity => {
    const unsigned = { ...row, certificate: certificate.toString() };
    const bytes = identityText(unsigned);
    const signature = sign('sha256', bytes, createPrivateKey(key)).toString('base64');
    return { ...unsigned, signature };
  };

  it('says where the site is and what its signatures are checked with, signed', async () => {
    const row = await ps2.row();
    assert.equal(row.address, 'ps2.test:8530');
    assert.equal(row.signingKeys.length, 1);
    assert.equal(ps1.keeper.checkIdentityRow('PS2', row), undefined);
    assert.equal(refusal(ps2.keeper.sign(text)), undefined);
  });

  it('of a site that is revoked signs nothing that is believed, until it has a new certificate (SEC-3)', async () => {
    const signed = ps2.keeper.sign(text);
    assert.equal(refusal(signed), undefined);
    revokedBeforeMs = clock.nowMs();
    assert.equal(refusal(signed), 'key-unknown');
    revokedBeforeMs = 0;
    assert.equal(refusal(signed), undefined);
  });

  it('is written once, and again only when something in it changed', async () => {
    const before = await ps2.row();
    await clock.advance(5_000);
    await ps2.keeper.start();
    assert.deepEqual(await ps2.row(), before);
    await ps2.keeper.rotate();
    assert.ok((await ps2.row()).signedAtMs > before.signedAtMs);
  });

  it('is signed anew once a day, so that others see that nobody holds it back (TUF freeze)', async () => {
    const before = await ps2.row();
    await clock.advance(signedAnewMs - 1);
    await ps2.keeper.start();
    assert.deepEqual(await ps2.row(), before);
    await clock.advance(1);
    await ps2.changed(before);
    const after = await ps2.row();
    assert.equal(after.signedAtMs, clock.nowMs());
    assert.equal(ps1.keeper.checkIdentityRow('PS2', after), undefined);
    assert.deepEqual(after.signingKeys, before.signingKeys);
  });

  it('keeps its keys when the state store is lost', async () => {
    const place = await TemporaryDirectory.create();
    const credentials = await authority.credentials('PS3');
    const options = { siteCode: 'PS3', clock, credentials, directory: place };
    const before = await TestIdentity.open(options);
    await before.keeper.rotate();
    const keys = (await before.row()).signingKeys;
    await before[Symbol.asyncDispose]();
    await rm(place.join('db'), { recursive: true });
    const after = await TestIdentity.open(options);
    assert.deepEqual((await after.row()).signingKeys, keys);
    await after[Symbol.asyncDispose]();
    await place[Symbol.asyncDispose]();
  });

  it('is not believed with any of its fields changed', async () => {
    const row = await ps2.row();
    const [key] = row.signingKeys;
    const [foreign] = (await ps1.row()).signingKeys;
    const forgeries: Record<string, unknown> = {
      siteCode: { ...row, siteCode: 'PS3' },
      address: { ...row, address: 'evil.test:1' },
      'no address': { ...row, address: 'not an address' },
      agentVersion: { ...row, agentVersion: '2.0.0' },
      'another key': { ...row, signingKeys: [foreign] },
      'one more key': { ...row, signingKeys: [...row.signingKeys, foreign] },
      'no key': { ...row, signingKeys: [] },
      'key ID': { ...row, signingKeys: [{ ...key, keyId: foreign?.keyId }] },
      'public key': { ...row, signingKeys: [{ ...key, publicKey: foreign?.publicKey }] },
      createdAtMs: { ...row, signingKeys: [{ ...key, createdAtMs: 1 }] },
      retiredAtMs: { ...row, signingKeys: [{ ...key, retiredAtMs: 1 }] },
      signedAtMs: { ...row, signedAtMs: row.signedAtMs + 1 },
      certificate: { ...row, certificate: (await ps1.row()).certificate },
      'no certificate': { ...row, certificate: 'none' },
      signature: { ...row, signature: (await ps1.row()).signature },
      'no signature': { ...row, signature: '' },
      'one field more': { ...row, note: 'unsigned' },
      'one field less': { siteCode: 'PS2' },
      nothing: null,
    };
    for (const [what, forgery] of Object.entries(forgeries)) {
      assert.notEqual(ps1.keeper.checkIdentityRow('PS2', forgery), undefined, what);
    }
    assert.equal(ps1.keeper.checkIdentityRow('PS2', row), undefined, 'and the row itself is');
    assert.notEqual(ps1.keeper.checkIdentityRow('PS3', row), undefined, 'under another key');
  });

  it('is taken only with a certificate of that site, by the CA', async () => {
    const row = await ps2.row();
    const foreign = await TestAuthority.create(clock.nowMs(), 'Test CA');
    const cases: [string, PeerCredentials, RegExp | undefined][] = [
      ['its own', await authority.credentials('PS2'), undefined],
      ['of a foreign CA', await foreign.credentials('PS2'), /CA/],
      ['of another site', await authority.credentials('PS3'), /waybill:\/\/site\/PS2/],
      ['of a DP', await authority.credentials('PS2', { uri: 'waybill://dp/PS2DP1' }), /PS2/],
      ['of a CA', await authority.credentials('PS2', { isAuthority: true }), /CA/],
      // It would hold up all other rows; what such a site signs is not believed.
      ['expired', await authority.credentials('PS2', { validMs: -1_000 }), undefined],
    ];
    for (const [what, credentials, expected] of cases) {
      const actual = ps1.keeper.checkIdentityRow('PS2', resigned(row, credentials));
      if (expected) assert.match(actual ?? '', expected, what);
      else assert.equal(actual, undefined, what);
    }
  });

  it('is not believed with a signing key that does not match its ID, though it is signed', async () => {
    const row = await ps2.row();
    const credentials = await authority.credentials('PS2');
    const [key] = row.signingKeys;
    const other = (await ps1.row()).signingKeys[0]?.publicKey ?? '';
    const mixed = { ...row, signingKeys: [{ ...key!, publicKey: other }] };
    assert.match(
      ps1.keeper.checkIdentityRow('PS2', resigned(mixed, credentials)) ?? '',
      /not an Ed25519 key/,
    );
    const twice = { ...row, signingKeys: [key!, key!] };
    assert.match(ps1.keeper.checkIdentityRow('PS2', resigned(twice, credentials)) ?? '', /twice/);
  });

  it('is believed while either of two CAs is in use', async () => {
    const next = await TestAuthority.create(clock.nowMs(), 'Next CA');
    const both = `${authority.pem}\n${next.pem}`;
    const credentials = await authority.credentials('PS4', {}, both);
    await using ps4 = await TestIdentity.open({ siteCode: 'PS4', clock, credentials });
    const row = resigned(await ps2.row(), await next.credentials('PS2'));
    assert.equal(ps4.keeper.checkIdentityRow('PS2', row), undefined);
    assert.notEqual(ps1.keeper.checkIdentityRow('PS2', row), undefined);
  });

  describe('under a root that was retired before this site came', () => {
    /** A row of PS2 whose authority stands on a root that nobody here trusts. */
    async function retiredRow() {
      const validity = {
        notBefore: new Date(clock.nowMs() - dayMs),
        notAfter: new Date(clock.nowMs() + 90 * dayMs),
      };
      const root = await issueRoot({ name: 'Waybill root', ...validity });
      const key = await newPrivateKey();
      const publicKey = publicKeyInfoOf(key);
      const facts = { siteCode: 'PS2', publicKey, ...validity };
      const issuer = { certificate: await issueSiteAuthority(root, facts), key };
      const leaf = await issueLeafWithKey(issuer, {
        ...{ commonName: 'site/PS2', uris: ['waybill://site/PS2'], ...validity },
      });
      const credentials: PeerCredentials = {
        ca: Buffer.from(root.certificate),
        certificate: Buffer.from(`${leaf.certificate}\n${issuer.certificate}`),
        key: Buffer.from(leaf.key),
        identity: { kind: 'site', siteCode: 'PS2' },
      };
      return resigned(await ps2.row(), credentials);
    }

    it('is passed over, so that it holds up nothing else', async () => {
      await using ps4 = await TestIdentity.open({
        ...{ siteCode: 'PS4', clock, credentials: await authority.credentials('PS4') },
      });
      const row = await retiredRow();
      assert.equal(ps4.keeper.checkIdentityRow('PS2', row), undefined);
      assert.equal(ps4.keeper.isRollback('PS2', row), true);
      const forged = { ...row, address: 'elsewhere:1' };
      assert.match(ps4.keeper.checkIdentityRow('PS2', forged) ?? '', /CA/);
    });

    it('replaces nothing that is believed', async () => {
      assert.match(ps1.keeper.checkIdentityRow('PS2', await retiredRow()) ?? '', /CA/);
    });
  });

  it('lets nobody sign for another site, with an unknown key, or other bytes (REP-7)', async () => {
    const signed = ps2.keeper.sign(text);
    assert.equal(refusal(signed, { bytes: Buffer.from('something else') }), 'signature');
    assert.equal(refusal({ ...signed, signature: Buffer.alloc(63) }), 'signature');
    assert.equal(refusal(ps1.keeper.sign(text)), 'key-unknown');
    assert.equal(refusal(signed, { siteCode: 'PS9' }), 'key-unknown');
    assert.equal(refusal(signed), undefined);
  });

  it('is not believed from the table either, when somebody else put it there (REP-7)', async () => {
    const forged = { ...(await ps2.row()), signingKeys: (await ps1.row()).signingKeys };
    await ps1.learn('PS2', forged);
    assert.equal(refusal(ps1.keeper.sign(text)), 'key-unknown');
    await ps1.learn('PS2', await ps2.row());
    assert.equal(refusal(ps2.keeper.sign(text)), undefined);
  });

  it('is not believed of a site that nobody defined', async () => {
    const { store } = ps1;
    await store.write([store.records(keySpaces.sites).delete('PS2')], { sync: false });
    assert.equal(refusal(ps2.keeper.sign(text)), 'key-unknown');
  });

  it('believes for 30 days what a key signed before it retired, and nothing it signed later', async () => {
    const old = ps2.keeper.sign(text);
    const signedAtMs = clock.nowMs();
    await clock.advance(1_000);
    await ps2.keeper.rotate();
    const fresh = ps2.keeper.sign(text);
    assert.equal(refusal(fresh), 'key-unknown', 'the new row has not come yet');
    await ps1.learn('PS2', await ps2.row());
    assert.equal(refusal(fresh), undefined);
    assert.equal(refusal(old, { signedAtMs }), undefined, 'what is on its way');
    assert.equal(refusal(old, { signedAtMs: signedAtMs + 2_000 }), 'key-retired');
    await clock.advance(30 * dayMs - 1);
    assert.equal(refusal(old, { signedAtMs }), undefined);
    await clock.advance(1);
    assert.equal(refusal(old, { signedAtMs }), 'key-retired');
    assert.equal(refusal(fresh), undefined);
  });

  it('lists no more keys than others take', async () => {
    for (let rotation = 1; rotation < 32; rotation++) await ps2.keeper.rotate();
    await assert.rejects(ps2.keeper.rotate(), (error) => isErrorWithCode(error, 'REQUEST_INVALID'));
    assert.equal(ps1.keeper.checkIdentityRow('PS2', await ps2.row()), undefined);
    await clock.advance(31 * dayMs);
    await ps2.keeper.rotate();
    assert.equal((await ps2.row()).signingKeys.length, 2);
  });

  it('keeps its key when the disk has no room to tell of another one', async () => {
    const { keyId } = ps2.keeper.sign(text);
    const full = new WaybillError({ code: 'DISK_FULL', path: '/', freeBytes: 0, neededBytes: 1 });
    const { store } = ps2;
    const write = store.write.bind(store);
    Object.assign(store, {
      write: async () => {
        throw full;
      },
    });
    await assert.rejects(ps2.keeper.rotate(), full);
    Object.assign(store, { write });
    assert.equal(ps2.keeper.sign(text).keyId, keyId);
    await ps2.keeper.rotate();
    assert.notEqual(ps2.keeper.sign(text).keyId, keyId);
  });

  it('is not taken back by a site in between that kept an old one (REP-7)', async () => {
    const old = await ps2.row();
    await ps2.keeper.rotate();
    const row = await ps2.row();
    await ps1.learn('PS2', row);
    assert.equal(ps1.keeper.checkIdentityRow('PS2', old), undefined, 'it is sound');
    assert.equal(ps1.keeper.isRollback('PS2', old), true);
    assert.equal(ps1.keeper.isRollback('PS2', undefined), true, 'nor deleted');
    assert.equal(ps1.keeper.isRollback('PS2', row), false);
    await ps2.keeper.rotate();
    assert.equal(ps1.keeper.isRollback('PS2', await ps2.row()), false);
  });

  it('is said anew when others hold another one of this site', async () => {
    const old = await ps2.row();
    await ps2.keeper.rotate();
    const row = await ps2.row();
    assert.equal(ps2.keeper.isRollback('PS2', old), true);
    await ps2.keeper.stop();
    const anew = await ps2.row();
    assert.ok(anew.signedAtMs > row.signedAtMs);
    assert.deepEqual(anew.signingKeys, row.signingKeys);
    // The same, signed when the clock stood later, before the store was lost.
    const credentials = await authority.credentials('PS2');
    const later = resigned({ ...old, signedAtMs: row.signedAtMs + dayMs }, credentials);
    assert.equal(ps2.keeper.isRollback('PS2', later), false);
    await ps2.keeper.stop();
    assert.ok((await ps2.row()).signedAtMs > later.signedAtMs);
  });

  it('is said anew with the new certificate, as soon as there is one (SEC-3)', async () => {
    const first = await authority.credentials('PS4');
    const credentials = new LiveCredentials(first);
    await using ps4 = await TestIdentity.open({ siteCode: 'PS4', clock, credentials });
    const before = await ps4.row();
    const next = await authority.credentials('PS4');
    credentials.replace(next);
    await ps4.keeper.stop();
    const after = await ps4.row();
    assert.equal(after.certificate, next.certificate.toString());
    assert.notEqual(after.certificate, before.certificate);
    assert.ok(after.signedAtMs > before.signedAtMs);
    assert.equal(ps1.keeper.checkIdentityRow('PS4', after), undefined);
  });

  it('is checked by the roots that are trusted now', async () => {
    const next = await TestAuthority.create(clock.nowMs(), 'Next CA');
    const first = await authority.credentials('PS4');
    const credentials = new LiveCredentials(first);
    await using ps4 = await TestIdentity.open({ siteCode: 'PS4', clock, credentials });
    const row = resigned(await ps2.row(), await next.credentials('PS2'));
    assert.notEqual(ps4.keeper.checkIdentityRow('PS2', row), undefined);
    const ca = Buffer.from(`${authority.pem}\n${next.pem}`);
    credentials.replace({ ...first, ca });
    assert.equal(ps4.keeper.checkIdentityRow('PS2', row), undefined);
  });

  it('says nothing of itself while its own certificate does not count (SEC-3)', async () => {
    const expired = await authority.credentials('PS4', { validMs: -1_000 });
    const credentials = new LiveCredentials(expired);
    await using ps4 = await TestIdentity.open({ siteCode: 'PS4', clock, credentials });
    await assert.rejects(ps4.row(), /said nothing/);
    credentials.replace(await authority.credentials('PS4'));
    await ps4.keeper.stop();
    assert.equal((await ps4.row()).siteCode, 'PS4');
  });

  it('is not believed any more once its certificate has run out', async () => {
    assert.equal(refusal(ps2.keeper.sign(text)), undefined);
    await clock.advance(366 * dayMs);
    assert.equal(refusal(ps2.keeper.sign(text)), 'key-unknown');
  });
});
