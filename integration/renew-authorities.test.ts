import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { EnrolledHierarchy } from './enrolled-hierarchy.ts';
import { freePort } from './free-port.ts';
import { PassingTime } from './passing-time.ts';
import { programs } from './programs.ts';

interface SiteRow {
  readonly siteCode: string;
  readonly replication: { readonly connected: boolean } | null;
}

interface CertificateRow {
  readonly kind: string;
  readonly holder: string;
  readonly notAfterMs: number;
}

describe('authorities of sites that renew themselves (SEC-3, F22)', function () {
  this.timeout(180_000);
  let net: EnrolledHierarchy;
  let time: PassingTime;

  before(async () => {
    time = await PassingTime.begin();
    net = await EnrolledHierarchy.start('CS1', 'central-administration', {
      ...time.environment,
      WAYBILL_SITE_AUTHORITY__SITE_AUTHORITY_DAYS: '100',
    });
    const address = `127.0.0.1:${await freePort()}`;
    const facts = ['--kind', 'primary', '--parent', 'CS1', '--address', address];
    const printed = await net.printed(['site', 'add', 'PS1', ...facts]);
    const enrollment = `127.0.0.1:${await freePort()}`;
    const more = ['--no-start', '--enrollment-listen', enrollment];
    const end = await net.enroll(printed, 'PS1', more);
    assert.equal(end.exitCode, 0, end.stderr);
    await net.agent('PS1', programs.waybillSite).start();
    await joined();
  });

  after(async () => {
    await net?.[Symbol.asyncDispose]();
    await time?.[Symbol.asyncDispose]();
  });

  async function joined(): Promise<void> {
    await net.until('PS1 in the hierarchy', async () => {
      const { exitCode, stdout } = await net.waybill(['site', 'list', '--json']);
      const rows = exitCode === 0 ? (JSON.parse(stdout) as SiteRow[]) : [];
      return rows.find(({ siteCode }) => siteCode === 'PS1')?.replication?.connected ?? false;
    });
  }

  async function authorityOf(siteCode: string): Promise<X509Certificate> {
    const pem = await readFile(net.at(siteCode, 'authority', 'authority.pem'), 'utf8');
    return new X509Certificate(pem.slice(pem.indexOf('-----BEGIN CERTIFICATE')));
  }

  it('one that expired while its site was off comes back by its old key, and its site with it', async () => {
    const before = await authorityOf('PS1');
    await net.agent('PS1').kill();
    for (const days of [60, 50]) {
      await time.pass(days);
      await net.until('a top that answers', async () => {
        return (await net.waybill(['site', 'show'])).exitCode === 0;
      });
    }
    assert.ok(Date.parse(before.validTo) < time.nowMs, 'its authority is over');
    await net.agent('PS1').start();
    await joined();
    const after = await authorityOf('PS1');
    assert.ok(Date.parse(after.validTo) > time.nowMs);
    assert.ok(after.publicKey.equals(before.publicKey), 'what it has issued counts as before');
    assert.ok(net.agent('PS1').isRunning);
  });

  it('the top knows of the certificates of all sites', async () => {
    const rows = await net.asked<CertificateRow[]>(['certs']);
    const names = rows.map(({ kind, holder }) => `${kind} ${holder}`);
    for (const siteCode of ['CS1', 'PS1']) {
      assert.ok(names.includes(`site-authority site/${siteCode}`), names.join());
      assert.ok(names.includes(`identity site/${siteCode}`), names.join());
    }
    assert.ok(rows.every(({ notAfterMs }) => notAfterMs > time.nowMs));
  });
});
