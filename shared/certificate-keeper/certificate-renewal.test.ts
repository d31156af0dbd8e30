import assert from 'node:assert/strict';
import { createPublicKey, verify, X509Certificate } from 'node:crypto';
import { mkdir, readdir, readFile, rmdir, stat, writeFile } from 'node:fs/promises';
import {
  type IssuedCertificate,
  issueLeaf,
  issueRoot,
  issueSiteAuthority,
} from '../certificates/certificate-issuing.ts';
import {
  newPrivateKey,
  publicKeyInfoOf,
  readCertificateRequest,
} from '../certificates/certificate-requests.ts';
import { writePairFile } from '../certificates/pair-file.ts';
import { writeSecretFile } from '../certificates/secret-files.ts';
import { rootsFileText } from '../certificates/trusted-roots.ts';
import { isErrorWithCode, WaybillError } from '../domain/errors.ts';
import { IdentityPlace } from '../enrollment/identity-place.ts';
import type { RequestOf, ResponseOf } from '../rpc/conversation.ts';
import { LiveCredentials } from '../rpc/live-credentials.ts';
import { readPeerCredentials } from '../rpc/peer-credentials.ts';
import { renewalProofOf } from '../rpc/renewal-proof.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { CertificateRenewal } from './certificate-renewal.ts';
import { ownIdentity } from './own-identity.ts';
import type { RevocationOf } from './refused-voucher.ts';

type Request = RequestOf<'Enrollment', 'renew'>;
type Answer = ResponseOf<'Enrollment', 'renew'>;

const dayMs = 24 * 3_600_000;
const aheadMs = 10 * 60_000;
const identity = { kind: 'dp', dpId: 'PS1DP1' } as const;
const never = new AbortController().signal;

/** A root and the authority of a site under it. */
class TestHierarchy {
  readonly root: IssuedCertificate;
  readonly authority: IssuedCertificate;

  private constructor(root: IssuedCertificate, authority: IssuedCertificate) {
    this.root = root;
    this.authority = authority;
  }

  static async create(nowMs: number, siteCode = 'PS1'): Promise<TestHierarchy> {
    const validity = {
      notBefore: new Date(nowMs - dayMs),
      notAfter: new Date(nowMs + 700 * dayMs),
    };
    const root = await issueRoot({ name: 'Waybill root test', ...validity });
    const key = await newPrivateKey();
    const publicKey = publicKeyInfoOf(key);
    const certificate = await issueSiteAuthority(root, { siteCode, publicKey, ...validity });
    return new TestHierarchy(root, { certificate, key });
  }

  /** Another certificate of a site's authority, by this root. @param key a new one, unless it is given */
  async signed(siteCode: string, beginMs: number, key?: string): Promise<IssuedCertificate> {
    const own = key ?? (await newPrivateKey());
    const [notBefore, notAfter] = [new Date(beginMs), new Date(beginMs + 700 * dayMs)];
    const facts = { siteCode, publicKey: publicKeyInfoOf(own), notBefore, notAfter };
    return { key: own, certificate: await issueSiteAuthority(this.root, facts) };
  }

  leaf(publicKey: Uint8Array, beginMs: number, uri = 'waybill://dp/PS1DP1', by = this.authority) {
    const [notBefore, notAfter] = [new Date(beginMs), new Date(beginMs + 90 * dayMs)];
    const names = { commonName: 'dp/PS1DP1', uris: [uri] };
    return issueLeaf(by, { ...names, publicKey, notBefore, notAfter });
  }
}

/** A DP with its files, and the site that it asks. */
class RenewalTest implements AsyncDisposable {
  readonly clock = new FakeClock(Date.UTC(2026, 0, 1));
  readonly requests: Request[] = [];
  readonly askedForRootAlone: boolean[] = [];
  readonly hintFailures: unknown[] = [];
  readonly directory: TemporaryDirectory;
  readonly hierarchy: TestHierarchy;
  credentials!: LiveCredentials;
  renewal: CertificateRenewal;
  /** What the site answers. */
  answer: (request: Request) => Promise<Partial<Answer>>;

  private constructor(directory: TemporaryDirectory, hierarchy: TestHierarchy) {
    this.directory = directory;
    this.hierarchy = hierarchy;
    this.answer = async ({ certificateRequest }) => {
      const { publicKey } = await readCertificateRequest(certificateRequest as Buffer);
      return this.issued(await hierarchy.leaf(publicKey, this.clock.nowMs()));
    };
    this.renewal = this.newRenewal();
  }

