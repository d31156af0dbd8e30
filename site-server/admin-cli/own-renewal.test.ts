import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import {
  issueLeafWithKey,
  issueRoot,
  issueSiteAuthority,
} from '../../shared/certificates/certificate-issuing.ts';
import { newPrivateKey, publicKeyInfoOf } from '../../shared/certificates/certificate-requests.ts';
import { writePairFile } from '../../shared/certificates/pair-file.ts';
import { writeSecretFile } from '../../shared/certificates/secret-files.ts';
import { writeRootsFile } from '../../shared/certificates/trusted-roots.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { isOnOldRoot, ownCredentials } from './own-renewal.ts';

const dayMs = 24 * 3_600_000;
const lifeDays = 90;

/** An enrollment port at which everybody is hung up on, and an administrator who uses his certificate. */
class UserTest implements AsyncDisposable {
  readonly clock: FakeClock;
  readonly directory: TemporaryDirectory;
  readonly told: string[] = [];
  connectionCount = 0;
  readonly #server = createServer((socket) => {
    this.connectionCount++;
    socket.destroy();
  });

  private constructor(directory: TemporaryDirectory, ageDays: number) {
    this.directory = directory;
    this.clock = new FakeClock(Date.now() + ageDays * dayMs);
  }

  /** @param ageDays of his certificate of 90 days */
  static async create(ageDays: number): Promise<UserTest> {
    const test = new UserTest(await TemporaryDirectory.create(), ageDays);
    const notBefore = new Date(Date.now() - 60_000);
    const long = { notBefore, notAfter: new Date(Date.now() + 1_000 * dayMs) };
    const root = await issueRoot({ name: 'Waybill root test', ...long });
    const key = await newPrivateKey();
    const publicKey = publicKeyInfoOf(key);
    const certificate = await issueSiteAuthority(root, { siteCode: 'PS1', publicKey, ...long });
    const leaf = await issueLeafWithKey(
      { certificate, key },
      {
        ...{ commonName: 'admin/bob', uris: ['waybill://admin/full/bob'], notBefore },
        notAfter: new Date(Date.now() + lifeDays * dayMs),
      },
    );
    const pair = { key: leaf.key, certificates: [leaf.certificate, certificate] };
    await writePairFile(test.agentFile, pair);
    await writeSecretFile(test.directory.join('roots.crt'), root.certificate);
    test.#server.listen(0, '127.0.0.1');
    await once(test.#server, 'listening');
    return test;
  }

  get agentFile(): string {
    return this.directory.join('agent.pem');
  }

  /** Another root is trusted, beside the one there was or in its place. @returns the file of the roots */
  async trustsNextRoot({ besideOld }: { readonly besideOld: boolean }): Promise<string> {
    const rootsFile = this.directory.join('roots.crt');
    const validity = { notBefore: new Date(), notAfter: new Date(Date.now() + 1_000 * dayMs) };
    const next = await issueRoot({ name: 'Waybill root next', ...validity });
    const old = besideOld ? [await readFile(rootsFile, 'latin1')] : [];
    const generation = besideOld ? 2 : 3;
    await writeRootsFile(rootsFile, { generation, roots: [next.certificate, ...old] });
    return rootsFile;
  }

  /** The file was written now, by the clock. */
  touched(path: string): Promise<void> {
    const seconds = this.clock.nowMs() / 1_000;
    return utimes(path, seconds, seconds);
  }

  use(keyFile = this.agentFile) {
    const { port } = this.#server.address() as AddressInfo;
    return ownCredentials(
      {
        ...{ caFile: this.directory.join('roots.crt'), certificateFile: this.agentFile, keyFile },
        renewalAddress: `127.0.0.1:${port}`,
      },
      {
        clock: this.clock,
        signal: new AbortController().signal,
        tell: (line) => this.told.push(line),
      },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    await this.directory[Symbol.asyncDispose]();
  }
}

describe('the certificate of whoever uses waybill (SEC-3, F22)', () => {
  it('is not renewed while it is young', async () => {
    await using user = await UserTest.create(50);
    const credentials = await user.use();
    const { identity } = credentials;
    assert.ok(!isOnOldRoot(credentials));
    assert.deepEqual(identity, { kind: 'admin', role: 'full', name: 'bob' });
    assert.deepEqual([user.connectionCount, user.told], [0, []]);
  });

  it('is used on without a word when renewing does not work and there is time', async () => {
    await using user = await UserTest.create(70);
    await user.use();
    assert.ok(user.connectionCount > 0);
    assert.deepEqual(user.told, []);
  });

  it('a script that calls all the time does not ask each time', async () => {
    await using user = await UserTest.create(70);
    await user.use();
    const before = user.connectionCount;
    for (let call = 0; call < 5; call++) await user.use();
    assert.equal(user.connectionCount, before);
    await user.clock.advance(11 * 60_000);
    await user.use();
    assert.ok(user.connectionCount > before);
  });

  it('is renewed at once when the roots change, then not each time while its site stands on the old one', async () => {
    await using user = await UserTest.create(1);
    await user.touched(await user.trustsNextRoot({ besideOld: true }));
    await user.use();
    assert.ok(user.connectionCount > 0);
    // As a site leaves it that gave a certificate.
    await rm(user.directory.join('renewal.key'));
    await user.clock.advance(1_000);
    await user.touched(user.agentFile);
    const before = user.connectionCount;
    await user.use();
    assert.equal(user.connectionCount, before);
    await user.clock.advance(11 * 60_000);
    await user.use();
    assert.ok(user.connectionCount > before);
  });

  it('is tried again after a minute while it stands on an old root, which may be retired unheard', async () => {
    await using user = await UserTest.create(1);
    await user.trustsNextRoot({ besideOld: true });
    assert.ok(isOnOldRoot(await user.use()));
    const before = user.connectionCount;
    await user.clock.advance(59_000);
    await user.use();
    assert.equal(user.connectionCount, before);
    await user.clock.advance(1_000);
    await user.use();
    assert.ok(user.connectionCount > before);
  });

  it('is renewed by its key when its root was retired; what is in the way is told', async () => {
    await using user = await UserTest.create(1);
    await user.trustsNextRoot({ besideOld: false });
    for (let call = 1; call <= 2; call++) {
      const before = user.connectionCount;
      await assert.rejects(user.use(), {
        code: 'CERTIFICATE_INVALID',
        message: /the root behind it counts no more; it could not be renewed: the /,
      });
      assert.ok(user.connectionCount > before, `${call}`);
    }
    await user.clock.advance(121 * dayMs);
    const count = user.connectionCount;
    await assert.rejects(
      user.use(),
      /not signed by the CA .*; have a new token made and run "waybill enroll"$/,
    );
    assert.equal(user.connectionCount, count);
  });

  it('is told of when it ends within 14 days', async () => {
    await using user = await UserTest.create(80);
    await user.use();
    assert.equal(user.told.length, 1);
    assert.match(
      user.told[0] ?? '',
      /^your certificate ends in (9 d \d+ h|10 d) and could not be renewed: .* cannot be reached: /,
    );
  });

  for (const [how, ageDays, words] of [
    ['has expired, and cannot be renewed', 100, /it expired at .*; it could not be renewed: the /],
    [
      'expired too long ago',
      130,
      /if that is wrong; else have a new token made and run "waybill enroll"$/,
    ],
    ['is not valid yet', -30, /it is not valid before .*; set the clock, if that is wrong; else /],
  ] as const) {
    it(`when it ${how}, says why and what to do`, async () => {
      await using user = await UserTest.create(ageDays);
      await assert.rejects(user.use(), (error) => {
        assert.ok(isErrorWithCode(error, 'CERTIFICATE_INVALID'));
        assert.match(error.message, words);
        return true;
      });
      assert.equal(user.connectionCount > 0, ageDays === 100);
    });
  }

  it('in separate files is never written, as development certificates are', async () => {
    await using user = await UserTest.create(80);
    const keyFile = user.directory.join('admin.key');
    const text = await readFile(user.agentFile, 'utf8');
    await writeFile(keyFile, text, { mode: 0o600 });
    const { certificate } = await user.use(keyFile);
    assert.ok(new X509Certificate(certificate).subject.includes('admin/bob'));
    assert.equal(user.connectionCount, 0);
    assert.equal(await readFile(user.agentFile, 'utf8'), text);
  });
});
