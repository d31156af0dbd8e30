import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { rootKeyIdOf } from '../../shared/certificates/trust-bundle.ts';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import {
  type DistributionPointHealth,
  unmeasured,
} from '../../shared/domain/distribution-point-health.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { ToldCertificate } from '../../shared/domain/known-certificate.ts';
import type { Revocation } from '../../shared/domain/revocation.ts';
import type { SiteIdentity } from '../../shared/domain/site.ts';
import { SiteTree } from '../../shared/domain/site-tree.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import { TestAuthority } from '../../shared/site-identity/testing/test-authority.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { testDistributionPoint } from '../../shared/testing/test-distribution-point.ts';
import { CertificateWatch } from './certificate-watch.ts';
import type { IssuedFacts } from './known-certificates.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** A site with a root, DPs, another site, and what it has issued. */
class WatchTest {
  readonly clock = new FakeClock();
  readonly asked: string[] = [];
  readonly points: DistributionPoint[] = [];
  readonly health = new Map<string, DistributionPointHealth>();
  readonly identities = new Map<string, SiteIdentity>();
  readonly issued: IssuedFacts[] = [];
  readonly revoked = new Map<string, Revocation>();
  own: Pick<ToldCertificate, 'state' | 'reason'> = { state: 'valid', reason: '' };
  checkFailure: Error | undefined;
  /** Revocations are others now. */
  tellRevoked = () => {};
  readonly credentials: PeerCredentials;
  readonly watch: CertificateWatch;

  private constructor(credentials: PeerCredentials) {
    this.credentials = credentials;
    const site = { kind: 'primary', address: '', description: '' } as const;
    const tree = new SiteTree([
      { ...site, siteCode: 'PS1', parentSiteCode: '' },
      { ...site, kind: 'secondary', siteCode: 'SS1', parentSiteCode: 'PS1' },
    ]);
    const { points, health, issued } = this;
    this.watch = new CertificateWatch({
      ...{ siteCode: 'PS1', credentials, clock: this.clock },
      own: () => ({ ...this.told(90), ...this.own }),
      sites: { tree, identityOf: (siteCode) => this.identities.get(siteCode) },
      hierarchy: {
        list: async function* () {
          yield* points;
        },
        healthOf: async (dpId) => health.get(dpId) ?? unmeasured(dpId),
      },
      checker: {
        check: async ({ dpId }) => {
          this.asked.push(dpId);
          if (this.checkFailure) throw this.checkFailure;
          this.tell(dpId, 90);
          return { health: unmeasured(dpId) };
        },
      },
      issued: async function* () {
        yield* issued;
      },
      revocations: {
        heardOf: (holder) => this.revoked.get(holder),
        heardByIssuer: (holder) => this.revoked.get(holder),
        onChanged: (listener) => {
          this.tellRevoked = listener;
          return () => {};
        },
      },
    });
  }

  static async create(): Promise<WatchTest> {
    const authority = await TestAuthority.create(new FakeClock().nowMs());
    const test = new WatchTest(await authority.credentials('PS1'));
    const { certificate } = await authority.credentials('SS1', { validMs: 10 * dayMs });
    const row = { siteCode: 'SS1', address: '', agentVersion: '', signingKeys: [], signature: '' };
    const signedAtMs = test.clock.nowMs();
    test.identities.set('SS1', { ...row, signedAtMs, certificate: certificate.toString() });
    return test;
  }

  /** What a DP says of a certificate of 90 days. */
  told(leftDays: number): ToldCertificate {
    const notAfterMs = this.clock.nowMs() + leftDays * dayMs;
    return {
      ...{ notBeforeMs: notAfterMs - 90 * dayMs, notAfterMs, state: 'valid', reason: '' },
      ...{ issuerSiteCode: 'PS1', rootKeyId: '' },
    };
  }

  tell(dpId: string, leftDays: number): void {
    const checkedAtMs = this.clock.nowMs();
    const certificate = this.told(leftDays);
    this.health.set(dpId, { ...unmeasured(dpId), checkedAtMs, certificate });
  }

  revoke(holder: string, agoMs = 0): void {
    const revokedAtMs = this.clock.nowMs() - agoMs;
    const said = { siteCode: 'CS1', holder, revokedAtMs, reason: '', revokedBy: '' };
    this.revoked.set(holder, said);
  }

  add(dpId: string): void {
    this.points.push(testDistributionPoint('a:1', dpId));
  }

  issue(holder: string, leftDays: number): void {
    const { notBeforeMs, notAfterMs } = this.told(leftDays);
    const identityUri = `waybill://${holder}`;
    this.issued.push({ kind: 'leaf', holder, identityUri, notBeforeMs, notAfterMs, rootKeyId: '' });
  }

  async names(): Promise<string[]> {
    return (await this.watch.known()).map(({ kind, holder }) => `${kind} ${holder}`);
  }

  concerns(): string[] {
    return this.watch.concerns().map(({ holder }) => holder);
  }
}

