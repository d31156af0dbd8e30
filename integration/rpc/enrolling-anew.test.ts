import assert from 'node:assert/strict';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { newPrivateKey } from '../../shared/certificates/certificate-requests.ts';
import { enrollAgent } from '../../shared/enrollment/agent-enrollment.ts';
import { IdentityPlace } from '../../shared/enrollment/identity-place.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { dp1, EnrollmentPort } from './enrollment-port.ts';

/** A machine that was a DP before, and the enrollment port of its site. */
class EnrolledMachine implements AsyncDisposable {
  readonly directory: TemporaryDirectory;
  readonly port: EnrollmentPort;
  readonly place: IdentityPlace;

  private constructor(directory: TemporaryDirectory, port: EnrollmentPort) {
    this.directory = directory;
    this.port = port;
    this.place = new IdentityPlace(directory.path, directory.join('agent.pem'));
  }

  static async create(): Promise<EnrolledMachine> {
    const machine = new EnrolledMachine(
      await TemporaryDirectory.create(),
      await EnrollmentPort.open(),
    );
    await writeFile(machine.directory.join('dp.yaml'), 'dpId: PS1DP1\n');
    await machine.enroll(await machine.token());
    await machine.place.finish();
    return machine;
  }

  get agentFile(): string {
    return this.place.credentialFile;
  }

  async certificate(): Promise<X509Certificate> {
    return new X509Certificate(await readFile(this.agentFile));
  }

  token(): Promise<string> {
    return this.port.site.token(dp1);
  }

  /** As the command does, up to where the service is started. */
  enroll(token: string) {
    return enrollAgent(
      {
        ...{ clock: { nowMs: () => Date.now() }, signal: new AbortController().signal },
        readToken: async () => token,
      },
      {
        ...{ identity: { kind: 'dp', dpId: 'PS1DP1' }, server: this.port.address, address: '' },
        ...{ place: this.place, configPath: this.directory.join('dp.yaml') },
        isForced: true,
        ...{ configText: () => assert.fail('it is there'), checkConfig: async () => {} },
      },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.port[Symbol.asyncDispose]();
    await this.directory[Symbol.asyncDispose]();
  }
}

describe('a machine that is enrolled anew (SEC-2)', () => {
  it('renews where its new site says that it is, not where the one before said', async () => {
    await using machine = await EnrolledMachine.create();
    await machine.place.keepRenewalAddress('thief:8532');
    await machine.enroll(await machine.token());
    assert.equal(await machine.place.toldRenewalAddress(), 'ps1:8532');
  });

  it('takes a key that nobody had before, whatever was left of a renewal', async () => {
    await using machine = await EnrolledMachine.create();
    const { place } = machine;
    const copied = createPublicKey(await place.keyToAskWith(newPrivateKey));
    await machine.enroll(await machine.token());
    assert.ok(!(await machine.certificate()).publicKey.equals(copied));
  });

  it('takes the token also when what came before was not brought to its end', async () => {
    await using machine = await EnrolledMachine.create();
    // As when the service could not be started.
    await machine.enroll(await machine.token());
    const before = await machine.certificate();
    const end = await machine.enroll(await machine.token());
    assert.equal(end.isNew, true);
    const after = await machine.certificate();
    assert.notEqual(after.serialNumber, before.serialNumber);
    assert.ok(!after.publicKey.equals(before.publicKey));
  });

  it('goes on with the same token after a kill: same key, same certificate', async () => {
    await using machine = await EnrolledMachine.create();
    const token = await machine.token();
    const pair = await readFile(machine.agentFile);
    await machine.enroll(token);
    const { fingerprint256 } = await machine.certificate();
    // Killed when all was written, then before the certificate was.
    assert.equal((await machine.enroll(token)).isNew, true);
    await writeFile(machine.agentFile, pair);
    await machine.enroll(token);
    assert.equal((await machine.certificate()).fingerprint256, fingerprint256);
  });
});
