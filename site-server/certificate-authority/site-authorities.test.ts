import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdir, rename, rm, rmdir } from 'node:fs/promises';
import { readPairFile } from '../../shared/certificates/pair-file.ts';
import { makeSecretDirectory } from '../../shared/certificates/secret-files.ts';
import { TrustedRoots, writeRootsFile } from '../../shared/certificates/trusted-roots.ts';
import type { SiteDefinition, SiteIdentity } from '../../shared/domain/site.ts';
import { SiteTree } from '../../shared/domain/site-tree.ts';
import { trustBundleKey } from '../../shared/domain/trust-bundle.ts';
import { checkedGrant } from '../../shared/enrollment/granted-identity.ts';
import { refusalOfTime } from '../../shared/rpc/certificate-trust.ts';
import type { IssuedIdentity__Output } from '../../shared/rpc/generated/waybill/v1/IssuedIdentity.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { until } from '../despooler/testing/test-receiver.ts';
import { rootBehind } from '../enrollment/enrollment-authority.ts';
import { issuedAnswer } from '../enrollment/renewals.ts';
import { readBundle, writeAuthority } from './authority-files.ts';
import { CertificateAuthority } from './certificate-authority.ts';
import { retireRoot, rotateRoot } from './root-rotation.ts';
import { SiteAuthorities } from './site-authorities.ts';
import { askedWithNewKey, TestAuthority, testDp } from './testing/test-authority.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const config = { rootOverlapMs: 24 * hourMs, lookMs: 6 * hourMs, signAgainMs: 600_000 };

/** A site with its authority, its roots and its rows; the top, or PS1 below it. */
interface TestSite {
  readonly files: TestAuthority;
  readonly roots: TrustedRoots;
  readonly authority: CertificateAuthority;
  readonly authorities: SiteAuthorities;
}