  static async create(): Promise<RenewalTest> {
    const directory = await TemporaryDirectory.create();
    const test = new RenewalTest(directory, await TestHierarchy.create(Date.UTC(2026, 0, 1)));
    const { hierarchy } = test;
    const key = await newPrivateKey();
    const leaf = await hierarchy.leaf(publicKeyInfoOf(key), test.clock.nowMs());
    const certificates = [leaf, hierarchy.authority.certificate];
    await writePairFile(test.agentFile, { key, certificates });
    const roots = rootsFileText({ generation: 1, roots: [hierarchy.root.certificate] });
    await writeSecretFile(directory.join('roots.crt'), roots);
    test.credentials = new LiveCredentials(await test.read());
    return test;
  }

  get agentFile(): string {
    return this.directory.join('agent.pem');
  }

  get files() {
    const { agentFile } = this;
    const caFile = this.directory.join('roots.crt');
    return { caFile, certificateFile: agentFile, keyFile: agentFile };
  }

  read() {
    return readPeerCredentials(this.files, { identity, nowMs: this.clock.nowMs() });
  }

  /** As after a restart: nothing is remembered but the files. */
  newRenewal(revocationOf?: RevocationOf): CertificateRenewal {
    const place = new IdentityPlace(this.directory.path, this.agentFile);
    return new CertificateRenewal({
      ...{ place, clock: this.clock, revocationOf },
      onHintFailure: (error) => this.hintFailures.push(error),
      ask: async (request, _signal, isForRootAlone = false) => {
        this.requests.push(request);
        this.askedForRootAlone.push(isForRootAlone);
        return (await this.answer(request)) as Answer;
      },
    });
  }

  /** An answer with this certificate. */
  issued(leaf: string, issuer = this.hierarchy.authority.certificate): Partial<Answer> {
    return {
      certificate: new X509Certificate(leaf).raw,
      issuerCertificate: new X509Certificate(issuer).raw,
      ...{ siteCode: 'PS1', siteAddress: '', enrollmentAddress: '', address: '' },
      ...{ roots: [], parentSiteCode: '', parentAddress: '' },
    };
  }

  /** From now on the site answers by this authority. */
  issueBy(by: IssuedCertificate, siteCode = 'PS1'): void {
    this.answer = async ({ certificateRequest }) => {
      const { publicKey } = await readCertificateRequest(certificateRequest as Buffer);
      const leaf = await this.hierarchy.leaf(publicKey, this.clock.nowMs(), undefined, by);
      return { ...this.issued(leaf, by.certificate), siteCode };
    };
  }

  renew(): Promise<void> {
    return this.renewal.renew(this.credentials, never);
  }

  /** Renews at a site whose clock is ahead, up to where it waits for what it was given. */
  async renewAhead(changes: Partial<Answer> = {}) {
    this.answer = async ({ certificateRequest }) => {
      const { publicKey } = await readCertificateRequest(certificateRequest as Buffer);
      const leaf = await this.hierarchy.leaf(publicKey, this.clock.nowMs() + aheadMs);
      return { ...this.issued(leaf), ...changes };
    };
    const sleep = this.clock.sleep.bind(this.clock);
    const slept = new Promise<number>((resolve) => {
      this.clock.sleep = (ms, signal) => {
        resolve(ms);
        return sleep(ms, signal);
      };
    });
    const renewing = this.renew();
    return { renewing, sleptMs: await slept };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.directory[Symbol.asyncDispose]();
  }
}

