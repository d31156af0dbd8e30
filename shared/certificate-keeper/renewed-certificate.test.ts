import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdir, readFile, rmdir, stat, writeFile } from 'node:fs/promises';
import {
  newPrivateKey,
  publicKeyInfoOf,
  readCertificateRequest,
} from '../certificates/certificate-requests.ts';
import { writeSecretFile } from '../certificates/secret-files.ts';
import { rootsFileText } from '../certificates/trusted-roots.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import {
  type Answer,
  dayMs,
  identity,
  RenewalTest,
  type Request,
  TestHierarchy,
} from './testing/renewal-test.ts';

describe('what a renewal takes (SEC-3, F22)', () => {
  it('takes nothing that is not what was asked for, and keeps what it has', async () => {
    await using test = await RenewalTest.create();
    const foreign = await TestHierarchy.create(test.clock.nowMs());
    const nowMs = test.clock.nowMs();
    const keyOf = async ({ certificateRequest }: Request) =>
      (await readCertificateRequest(certificateRequest as Buffer)).publicKey;
    const other = publicKeyInfoOf(await newPrivateKey());
    const { hierarchy } = test;
    const cases: [string, (request: Request) => Promise<Partial<Answer>>, RegExp][] = [
      [
        'of another hierarchy',
        async (request) =>
          test.issued(
            await foreign.leaf(await keyOf(request), nowMs),
            foreign.authority.certificate,
          ),
        /not from a root that is trusted/,
      ],
      ['of another key', async () => test.issued(await hierarchy.leaf(other, nowMs)), /key/],
      [
        'of another DP',
        async (request) =>
          test.issued(await hierarchy.leaf(await keyOf(request), nowMs, 'waybill://dp/PS1DP2')),
        /PS1DP1/,
      ],
      [
        'of a site whose clock is two years ahead',
        async (request) =>
          test.issued(await hierarchy.leaf(await keyOf(request), nowMs + 730 * dayMs)),
        /it is not valid before 2028-01-01/,
      ],
      [
        'that has expired',
        async (request) =>
          test.issued(await hierarchy.leaf(await keyOf(request), nowMs - 91 * dayMs)),
        /it expired at/,
      ],
      [
        'that is none',
        async () => ({
          ...test.issued(hierarchy.authority.certificate),
          certificate: Buffer.of(1),
        }),
        /cannot be used/,
      ],
    ];
    const before = await readFile(test.agentFile);
    for (const [what, answer, expected] of cases) {
      test.answer = answer;
      await assert.rejects(
        test.renew(),
        (error) => isErrorWithCode(error, 'PEER_FAILED') && expected.test(error.message),
        what,
      );
      assert.deepEqual(await readFile(test.agentFile), before, what);
    }
  });

  it('takes nothing by an authority that its site had before: a thief may have its key', async () => {
    await using test = await RenewalTest.create();
    const { hierarchy, clock } = test;
    test.issueBy(await hierarchy.signed('PS1', clock.nowMs() - 2 * dayMs));
    const before = await readFile(test.agentFile);
    await assert.rejects(test.renew(), { code: 'PEER_FAILED', message: /another authority since/ });
    assert.deepEqual(await readFile(test.agentFile), before);
  });

  it('follows its site to every authority that it may have honestly', async () => {
    await using test = await RenewalTest.create();
    const { hierarchy, clock } = test;
    const nowMs = clock.nowMs();
    const { key } = hierarchy.authority;
    for (const [what, by, siteCode] of [
      ['signed again', await hierarchy.signed('PS1', nowMs, key), 'PS1'],
      ['put back as it was', hierarchy.authority, 'PS1'],
      ['of a site it belongs to now', await hierarchy.signed('PS2', nowMs - 9 * dayMs), 'PS2'],
      ['of the site it came from', await hierarchy.signed('PS1', nowMs), 'PS1'],
      ['enrolled again', await hierarchy.signed('PS1', nowMs + 1_000), 'PS1'],
    ] as const) {
      await clock.advance(2_000);
      test.issueBy(by, siteCode);
      await assert.doesNotReject(test.renew(), what);
      test.credentials.replace(await test.read());
    }
  });

  it('follows the key of its site to another root', async () => {
    await using test = await RenewalTest.create();
    const next = await TestHierarchy.create(test.clock.nowMs());
    const nowMs = test.clock.nowMs();
    const { key } = test.hierarchy.authority;
    const roots = rootsFileText({ generation: 2, roots: [next.root.certificate] });
    await writeSecretFile(test.directory.join('roots.crt'), roots);
    const { certificate, key: ownKey } = test.credentials;
    const ca = await readFile(test.files.caFile);
    test.credentials.replace({ ca, certificate, key: ownKey, identity });
    test.issueBy(await next.signed('PS1', nowMs - 5 * dayMs, key));
    await test.renew();
    await test.read();
  });

  it('takes nothing that is revoked as far as it was told', async () => {
    await using test = await RenewalTest.create();
    const asked: unknown[] = [];
    test.renewal = test.newRenewal(({ identity: { kind }, voucher, vouchedFromMs }) => {
      asked.push([kind, voucher, vouchedFromMs]);
      return 'site PS1 was revoked';
    });
    const before = await readFile(test.agentFile);
    await assert.rejects(test.renew(), { code: 'PEER_FAILED', message: /site PS1 was revoked/ });
    assert.deepEqual(asked, [['dp', { siteCode: 'PS1' }, test.clock.nowMs() - dayMs]]);
    assert.deepEqual(await readFile(test.agentFile), before);
  });

  it('keeps where its site is only with a certificate that it takes, and is not held up by it', async () => {
    await using test = await RenewalTest.create();
    const hint = test.directory.join('renewal-address');
    const { answer } = test;
    const refused = new X509Certificate(test.hierarchy.root.certificate).raw;
    const enrollmentAddress = 'ps1:8532';
    test.answer = async (request) => ({
      ...{ ...(await answer(request)), enrollmentAddress, certificate: refused },
    });
    await assert.rejects(test.renew(), { code: 'PEER_FAILED' });
    await assert.rejects(stat(hint), { code: 'ENOENT' });
    test.answer = async (request) => ({ ...(await answer(request)), enrollmentAddress });
    // What cannot be replaced at all.
    await mkdir(hint);
    await test.renew();
    assert.equal(test.hintFailures.length, 1);
    test.credentials.replace(await test.read());
    await rmdir(hint);
    // As a copy that was put back may be.
    await writeFile(hint, 'old:8532\n', { mode: 0o644 });
    await test.renew();
    assert.equal(await readFile(hint, 'utf8'), 'ps1:8532\n');
    assert.equal(test.hintFailures.length, 1);
  });

  it('takes no root from whoever renews: a site could bring one of its own', async () => {
    await using test = await RenewalTest.create();
    const foreign = await TestHierarchy.create(test.clock.nowMs());
    const { answer } = test;
    const roots = [new X509Certificate(foreign.root.certificate).raw];
    test.answer = async (request) => ({ ...(await answer(request)), roots, rootsGeneration: '9' });
    const before = await readFile(test.files.caFile);
    await test.renew();
    assert.deepEqual(await readFile(test.files.caFile), before);
  });
});