describe('authorities of sites, and the root', () => {
  let clock: FakeClock;
  let topFiles: TestAuthority;
  let belowFiles: TestAuthority;
  let top: TestSite;
  let below: TestSite;
  let revokedAtMs: number | undefined;
  /** How far the clock of the top is ahead. */
  let skewMs = 0;
  const clocks = new Map<TestAuthority, Clock>();
  const definition = (siteCode: string): SiteDefinition => ({
    ...{ siteCode, kind: siteCode === 'CS1' ? 'central-administration' : 'primary' },
    ...{ parentSiteCode: siteCode === 'CS1' ? '' : 'CS1', address: '', description: '' },
  });
  const tree = new SiteTree([definition('CS1'), definition('PS1')]);

  async function siteOf(files: TestAuthority, siteCode: string): Promise<TestSite> {
    const clockOfSite = clocks.get(files) ?? clock;
    const roots = await TrustedRoots.open(files.rootsFile, clockOfSite);
    const { store, issued, log, directory, agentFile, settings } = files;
    const authority = await CertificateAuthority.open(
      { clock: clockOfSite, trustedRoots: roots, issued, logger: log.logger },
      { ...settings, siteCode, directory, agentFile },
    );
    assert.ok(authority);
    const authorities = new SiteAuthorities(
      {
        ...{ store, clock: clockOfSite, logger: log.logger, trustedRoots: roots, authority },
        directory: { tree, identityOf: (code) => (code === 'PS1' ? identityOfBelow() : undefined) },
        revocationOf: () => (revokedAtMs === undefined ? undefined : { revokedAtMs }),
      },
      config,
    );
    return { files, roots, authority, authorities };
  }

  /** What PS1 says of itself: only its certificates matter here. */
  function identityOfBelow(): SiteIdentity {
    return { certificate: shownByBelow } as SiteIdentity;
  }
  let shownByBelow = '';
  const say = async () => {
    shownByBelow = (await readPairFile(belowFiles.agentFile))?.certificates.join('\n') ?? '';
  };

  /** What replication does. */
  async function replicate(): Promise<void> {
    const [from, to] = [topFiles.store, belowFiles.store];
    for (const space of [keySpaces.trustBundles, keySpaces.siteAuthorities]) {
      for await (const [key, row] of from.records<unknown>(space).list()) {
        await to.write([to.records<unknown>(space).put(key, row)], { sync: false });
      }
    }
    await below.roots.take(await to.records(keySpaces.trustBundles).get(trustBundleKey));
  }

  const change = () => {
    const { directory, rootsFile, agentFile, settings } = topFiles;
    return { directory, rootsFile, agentFile, settings, siteCode: 'CS1', nowMs: clock.nowMs() };
  };

  /** The top hears of its new roots, and publishes them. */
  async function publish(): Promise<void> {
    await top.authority.readRootsAgain();
    const { bundle } = top.authority;
    assert.ok(bundle);
    const rows = topFiles.store.records(keySpaces.trustBundles);
    await topFiles.store.write([rows.put(trustBundleKey, bundle)], { sync: false });
    await top.roots.take(bundle);
  }

  const rootOf = (site: TestSite) => {
    const shown = new X509Certificate(site.authority.authorityCertificate());
    return site.roots.held.roots.findIndex((pem) =>
      shown.verify(new X509Certificate(pem).publicKey),
    );
  };

  beforeEach(async () => {
    clock = new FakeClock();
    revokedAtMs = undefined;
    skewMs = 0;
    const topClock: Clock = {
      nowMs: () => clock.nowMs() + skewMs,
      monotonicMs: () => clock.monotonicMs(),
      sleep: (ms, signal) => clock.sleep(ms, signal),
    };
    topFiles = await TestAuthority.make({ clock: topClock });
    clocks.set(topFiles, topClock);
    belowFiles = await TestAuthority.make({ clock });
    top = await siteOf(topFiles, 'CS1');
    // PS1 was enrolled: its authority is signed by the root of CS1.
    const { key, request } = await askedWithNewKey();
    const certificate = await top.authority.issueSiteAuthority('PS1', request);
    await rm(belowFiles.directory, { recursive: true });
    await makeSecretDirectory(belowFiles.directory);
    await writeAuthority(belowFiles.directory, { certificate, key });
    const bundle = await readBundle(topFiles.directory);
    assert.ok(bundle);
    await writeRootsFile(belowFiles.rootsFile, bundle);
    below = await siteOf(belowFiles, 'PS1');
    await say();
  });
  afterEach(async () => {
    await top.authorities.stop();
    await below.authorities.stop();
    await topFiles[Symbol.asyncDispose]();
    await belowFiles[Symbol.asyncDispose]();
  });

  it('stand on the new root once everybody had the time to hear of it; what they issued stays good', async () => {
    const { request } = await askedWithNewKey();
    const leaf = new X509Certificate(await below.authority.issueLeaf(testDp, request));
    await rotateRoot(change());
    await publish();
    await top.authorities.look();
    await replicate();
    await below.authorities.look();
    assert.deepEqual([rootOf(top), rootOf(below)], [1, 1], 'on the old one');
    await clock.advance(config.rootOverlapMs);
    await top.authorities.look();
    await below.authorities.look();
    assert.deepEqual([rootOf(top), rootOf(below)], [0, 0], 'on the new one');
    const shown = new X509Certificate(below.authority.authorityCertificate());
    assert.ok(leaf.checkIssued(shown) && leaf.verify(shown.publicKey));
    const own = await readPairFile(belowFiles.agentFile);
    assert.equal(own?.certificates[1]?.trim(), below.authority.authorityCertificate().trim());
  });

  /** PS1 is enrolled anew with a token that is made now: it believes the root that the token names, and no other. */
  async function enrollBelow(): Promise<void> {
    const pinned = rootBehind(top.authority);
    const { key, request } = await askedWithNewKey();
    const identity = { kind: 'site', siteCode: 'PS1' } as const;
    const given = await issuedAnswer(top.authority, identity, request);
    const answer: IssuedIdentity__Output = {
      certificate: Buffer.from(given.certificate, 'base64'),
      issuerCertificate: Buffer.from(given.issuerCertificate, 'base64'),
      ...{ roots: [], rootsGeneration: '0', siteCode: 'PS1', siteAddress: '', address: '' },
      ...{ enrollmentAddress: '', parentSiteCode: 'CS1', parentAddress: 'cs1:8530' },
      siteKind: 'SITE_KIND_PRIMARY',
    };
    const { certificates } = checkedGrant(answer, { identity, keyPem: key, roots: [pinned] });
    await writeAuthority(belowFiles.directory, { certificate: certificates[0] ?? '', key });
    await writeRootsFile(belowFiles.rootsFile, { generation: 0, roots: [pinned.toString()] });
    below = await siteOf(belowFiles, 'PS1');
    await say();
  }

  it('of sites that are enrolled while the root changes stand on the root they know, then on the new one', async () => {
    await rotateRoot(change());
    await publish();
    await enrollBelow();
    await top.authorities.look();
    await replicate();
    await below.authorities.look();
    assert.deepEqual([rootOf(top), rootOf(below)], [1, 1], 'both on the old one');
    await clock.advance(config.rootOverlapMs);
    await top.authorities.look();
    await below.authorities.look();
    assert.deepEqual([rootOf(top), rootOf(below)], [0, 0], 'both on the new one');
    await enrollBelow();
    assert.deepEqual([rootOf(top), rootOf(below)], [0, 0], 'who comes after that at once');
  });

  it('stand on the new root at once when the old one was retired by force', async () => {
    await rotateRoot(change());
    await publish();
    await top.authorities.look();
    await retireRoot(change(), { isForced: true });
    await publish();
    await top.authorities.look();
    await replicate();
    await below.authorities.look();
    assert.deepEqual([rootOf(top), rootOf(below)], [0, 0]);
    assert.equal(below.roots.held.roots.length, 1);
  });

  it('that of the top stands on the new root though the old one was retired before it signed anything', async () => {
    const { request } = await askedWithNewKey();
    const leaf = new X509Certificate(await top.authority.issueLeaf(testDp, request));
    await rotateRoot(change());
    await retireRoot(change(), { isForced: true });
    await publish();
    await top.authorities.look();
    assert.equal(rootOf(top), 0);
    const shown = new X509Certificate(top.authority.authorityCertificate());
    assert.ok(leaf.checkIssued(shown) && leaf.verify(shown.publicKey));
    const own = await readPairFile(topFiles.agentFile);
    assert.equal(own?.certificates[1]?.trim(), top.authority.authorityCertificate().trim());
    // Nobody knows whether a thief of the old key has made others: they are enrolled again.
    const rows = topFiles.store.records(keySpaces.siteAuthorities);
    assert.equal(await rows.get('PS1'), undefined);
  });

  it('are taken later where the files of the site cannot be written now', async () => {
    await rotateRoot(change());
    await publish();
    await top.authorities.look();
    await replicate();
    await clock.advance(config.rootOverlapMs);
    const away = `${belowFiles.directory}.away`;
    const inTheWay = `${belowFiles.agentFile}.new`;
    await rename(belowFiles.directory, away);
    await below.authorities.start();
    await until(() => belowFiles.log.messages(40).length === 1);
    await rename(away, belowFiles.directory);
    await mkdir(inTheWay);
    await clock.advance(config.lookMs);
    await until(() => belowFiles.log.messages(40).length === 2);
    assert.equal(rootOf(below), 1, 'not without what the site shows');
    await rmdir(inTheWay);
    await until(async () => {
      await clock.advance(config.lookMs);
      return rootOf(below) === 0;
    });
    await below.authorities.stop();
    const own = await readPairFile(belowFiles.agentFile);
    assert.equal(own?.certificates[1]?.trim(), below.authority.authorityCertificate().trim());
  });

  it('that of the top is signed again later where it cannot be written now', async () => {
    await rotateRoot(change());
    await retireRoot(change(), { isForced: true });
    await publish();
    const inTheWay = `${topFiles.agentFile}.new`;
    await mkdir(inTheWay);
    await assert.rejects(top.authorities.look(), { code: 'CERTIFICATE_INVALID' });
    await rmdir(inTheWay);
    await top.authorities.look();
    const own = await readPairFile(topFiles.agentFile);
    const [root = ''] = top.roots.held.roots;
    const shown = new X509Certificate(own?.certificates[1] ?? '');
    assert.ok(shown.verify(new X509Certificate(root).publicKey));
  });

  it('that of the top does so when that was while it was off', async () => {
    await rotateRoot(change());
    const { bundle } = await retireRoot(change(), { isForced: true });
    await writeRootsFile(topFiles.rootsFile, bundle);
    const authority = await topFiles.open();
    const shown = new X509Certificate(authority.authorityCertificate());
    assert.ok(shown.verify(new X509Certificate(bundle.roots[0] ?? '').publicKey));
  });

  it('are signed again after two thirds of their life, for the same key', async () => {
    const before = below.authority.authorityCertificate();
    await clock.advance(400 * dayMs);
    await top.authorities.look();
    const rows = topFiles.store.records(keySpaces.siteAuthorities);
    assert.equal(await rows.get('PS1'), undefined);
    await clock.advance(100 * dayMs);
    await top.authorities.look();
    await replicate();
    await below.authorities.look();
    const after = below.authority.authorityCertificate();
    assert.notEqual(after, before);
    const [one, other] = [new X509Certificate(before), new X509Certificate(after)];
    assert.ok(one.publicKey.equals(other.publicKey));
    assert.ok(Date.parse(other.validTo) > Date.parse(one.validTo));
  });

  it('that the top signed while its clock was ahead are signed again when it is right', async () => {
    const rows = topFiles.store.records(keySpaces.siteAuthorities);
    const before = below.authority.authorityCertificate();
    skewMs = 600 * dayMs;
    await top.authorities.look();
    const ahead = top.authority.authorityCertificate();
    skewMs = 0;
    await replicate();
    await below.authorities.look();
    assert.equal(below.authority.authorityCertificate(), before, 'it has not begun there');
    await clock.advance(config.signAgainMs);
    await top.authorities.look();
    assert.notEqual(top.authority.authorityCertificate(), ahead);
    assert.equal(refusalNow(top.authority.authorityCertificate()), undefined);
    // It knows of PS1 what PS1 shows, and that is sound.
    const written = await rows.get('PS1');
    await top.authorities.look();
    assert.deepEqual(await rows.get('PS1'), written);
  });

  const refusalNow = (pem: string) => refusalOfTime(new X509Certificate(pem), clock.nowMs());

  it('are not signed for who was revoked, nor for a key that no root has signed before', async () => {
    await rotateRoot(change());
    await publish();
    const rows = topFiles.store.records(keySpaces.siteAuthorities);
    revokedAtMs = clock.nowMs();
    await top.authorities.look();
    assert.equal(await rows.get('PS1'), undefined);
    revokedAtMs = undefined;
    await using foreign = await TestAuthority.make({ clock });
    const stranger = await foreign.open();
    const { request } = await askedWithNewKey();
    shownByBelow = `\n${await stranger.issueLeaf(testDp, request)}\n${await stranger.issueSiteAuthority('PS1', request)}`;
    await top.authorities.look();
    assert.equal(await rows.get('PS1'), undefined);
    await say();
    await top.authorities.look();
    assert.equal((await rows.get('PS1'))?.siteCode, 'PS1');
  });

  it('are not written for who was revoked while they were signed', async () => {
    await rotateRoot(change());
    await publish();
    const { certifySiteAuthority } = CertificateAuthority.prototype;
    top.authority.certifySiteAuthority = async (siteCode, publicKey) => {
      revokedAtMs = clock.nowMs();
      return certifySiteAuthority.call(top.authority, siteCode, publicKey);
    };
    await top.authorities.look();
    const rows = topFiles.store.records(keySpaces.siteAuthorities);
    assert.equal(await rows.get('PS1'), undefined);
    assert.equal(await rows.get('CS1'), undefined);
  });

  it('are signed for the key that a site has since it was enrolled again', async () => {
    const { request, info, key } = await askedWithNewKey();
    const certificate = await top.authority.issueSiteAuthority('PS1', request);
    // The top hears of it only after it has signed the old key under the new root.
    await clock.advance(hourMs);
    await rotateRoot(change());
    await publish();
    await top.authorities.look();
    await writeAuthority(belowFiles.directory, { certificate, key });
    below = await siteOf(belowFiles, 'PS1');
    await say();
    await clock.advance(config.signAgainMs);
    await top.authorities.look();
    const row = await topFiles.store.records(keySpaces.siteAuthorities).get('PS1');
    const { publicKey } = new X509Certificate(row?.certificate ?? '');
    assert.deepEqual(publicKey.export({ type: 'spki', format: 'der' }), info);
  });

  it('take no certificate for another key, of another site, or of a foreign root', async () => {
    const before = below.authority.authorityCertificate();
    const rows = belowFiles.store.records(keySpaces.siteAuthorities);
    const { request } = await askedWithNewKey();
    await using foreign = await TestAuthority.make({ clock });
    const stranger = await foreign.open();
    const ownKey = new X509Certificate(before).publicKey.export({ type: 'spki', format: 'der' });
    await clock.advance(100 * dayMs);
    for (const certificate of [
      await top.authority.issueSiteAuthority('PS1', request),
      await top.authority.certifySiteAuthority('PS2', ownKey),
      await stranger.certifySiteAuthority('PS1', ownKey),
      'hello',
      '',
    ]) {
      await belowFiles.store.write([rows.put('PS1', { siteCode: 'PS1', certificate })], {
        sync: false,
      });
      await below.authorities.look();
      assert.equal(below.authority.authorityCertificate(), before);
    }
  });

  it('are not signed over and over when somebody overwrites their rows', async () => {
    await rotateRoot(change());
    await publish();
    const rows = topFiles.store.records(keySpaces.siteAuthorities);
    const garble = { siteCode: 'PS1', certificate: 'garbled' };
    const overwrite = async () => {
      await topFiles.store.write([rows.put('PS1', garble)], { sync: false });
      await top.authorities.look();
      return (await rows.get('PS1'))?.certificate !== 'garbled';
    };
    assert.equal(await overwrite(), true);
    assert.equal(await overwrite(), false);
    await clock.advance(config.signAgainMs);
    assert.equal(await overwrite(), true);
  });

  it('are looked after at the start, at news, and now and then', async () => {
    await rotateRoot(change());
    await top.authorities.start();
    await publish();
    const rows = topFiles.store.records(keySpaces.siteAuthorities);
    await until(async () => (await rows.get('PS1')) !== undefined);
    assert.equal(rootOf(top), 1);
    await until(async () => {
      await clock.advance(config.lookMs);
      return rootOf(top) === 0;
    });
  });
});