describe('the certificate watch (SEC-3)', () => {
  it('knows roots, sites, its own DPs as they say, and what was issued to others', async () => {
    const test = await WatchTest.create();
    test.add('PS1DP1');
    test.add('PS1DP2');
    test.tell('PS1DP1', 50);
    test.issue('dp/PS1DP1', 90);
    test.issue('dp/PS1DP2', 20);
    test.issue('dp/PS1DP2', 80);
    test.issue('dp/GONE', 80);
    test.issue('admin/bob', 80);
    const [root, ...others] = await test.names();
    assert.match(root ?? '', /^root [0-9a-f]{16}$/);
    assert.deepEqual(others, [
      ...['identity admin/bob', 'identity dp/PS1DP1', 'identity dp/PS1DP2'],
      ...['identity site/PS1', 'identity site/SS1'],
    ]);
    const known = await test.watch.known();
    const daysOf = (holder: string) => {
      const { notAfterMs = 0 } = known.find((one) => one.holder === holder) ?? {};
      return Math.round((notAfterMs - test.clock.nowMs()) / dayMs);
    };
    assert.deepEqual(['dp/PS1DP1', 'dp/PS1DP2'].map(daysOf), [50, 80]);
    const ofAgents = (await test.watch.ofAgents()).map(({ holder }) => holder);
    assert.deepEqual(ofAgents.slice(1), ['site/PS1', 'site/SS1', 'dp/PS1DP1']);
    const own = new X509Certificate(test.credentials.certificate);
    const site = known.find(({ holder }) => holder === 'site/PS1');
    assert.equal(site?.notAfterMs, Date.parse(own.validTo));
    assert.deepEqual([site?.isOnNewestRoot, site?.issuerSiteCode], [true, '']);
  });

  it('says of whom everything is revoked, and of whom with the site that vouches for him', async () => {
    const test = await WatchTest.create();
    test.issue('admin/bob', 80);
    test.issue('admin/eve', 80);
    test.revoke('admin/bob');
    // He has a certificate that began after that.
    test.revoke('admin/eve', 80 * dayMs);
    const dues = (await test.watch.known()).map((one) => `${one.holder} ${test.watch.dueOf(one)}`);
    assert.ok(dues.includes('admin/bob revoked'));
    assert.ok(!dues.includes('admin/eve revoked'));
    await test.watch.see();
    assert.deepEqual(test.concerns(), []);
  });

  it('says to which DPs a certificate on the newest root was given, and of no others', async () => {
    const test = await WatchTest.create();
    for (const dpId of ['A', 'B', 'C']) test.add(dpId);
    const rootKeyId = rootKeyIdOf(test.credentials.ca.toString());
    for (const holder of ['dp/A', 'dp/B', 'dp/GONE', 'admin/bob']) test.issue(holder, 80);
    test.issued.push({ ...test.issued[0]!, rootKeyId });
    test.issued.push({ ...test.issued[2]!, rootKeyId }, { ...test.issued[3]!, rootKeyId });
    assert.deepEqual([...(await test.watch.pointsGivenNewest())], ['dp/A']);
  });

  it('says which agents have not renewed in time, and leaves people out', async () => {
    const test = await WatchTest.create();
    for (const [dpId, leftDays] of Object.entries({ A: 50, B: 10, C: 1, D: -1 })) {
      test.add(dpId);
      test.tell(dpId, leftDays);
    }
    test.issue('admin/bob', 1);
    await test.watch.see();
    assert.deepEqual(test.concerns(), ['dp/B', 'dp/C', 'dp/D']);
  });

  it('takes no other certificate for ended while its own clock is wrong', async () => {
    const test = await WatchTest.create();
    test.add('A');
    test.tell('A', -600);
    test.own = { state: 'expired', reason: 'it expired' };
    await test.watch.see();
    assert.deepEqual(test.concerns(), []);
    test.own = { state: 'valid', reason: '' };
    await test.watch.see();
    assert.deepEqual(test.concerns(), ['dp/A']);
  });

  it('asks a DP that nobody has asked for half a day, and no other', async () => {
    const test = await WatchTest.create();
    for (const dpId of ['A', 'B']) test.add(dpId);
    test.tell('A', 50);
    await test.watch.start();
    assert.deepEqual(test.asked, []);
    await test.clock.advance(hourMs);
    assert.deepEqual(test.asked, ['B']);
    await test.clock.advance(12 * hourMs);
    assert.deepEqual(test.asked, ['B', 'A']);
    await test.clock.advance(hourMs);
    assert.deepEqual(test.asked.toSorted(), ['A', 'B', 'B']);
    await test.watch.stop();
  });

  it('asks a DP at once that was revoked and seemed to be there, and no other', async () => {
    const test = await WatchTest.create();
    for (const dpId of ['A', 'B', 'C', 'D']) {
      test.add(dpId);
      test.tell(dpId, 50);
      const health = test.health.get(dpId) ?? unmeasured(dpId);
      test.health.set(dpId, {
        ...health,
        reachability: dpId === 'C' ? 'unreachable' : 'reachable',
      });
    }
    await test.watch.start();
    await test.clock.advance(1_000);
    assert.deepEqual(test.asked, []);
    for (const dpId of ['A', 'C']) test.revoke(`dp/${dpId}`);
    // It has a certificate that began after that.
    test.revoke('dp/D', 80 * dayMs);
    test.tellRevoked();
    await test.clock.advance(1_000);
    assert.deepEqual(test.asked, ['A']);
    await test.watch.stop();
  });

  it('asks a DP that was revoked right before a crash', async () => {
    const test = await WatchTest.create();
    test.add('A');
    test.tell('A', 50);
    test.health.set('A', { ...test.health.get('A')!, reachability: 'reachable' });
    test.revoke('dp/A');
    await test.watch.start();
    await test.clock.advance(1_000);
    assert.deepEqual(test.asked, ['A']);
    await test.watch.stop();
  });

  it('goes on when what a DP says cannot be written down', async () => {
    const test = await WatchTest.create();
    test.add('A');
    const facts = { path: '/data', freeBytes: 0, neededBytes: 1 };
    test.checkFailure = new WaybillError({ code: 'DISK_FULL', ...facts });
    await test.watch.start();
    await test.clock.advance(3 * hourMs);
    assert.deepEqual(test.asked, ['A', 'A', 'A']);
    await test.watch.stop();
  });
});
