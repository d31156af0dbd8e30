import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { EnrolledHierarchy, type PrintedCommand } from './enrolled-hierarchy.ts';
import { freePort } from './free-port.ts';
import { programs } from './programs.ts';

/** As much as is looked at of a row of `waybill site list`. */
interface SiteRow {
  readonly siteCode: string;
  readonly replication: { readonly connected: boolean } | null;
}

/** A command that the top printed, or the same for the enrollment port of PS1. */
function askedAt({ command, server }: PrintedCommand, at: string): string {
  if (at === server) return command;
  return command.replace(`${server} --server-site CS1`, `${at} --server-site PS1`);
}

describe('sites that are enrolled under the top (SEC-2)', function () {
  this.timeout(240_000);
  let net: EnrolledHierarchy;

  before(async () => {
    net = await EnrolledHierarchy.start('CS1', 'central-administration');
  });

  after(() => net?.[Symbol.asyncDispose]());

  /** Adds a site at a free port. */
  async function added(siteCode: string, kind: string, parent: string): Promise<PrintedCommand> {
    const address = `127.0.0.1:${await freePort()}`;
    const facts = ['--kind', kind, '--parent', parent, '--address', address];
    return net.printed(['site', 'add', siteCode, ...facts]);
  }

  /** Runs the printed command, perhaps at another enrollment port, and starts the site. */
  async function enrolled(siteCode: string, printed: PrintedCommand, server = printed.server) {
    const enrollment = `127.0.0.1:${await freePort()}`;
    const command = askedAt(printed, server);
    const more = ['--no-start', '--enrollment-listen', enrollment];
    const end = await net.enroll({ command, token: printed.token }, siteCode, more);
    assert.equal(end.exitCode, 0, end.stderr);
    await net.agent(siteCode, programs.waybillSite).start();
    return enrollment;
  }

  /** Whether a child is connected, as its parent says it. */
  async function isJoined(siteCode: string, options: readonly string[] = []): Promise<boolean> {
    const rows = await net.asked<SiteRow[]>(['site', 'list', ...options]);
    return rows.find((row) => row.siteCode === siteCode)?.replication?.connected ?? false;
  }

  async function subjectOf(...names: string[]): Promise<string> {
    const pem = await readFile(net.at(...names), 'utf8');
    return new X509Certificate(pem.slice(pem.indexOf('-----BEGIN CERTIFICATE'))).subject;
  }

  let ps1Enrollment: string;

  it('a primary site gets an authority, makes its own certificate, and joins', async () => {
    ps1Enrollment = await enrolled('PS1', await added('PS1', 'primary', 'CS1'));
    await net.until('PS1 in the hierarchy', () => isJoined('PS1'));
    assert.equal(
      await subjectOf('PS1', 'authority', 'authority.pem'),
      'CN=Waybill site authority PS1',
    );
    assert.equal(await subjectOf('PS1', 'identity', 'agent.pem'), 'CN=site/PS1');
    const config = parse(await readFile(net.at('PS1.yaml'), 'utf8')) as Record<string, unknown>;
    assert.deepEqual(
      [config.kind, (config.parent as { siteCode: string }).siteCode],
      ['primary', 'CS1'],
    );
  });

  it('a secondary site is enrolled through another site than the top', async () => {
    const printed = await added('SS1', 'secondary', 'PS1');
    await enrolled('SS1', printed, ps1Enrollment);
    const server = ['--server', net.agent('PS1').address];
    await net.until('SS1 in the hierarchy', () => isJoined('SS1', server));
    assert.equal(
      await subjectOf('SS1', 'authority', 'authority.pem'),
      'CN=Waybill site authority SS1',
    );
    const audited = await net.asked<{ caller: string; method: string; result: string }[]>([
      'audit',
    ]);
    const passed = audited.filter(({ caller }) => caller === 'waybill://site/PS1');
    assert.ok(passed.some(({ method, result }) => method.endsWith('/Enroll') && result === 'ok'));
    // The same token is used up, whoever is asked.
    const again = await net.enroll(
      { ...printed, command: askedAt(printed, ps1Enrollment) },
      'thief',
    );
    assert.match(again.stderr, /was used before, with another key/);
  });

  it('a token for a DP of another site is made there, and the DP is enrolled there', async () => {
    const dp = await net.enrolledDp('PS1DP1', ['--site', 'PS1']);
    const { server } = await net.printed(['dp', 'enroll', 'PS1DP1', '--site', 'PS1']);
    assert.equal(server, ps1Enrollment);
    const at = await net.reached('PS1DP1', ['--server', net.agent('PS1').address]);
    assert.equal(at, dp.address);
  });

  it('a primary site enrolls its own DPs while the top is away', async () => {
    await net.agent('CS1').kill();
    const server = ['--server', net.agent('PS1').address];
    await net.enrolledDp('PS1DP2', server);
    await net.reached('PS1DP2', server);
    // What only the top can give is told as such.
    const site = await net.waybill(['site', 'enroll', 'SS1', ...server]);
    assert.equal(site.exitCode, 1);
    assert.match(site.stderr, /cannot be reached/);
  });
});
