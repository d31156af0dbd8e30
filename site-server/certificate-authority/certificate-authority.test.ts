import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chmod, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { readPairFile, writePairFile } from '../../shared/certificates/pair-file.ts';
import { writeSecretFile } from '../../shared/certificates/secret-files.ts';
import { rootKeyIdOf } from '../../shared/certificates/trust-bundle.ts';
import type { IssuedCertificateRecord } from '../../shared/domain/issued-certificate.ts';
import { type PeerIdentity, toIdentityUri } from '../../shared/domain/peer-identity.ts';
import {
  authoritiesOf,
  type CertificateChain,
  refusalOfCertificate,
} from '../../shared/rpc/certificate-trust.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import type { CertificateAuthority } from './certificate-authority.ts';
import { askedWithNewKey, inAuthority, TestAuthority, testDp } from './testing/test-authority.ts';

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
const passphrase = 'correct horse battery staple';

describe('certificate authority (SEC-1)', () => {
  let clock: FakeClock;
  let files: TestAuthority;
  let authority: CertificateAuthority;
  const begin = async (options: Partial<Parameters<typeof TestAuthority.make>[0]> = {}) => {
    clock = new FakeClock();
    files = await TestAuthority.make({ clock, ...options });
    authority = await files.open();
  };
  const refusalOf = (leaf: string, identity: PeerIdentity, issuer: string) => {
    const chain: CertificateChain = [new X509Certificate(leaf), new X509Certificate(issuer)];
    const authorities = authoritiesOf(Buffer.from(authority.roots().join('\n')));
    return refusalOfCertificate(chain, { authorities, identity, nowMs: clock.nowMs() });
  };
  const issued = async () => {
    const all: IssuedCertificateRecord[] = [];
    for await (const one of files.issued.list()) all.push(one);
    return all;
  };

  afterEach(() => files[Symbol.asyncDispose]());

  it('issues certificates that everybody takes who knows the root, and writes each down', async () => {
    await begin();
    const identities: PeerIdentity[] = [
      testDp,
      { kind: 'site', siteCode: 'CS1' },
      { kind: 'client', name: 'pc1' },
      {
        ...{ kind: 'admin', role: 'operator', name: 'bob' },
        scope: { siteCodes: ['PS1'], groupNames: [] },
      },
    ];
    for (const identity of identities) {
      const { info, request } = await askedWithNewKey();
      const leaf = await authority.issueLeaf(identity, request);
      assert.equal(refusalOf(leaf, identity, authority.authorityCertificate()), undefined);
      const { publicKey, validFrom, validTo } = new X509Certificate(leaf);
      assert.deepEqual(publicKey.export({ type: 'spki', format: 'der' }), info);
      assert.equal(Date.parse(validFrom), clock.nowMs() - 5 * minuteMs);
      assert.equal(Date.parse(validTo), clock.nowMs() + 90 * dayMs);
    }
    const rootKeyId = rootKeyIdOf(authority.roots()[0]!);
    const uris = identities.map(toIdentityUri);
    assert.deepEqual(
      (await issued()).map((one) => [one.kind, one.rootKeyId === rootKeyId, one.holder]),
      [
        ['leaf', true, 'admin/bob'],
        ['leaf', true, 'client/pc1'],
        ['leaf', true, 'dp/CS1DP1'],
        // The site's own was made at the opening.
        ['leaf', true, 'site/CS1'],
        ['leaf', true, 'site/CS1'],
      ],
    );
    assert.ok((await issued()).every(({ identityUri }) => uris.includes(identityUri)));
  });

  it('at the top issues authorities of sites, which the root stands behind', async () => {
    await begin();
    const { request } = await askedWithNewKey();
    const certificate = await authority.issueSiteAuthority('PS1', request);
    const [root] = authoritiesOf(Buffer.from(authority.roots()[0]!));
    const made = new X509Certificate(certificate);
    assert.equal(made.subject, 'CN=Waybill site authority PS1');
    assert.ok(made.ca && made.verify(root!.publicKey));
    assert.equal(Date.parse(made.validTo), clock.nowMs() + 730 * dayMs);
    const [record] = await issued();
    assert.deepEqual([record?.kind, record?.holder], ['authority', 'site/PS1']);
    assert.equal(record?.serialNumber, made.serialNumber.toLowerCase());
  });

  it('does not vouch for other sites by its own word', async () => {
    await begin();
    const { request } = await askedWithNewKey();
    const other = { kind: 'site', siteCode: 'PS1' } as const;
    await assert.rejects(authority.issueLeaf(other, request), /does not vouch/);
  });

  it('refuses requests that are not sound, and writes nothing down', async () => {
    await begin();
    const before = await issued();
    const { request } = await askedWithNewKey();
    request[request.length - 1] = (request.at(-1) ?? 0) ^ 1;
    const failure = { code: 'CERTIFICATE_REQUEST_INVALID' };
    await assert.rejects(authority.issueLeaf(testDp, request), failure);
    await assert.rejects(authority.issueSiteAuthority('PS1', request), failure);
    assert.deepEqual(await issued(), before);
  });

  it('gives who was revoked a certificate that begins after that', async () => {
    let revokedAtMs = 0;
    await begin({
      revocationOf: (holder) => (holder === 'dp/CS1DP1' ? { revokedAtMs } : undefined),
    });
    revokedAtMs = clock.nowMs() - 1;
    const { request } = await askedWithNewKey();
    const beginOf = async (notBeforeMs?: number) => {
      const options = notBeforeMs === undefined ? {} : { notBeforeMs };
      const leaf = await authority.issueLeaf(testDp, request, options);
      return Date.parse(new X509Certificate(leaf).validFrom);
    };
    assert.equal(await beginOf(), clock.nowMs());
    // So that a revocation which comes later is told from one that was known.
    const record = (await issued()).find(({ holder }) => holder === 'dp/CS1DP1');
    assert.equal(record?.knownRevokedAtMs, revokedAtMs);
    assert.equal(await beginOf(clock.nowMs() + 2_000), clock.nowMs() + 2_000);
    assert.equal(await beginOf(clock.nowMs() - minuteMs), clock.nowMs());
  });

  it('issues nothing that outlives it, and nothing when it is over itself', async () => {
    await begin({ settings: { siteAuthorityDays: 100 } });
    await clock.advance(50 * dayMs);
    const { request } = await askedWithNewKey();
    const leaf = new X509Certificate(await authority.issueLeaf(testDp, request));
    const { validTo } = new X509Certificate(authority.authorityCertificate());
    assert.equal(leaf.validTo, validTo);
    await clock.advance(51 * dayMs);
    await assert.rejects(authority.issueLeaf(testDp, request), {
      code: 'CERTIFICATE_INVALID',
      message: /site authority CS1: it expired at/,
    });
  });

  it('makes its own certificate when there is none, and another when asked', async () => {
    await begin();
    const own = await readPairFile(files.agentFile);
    const site = { kind: 'site', siteCode: 'CS1' } as const;
    assert.equal(own?.certificates.length, 2);
    const [leaf = '', issuer = ''] = own?.certificates ?? [];
    assert.equal(refusalOf(leaf, site, issuer), undefined);
    assert.equal((await stat(files.agentFile)).mode & 0o777, 0o600);
    await authority.renewOwnLeaf();
    const renewed = await readPairFile(files.agentFile);
    assert.notEqual(renewed?.key, own?.key);
    assert.equal(refusalOf(renewed?.certificates[0] ?? '', site, issuer), undefined);
  });

  it('keeps its own certificate over a restart, and makes one in place of somebody else’s', async () => {
    await begin();
    const own = await readFile(files.agentFile, 'utf8');
    authority = await files.open();
    assert.equal(await readFile(files.agentFile, 'utf8'), own);
    await using other = await TestAuthority.make({ clock });
    await other.open();
    await writeSecretFile(files.agentFile, await readFile(other.agentFile, 'utf8'));
    authority = await files.open();
    const [leaf = '', issuer = ''] = (await readPairFile(files.agentFile))?.certificates ?? [];
    assert.equal(refusalOf(leaf, { kind: 'site', siteCode: 'CS1' }, issuer), undefined);
  });

  const afterYears = (years: number) => new FakeClock(clock.nowMs() + years * 365 * dayMs);

  it('at the top is itself again after it was off for years, or its clock was', async () => {
    await begin();
    const site = { kind: 'site', siteCode: 'CS1' } as const;
    const first = authority.authorityCertificate();
    // Two years ahead everything of its own is over: it goes on by its root.
    const right = clock;
    clock = afterYears(2.5);
    authority = await files.open('CS1', clock);
    assert.notEqual(authority.authorityCertificate(), first);
    const ownNow = async () => {
      const [leaf = '', issuer = ''] = (await readPairFile(files.agentFile))?.certificates ?? [];
      return refusalOf(leaf, site, issuer);
    };
    assert.equal(await ownNow(), undefined);
    // The clock is right again: what it made of itself has not begun.
    clock = right;
    assert.match((await ownNow()) ?? '', /not signed|not valid before/);
    authority = await files.open();
    assert.equal(await ownNow(), undefined);
  });

  it('stays as it is at a clock of 1970, and when it is over below the top', async () => {
    await begin();
    const before = await readFile(files.agentFile, 'utf8');
    await files.open('CS1', new FakeClock(0));
    assert.equal(await readFile(files.agentFile, 'utf8'), before);
    await rm(inAuthority(files, 'trust-bundle.json'));
    await files.open('CS1', afterYears(2.5));
    assert.equal(await readFile(files.agentFile, 'utf8'), before);
    assert.match(files.log.messages(40).join(), /does not count/);
  });

  it('with another certificate for the same key stands behind what it issued before', async () => {
    await begin();
    const { request } = await askedWithNewKey();
    const leaf = await authority.issueLeaf(testDp, request);
    const ownBefore = await readPairFile(files.agentFile);
    const key = new X509Certificate(authority.authorityCertificate()).publicKey;
    const info = key.export({ type: 'spki', format: 'der' });
    const certificate = await authority.certifySiteAuthority('CS1', info);
    await authority.replaceCertificate(certificate);
    assert.equal(authority.authorityCertificate(), certificate);
    assert.equal(refusalOf(leaf, testDp, certificate), undefined);
    const own = await readPairFile(files.agentFile);
    assert.equal(own?.key, ownBefore?.key);
    assert.equal(own?.certificates[1]?.trim(), certificate.trim());
    // Killed between the two files: the next opening makes it good.
    await writeSecretFile(files.agentFile, [ownBefore!.key, ...ownBefore!.certificates].join('\n'));
    authority = await files.open();
    assert.equal(
      (await readPairFile(files.agentFile))?.certificates[1]?.trim(),
      certificate.trim(),
    );
  });

  it('writes over no authority that the site was enrolled anew with since it started', async () => {
    await begin();
    const before = authority.authorityCertificate();
    const enrolled = await askedWithNewKey();
    const certificate = await authority.certifySiteAuthority('CS1', enrolled.info);
    const pair = { key: enrolled.key, certificates: [certificate] };
    await writePairFile(inAuthority(files, 'authority.pem'), pair);
    const refused = { code: 'CERTIFICATE_INVALID', message: /enrolled anew since it started/ };
    await assert.rejects(authority.replaceCertificate(before), refused);
    assert.deepEqual(await readPairFile(inAuthority(files, 'authority.pem')), {
      ...{ key: enrolled.key.trim(), certificates: [certificate.trim()] },
    });
    assert.equal(authority.authorityCertificate(), before);
  });

  it('is written whole again by who has its key, when what lies there is spoilt', async () => {
    await begin();
    const before = authority.authorityCertificate();
    await writeSecretFile(inAuthority(files, 'authority.pem'), 'spoilt');
    await authority.replaceCertificate(before);
    assert.equal((await files.open()).authorityCertificate().trim(), before.trim());
  });

  it('is none where there is no directory, and says which file is missing or not its own', async () => {
    await begin();
    await rm(inAuthority(files, 'authority.pem'));
    await assert.rejects(files.open(), /authority\.pem cannot be used: there is no such file/);
    await rm(files.directory, { recursive: true });
    await assert.rejects(files.open(), /there is no authority/);
  });

  it('refuses a directory and files that others may read', async () => {
    await begin();
    for (const name of ['authority.pem', 'trust-bundle.json']) {
      await chmod(inAuthority(files, name), 0o644);
      await assert.rejects(files.open(), {
        code: 'CERTIFICATE_INVALID',
        message: new RegExp(`mode 0644.*chmod 0600 .*${name}`),
      });
      await chmod(inAuthority(files, name), 0o600);
    }
    await chmod(files.directory, 0o750);
    await assert.rejects(files.open(), /mode 0750\); expected 0700/);
    await chmod(files.directory, 0o700);
    const [rootKey = ''] = (await readdir(files.directory)).filter((one) => one.endsWith('.key'));
    await chmod(inAuthority(files, rootKey), 0o640);
    const { request } = await askedWithNewKey();
    await assert.rejects(authority.issueSiteAuthority('PS1', request), /mode 0640/);
  });

  it('uses a root key with a passphrase, and needs it for authorities only', async () => {
    await begin({ passphrase, settings: { rootPassphraseFile: '/nowhere/passphrase' } });
    const [rootKey = ''] = (await readdir(files.directory)).filter((one) => one.endsWith('.key'));
    assert.match(
      await readFile(inAuthority(files, rootKey), 'utf8'),
      /BEGIN ENCRYPTED PRIVATE KEY/,
    );
    const { request } = await askedWithNewKey();
    await authority.issueLeaf(testDp, request);
    await assert.rejects(
      authority.issueSiteAuthority('PS1', request),
      /nowhere\/passphrase cannot/,
    );
  });

  it('never tells the passphrase, whatever is wrong with it', async () => {
    clock = new FakeClock();
    files = await TestAuthority.make({ clock, passphrase });
    const path = files.place.join('passphrase');
    const settings = { rootPassphraseFile: path };
    await using same = await TestAuthority.make({ clock, passphrase, settings });
    authority = await same.open();
    const { request } = await askedWithNewKey();
    for (const [text, reason] of [
      [`${passphrase}\n`, undefined],
      [passphrase, undefined],
      [`not the ${passphrase}`, /is not the one it is encrypted with/],
      ['short', /one line of at least 8 characters/],
      [`${passphrase}\n${passphrase}`, /one line/],
      ['', /one line/],
    ] as const) {
      await writeSecretFile(path, text);
      const asked = authority.issueSiteAuthority('PS1', request);
      if (!reason) await asked;
      else {
        await assert.rejects(asked, (error: Error) => {
          assert.match(error.message, reason);
          assert.ok(!`${error.stack} ${String(error.cause)}`.includes('horse'));
          return true;
        });
      }
    }
    await writeFile(path, passphrase);
    await chmod(path, 0o644);
    await assert.rejects(authority.issueSiteAuthority('PS1', request), /mode 0644/);
    assert.ok(!JSON.stringify(same.log.lines).includes('horse'));
  });
});
