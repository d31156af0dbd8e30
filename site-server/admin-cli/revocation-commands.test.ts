import assert from 'node:assert/strict';
import { FakeAdmin } from './testing/fake-admin.ts';
import { runWaybill } from './testing/run-waybill.ts';
import { aRevocation } from './testing/trust-answers.ts';

const reach = 'REVOCATION_REACH_EVERYWHERE' as const;
const revoking = (changes: Parameters<typeof aRevocation>[0] = { reach }) =>
  new FakeAdmin().answer('revokeCertificates', () => aRevocation(changes));

const isRevoking = (admin: FakeAdmin) =>
  admin.calls.some(({ method }) => method === 'revokeCertificates');

/** Somebody at a terminal who answers so. */
const answering = (answer: string) => ({
  terminal: { columns: 80, rows: 24 },
  surroundings: { question: async () => answer },
});

describe('waybill certs (SEC-3)', () => {
  it('revoke sends whom and why, and says what it means', async () => {
    const line = 'certs revoke dp/PS1DP1 --reason stolen --yes';
    const { admin, stdout } = await runWaybill(line, { admin: revoking() });
    assert.deepEqual(admin.requestOf('revokeCertificates'), {
      holder: 'dp/PS1DP1',
      reason: 'stolen',
      evenIfUnknown: false,
    });
    assert.match(
      stdout,
      /^Certificates of dp\/PS1DP1 from before .* count no more, anywhere; connections with them are cut there\.\n/,
    );
  });

  for (const holder of ['dp/PS1DP1', 'site/PS2', 'admin/bob', 'client/pc1']) {
    it(`revoke says how ${holder} comes back`, async () => {
      const { stdout } = await runWaybill(`certs revoke ${holder} --yes`, { admin: revoking() });
      const call = holder.replace('/', ' enroll ');
      assert.ok(
        stdout.includes(`\nTo let ${holder} come back: "waybill ${call}", which prints`),
        stdout,
      );
    });

    it(`revoke of ${holder} asks before, and does nothing without an answer`, async () => {
      const line = `certs revoke ${holder}`;
      const without = await runWaybill(line, { admin: revoking() });
      assert.equal(without.exitCode, 2);
      assert.ok(without.stderr.startsWith(`waybill: expected --yes: it puts ${holder} out`));
      const json = await runWaybill(`${line} --json`, { ...answering(holder), admin: revoking() });
      assert.equal(json.exitCode, 2);
      const refused = await runWaybill(line, { ...answering('y'), admin: revoking() });
      assert.equal(refused.exitCode, 1);
      assert.match(refused.stderr, new RegExp(`${holder} was not revoked`));
      for (const { admin } of [without, json, refused]) assert.ok(!isRevoking(admin));
      const sure = await runWaybill(line, { ...answering(holder), admin: revoking() });
      assert.equal(sure.exitCode, 0);
      assert.ok(isRevoking(sure.admin));
    });
  }

  for (const [name, words] of [
    ['REVOCATION_REACH_BELOW', /count no more at PS1 and the sites below it, and nowhere else;/],
    ['REVOCATION_REACH_UNKNOWN', /at PS1 and the sites below it; elsewhere only if one of these/],
  ] as const) {
    it(`revoke says where it counts, and what to do for more (${name})`, async () => {
      const admin = revoking({ reach: name });
      const { stdout } = await runWaybill('certs revoke admin/bob --force --yes', { admin });
      assert.match(stdout, words);
      assert.match(stdout, /\nTo put it out everywhere, call this with --site at/);
      assert.equal(
        (admin.requestOf('revokeCertificates') as { evenIfUnknown: boolean }).evenIfUnknown,
        true,
      );
    });
  }

  it('revoke of a site says who goes with it', async () => {
    const asked = await runWaybill('certs revoke site/PS2', { admin: revoking() });
    assert.match(asked.stderr, /it puts site\/PS2 out, with all whose certificates it issued/);
    const { admin } = await runWaybill('certs revoke site/PS2 --yes', { admin: revoking() });
    assert.deepEqual(admin.requestOf('revokeCertificates'), {
      holder: 'site/PS2',
      reason: '',
      evenIfUnknown: false,
    });
  });

  it('revoke of the very site that is asked is left to that to refuse, without a question', async () => {
    const { admin } = await runWaybill('certs revoke site/PS1', { admin: revoking() });
    assert.ok(isRevoking(admin));
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