describe('renewing by the old key (SEC-3, F22)', () => {
  it('asks with a new key and the old one’s signature, and replaces all in one file', async () => {
    await using test = await RenewalTest.create();
    const before = await test.read();
    await test.clock.advance(70 * dayMs);
    await test.renew();
    const [request] = test.requests;
    const [own] = [new X509Certificate(before.certificate)];
    assert.deepEqual(request?.certificate, own.raw);
    const proof = renewalProofOf(request?.certificateRequest as Buffer);
    assert.ok(verify('sha256', proof, own.publicKey, request?.signature as Buffer));
    const after = await test.read();
    const [next] = [new X509Certificate(after.certificate)];
    assert.ok(!next.publicKey.equals(own.publicKey));
    assert.ok(next.publicKey.equals(createPublicKey(after.key)));
    assert.deepEqual((await readdir(test.directory.path)).sort(), ['agent.pem', 'roots.crt']);
    assert.equal((await stat(test.agentFile)).mode & 0o777, 0o600);
  });

  it('is used at once by whoever reads the credentials', async () => {
    await using test = await RenewalTest.create();
    const subject = ownIdentity(test.credentials, test.files, undefined);
    let told = 0;
    test.credentials.onChange(() => {
      told++;
    });
    const before = test.credentials.certificate;
    await subject.look();
    assert.equal(told, 0);
    await test.clock.advance(70 * dayMs);
    await test.renew();
    const kept = await subject.look();
    assert.equal(told, 1);
    assert.ok(!before.equals(test.credentials.certificate));
    assert.equal(kept.notBeforeMs, test.clock.nowMs());
    assert.equal(kept.issuerSiteCode, 'PS1');
  });

  it('asks again with the same key when the answer was lost, also after a crash', async () => {
    await using test = await RenewalTest.create();
    const { answer } = test;
    const away = { peer: 'the site', address: 'a:1', reason: 'the connection was lost' };
    test.answer = async (request) => {
      await answer(request);
      throw new WaybillError({ code: 'PEER_UNREACHABLE', ...away });
    };
    for (let round = 0; round < 2; round++) {
      await assert.rejects(test.renew(), (error) => isErrorWithCode(error, 'PEER_UNREACHABLE'));
      test.renewal = test.newRenewal();
    }
    assert.equal((await stat(test.directory.join('renewal.key'))).mode & 0o777, 0o600);
    assert.equal(await test.renewal.lastTriedAtMs(), test.clock.nowMs());
    test.answer = answer;
    await test.renew();
    const keys = await Promise.all(
      test.requests.map(async ({ certificateRequest }) =>
        (await readCertificateRequest(certificateRequest as Buffer)).publicKey.toString('hex'),
      ),
    );
    assert.equal(keys.length, 3);
    assert.equal(new Set(keys).size, 1);
    assert.equal(await test.renewal.lastTriedAtMs(), undefined);
    await test.read();
  });

  it('begins with another key when a crash came after the new certificate', async () => {
    await using test = await RenewalTest.create();
    const { key } = await test.read();
    const [pem] =
      /-----BEGIN PRIVATE KEY-----[^-]*-----END PRIVATE KEY-----\n/.exec(String(key)) ?? [];
    await writeSecretFile(test.directory.join('renewal.key'), pem ?? '');
    await test.renew();
    const [request] = test.requests;
    const { publicKey } = await readCertificateRequest(request?.certificateRequest as Buffer);
    const own = new X509Certificate(request?.certificate as Buffer);
    const old = own.publicKey.export({ type: 'spki', format: 'der' });
    assert.notDeepEqual(publicKey, old);
  });

  it('asks with no key of an enrollment; one that an older program left of a renewal it removes', async () => {
    await using test = await RenewalTest.create();
    const file = test.directory.join('next.key');
    const key = await newPrivateKey();
    await writeSecretFile(file, `token 0123456789abcdef\n${key}`);
    await test.renew();
    const [request] = test.requests;
    const { publicKey } = await readCertificateRequest(request?.certificateRequest as Buffer);
    assert.notDeepEqual(publicKey, publicKeyInfoOf(key));
    assert.ok((await readFile(file, 'utf8')).endsWith(key));
    await writeSecretFile(file, key);
    test.credentials.replace(await test.read());
    await test.renew();
    await assert.rejects(stat(file), { code: 'ENOENT' });
  });

  it('begins with another key when the pending one is damaged', async () => {
    await using test = await RenewalTest.create();
    await writeSecretFile(test.directory.join('renewal.key'), '-----BEGIN PRIVATE KEY-----\nMIG');
    await test.renew();
    await test.read();
  });

  it('goes on being used until the new one begins by this clock, which is behind', async () => {
    await using test = await RenewalTest.create();
    const before = await readFile(test.agentFile, 'utf8');
    const { renewing, sleptMs } = await test.renewAhead();
    assert.equal(sleptMs, aheadMs);
    assert.equal(await readFile(test.agentFile, 'utf8'), before);
    await test.clock.advance(aheadMs);
    await renewing;
    assert.notEqual(await readFile(test.agentFile, 'utf8'), before);
    await test.read();
  });

  it('writes over nothing that came into its place while it waited, nor keeps where its site was', async () => {
    await using test = await RenewalTest.create();
    const { renewing } = await test.renewAhead({ enrollmentAddress: 'thief:8532' });
    const key = await newPrivateKey();
    const leaf = await test.hierarchy.leaf(publicKeyInfoOf(key), test.clock.nowMs());
    const certificates = [leaf, test.hierarchy.authority.certificate];
    await writePairFile(test.agentFile, { key, certificates });
    const enrolled = await readFile(test.agentFile, 'utf8');
    const refused = assert.rejects(renewing, {
      ...{ code: 'PEER_FAILED', message: /another one is in the place of the old one/ },
    });
    await test.clock.advance(aheadMs);
    await refused;
    assert.equal(await readFile(test.agentFile, 'utf8'), enrolled);
    await assert.rejects(stat(test.directory.join('renewal-address')), { code: 'ENOENT' });
    // Nobody is asked in the name of what is no longer there.
    await assert.rejects(test.renew(), { code: 'PEER_FAILED' });
    assert.equal(test.requests.length, 1);
  });

  it('is not taken when the root behind it was retired while it waited', async () => {
    await using test = await RenewalTest.create();
    const before = await readFile(test.agentFile, 'utf8');
    const { root } = await TestHierarchy.create(test.clock.nowMs());
    const { renewing } = await test.renewAhead();
    const roots = rootsFileText({ generation: 2, roots: [root.certificate] });
    await writeSecretFile(test.files.caFile, roots);
    const refused = assert.rejects(renewing, { code: 'PEER_FAILED' });
    await test.clock.advance(aheadMs);
    await refused;
    assert.equal(await readFile(test.agentFile, 'utf8'), before);
  });

  it('takes the place of one that no trusted root stands behind: that is nobody’s enrollment', async () => {
    await using test = await RenewalTest.create();
    const former = await TestHierarchy.create(test.clock.nowMs());
    const key = await newPrivateKey();
    const leaf = await former.leaf(publicKeyInfoOf(key), test.clock.nowMs());
    const certificates = [leaf, former.authority.certificate];
    await writePairFile(test.agentFile, { key, certificates });
    await test.renew();
    await test.read();
  });

  it('has come to its end when another program of the same holder was given one for the same key', async () => {
    await using test = await RenewalTest.create();
    const { answer } = test;
    const { renewing } = await test.renewAhead();
    test.answer = answer;
    await test.newRenewal().renew(test.credentials, never);
    await test.clock.advance(aheadMs);
    await renewing;
    await test.read();
  });

  it('takes nothing of a site of whose revocation it hears while it waits', async () => {
    await using test = await RenewalTest.create();
    let refusal: string | undefined;
    test.renewal = test.newRenewal(() => refusal);
    const before = await readFile(test.agentFile, 'utf8');
    const { renewing } = await test.renewAhead();
    refusal = 'site PS1 was revoked';
    const refused = assert.rejects(renewing, { code: 'PEER_FAILED', message: /PS1 was revoked/ });
    await test.clock.advance(aheadMs);
    await refused;
    assert.equal(await readFile(test.agentFile, 'utf8'), before);
  });

  it('is not given up for one that begins later than that, but is when it counts no more', async () => {
    await using test = await RenewalTest.create();
    test.answer = async ({ certificateRequest }) => {
      const { publicKey } = await readCertificateRequest(certificateRequest as Buffer);
      return test.issued(await test.hierarchy.leaf(publicKey, test.clock.nowMs() + 11 * 60_000));
    };
    await assert.rejects(test.renew(), { code: 'PEER_FAILED', message: /not valid before/ });
    await test.read();
    await test.clock.advance(91 * dayMs);
    await test.renew();
    assert.equal(test.requests.length, 2);
  });

  it('asks only for one on the newest root when it is wanted for that alone', async () => {
    await using test = await RenewalTest.create();
    const next = await TestHierarchy.create(test.clock.nowMs());
    await test.renew();
    const roots = [next.root.certificate, test.hierarchy.root.certificate];
    const text = rootsFileText({ generation: 2, roots });
    await writeSecretFile(test.directory.join('roots.crt'), text);
    test.credentials.replace(await test.read());
    await test.renew();
    test.credentials.replace(await test.read());
    await test.clock.advance(70 * dayMs);
    await test.renew();
    assert.deepEqual(test.askedForRootAlone, [false, true, false]);
  });

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
