import assert from 'node:assert/strict';
import { FakeAdmin } from './testing/fake-admin.ts';
import { runWaybill } from './testing/run-waybill.ts';
import { aRevocation } from './testing/trust-answers.ts';

const reach = 'REVOCATION_REACH_EVERYWHERE' as const;
const revoking = (changes: Parameters<typeof aRevocation>[0] = { reach }) =>
  new FakeAdmin().answer('revokeCertificates', () => aRevocation(changes));

describe('waybill certs (SEC-3)', () => {
  it('revoke sends whom and why, and says what it means', async () => {
    const line = 'certs revoke dp/PS1DP1 --reason stolen';
    const { admin, stdout } = await runWaybill(line, { admin: revoking() });
    assert.deepEqual(admin.requestOf('revokeCertificates'), {
      holder: 'dp/PS1DP1',
      reason: 'stolen',
      evenIfUnknown: false,
    });
    assert.match(
      stdout,
      /^Certificates of dp\/PS1DP1 from before .* count no more, anywhere; connections with them are cut there\.\n$/,
    );
  });

  for (const [name, words] of [
    ['REVOCATION_REACH_BELOW', /count no more at PS1 and the sites below it, and nowhere else;/],
    ['REVOCATION_REACH_UNKNOWN', /at PS1 and the sites below it; elsewhere only if one of these/],
  ] as const) {
    it(`revoke says where it counts, and what to do for more (${name})`, async () => {
      const admin = revoking({ reach: name });
      const { stdout } = await runWaybill('certs revoke admin/bob --force', { admin });
      assert.match(stdout, words);
      assert.match(stdout, /\nTo put it out everywhere, call this with --site at/);
      assert.equal(
        (admin.requestOf('revokeCertificates') as { evenIfUnknown: boolean }).evenIfUnknown,
        true,
      );
    });
  }

  it('revoke of a site wants to be meant', async () => {
    const asked = await runWaybill('certs revoke site/PS2', { admin: revoking() });
    assert.equal(asked.exitCode, 2);
    assert.match(
      asked.stderr,
      /expected --yes: it puts site\/PS2 out, with all whose certificates it issued/,
    );
    assert.ok(!asked.admin.calls.some(({ method }) => method === 'revokeCertificates'));
    const { admin } = await runWaybill('certs revoke site/PS2 --yes', { admin: revoking() });
    assert.deepEqual(admin.requestOf('revokeCertificates'), {
      holder: 'site/PS2',
      reason: '',
      evenIfUnknown: false,
    });
  });

  it('revoke of the very site that is asked is left to that to refuse, without a question', async () => {
    const { admin } = await runWaybill('certs revoke site/PS1', { admin: revoking() });
    assert.ok(admin.calls.some(({ method }) => method === 'revokeCertificates'));
  });

  it('revocations lists who is out, since when, where it was said and by whom', async () => {
    const { stdout } = await runWaybill('certs revocations');
    const [titles, row] = stdout.split('\n');
    assert.match(titles ?? '', /^holder +revoked +at +by +reason$/);
    assert.match(row ?? '', /^dp\/PS1DP1 +20.* +PS1 +admin\/full\/alice +stolen$/);
    const json = await runWaybill('certs revocations --json');
    assert.equal(JSON.parse(json.stdout)[0].holder, 'dp/PS1DP1');
    const none = new FakeAdmin().stream('listRevocations', () => []);
    assert.equal(
      (await runWaybill('certs revocations', { admin: none })).stdout,
      'Nobody is revoked.\n',
    );
  });

  for (const holder of ['PS1DP1', 'dp/', 'admin/full/bob', 'king/arthur']) {
    it(`revoke refuses "${holder}" before anything is sent`, async () => {
      const { admin, exitCode, stderr } = await runWaybill(`certs revoke ${holder}`);
      assert.equal(exitCode, 2);
      assert.match(stderr, /<holder>: expected whose certificates: dp\/PS1DP1/);
      assert.deepEqual(admin.calls, []);
    });
  }
});
