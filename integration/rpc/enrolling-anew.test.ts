import assert from 'node:assert/strict';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import {
  type AskForRenewal,
  askingAt,
  CertificateRenewal,
} from '../../shared/certificate-keeper/certificate-renewal.ts';
import { newPrivateKey } from '../../shared/certificates/certificate-requests.ts';
import { parseEnrollmentToken } from '../../shared/domain/enrollment-token.ts';
import { enrollAgent } from '../../shared/enrollment/agent-enrollment.ts';
import { IdentityPlace } from '../../shared/enrollment/identity-place.ts';
import { readPeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import { systemClock } from '../../shared/runtime/clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { dp1, EnrollmentPort } from './enrollment-port.ts';

const identity = { kind: 'dp', dpId: 'PS1DP1' } as const;

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
    await writeFile(machine.configPath, 'dpId: PS1DP1\n');
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

  get configPath(): string {
    return this.directory.join('dp.yaml');
  }

  /** As the agent that runs on it does. @param meanwhile while its site answers */
  async renew(meanwhile: () => Promise<unknown> = async () => {}): Promise<void> {
    const { place, agentFile: certificateFile } = this;
    const files = { caFile: place.rootsFile, certificateFile, keyFile: certificateFile };
    const held = await readPeerCredentials(files, { identity, nowMs: Date.now() });
    const asking = askingAt({ address: this.port.address, roots: () => held.ca });
    const ask: AskForRenewal = async (...asked) => {
      const answer = await asking(...asked);
      await meanwhile();
      return answer;
    };
    const renewal = new CertificateRenewal({ place, ask, clock: systemClock });
    await renewal.renew(held, new AbortController().signal);
  }

  /** As the command does, up to where the service is started. */
  enroll(token: string, isForced = true) {
    return enrollAgent(
      {
        ...{ clock: { nowMs: () => Date.now() }, signal: new AbortController().signal },
        readToken: async () => token,
      },
      {
        ...{ identity, server: this.port.address, address: '', isForced },
        ...{ place: this.place, configPath: this.configPath },
        ...{ configText: () => 'dpId: PS1DP1\n', checkConfig: async () => {} },
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

  it('renews where its new configuration says alone, when there was none to stay', async () => {
    await using machine = await EnrolledMachine.create();
    await machine.place.keepRenewalAddress('thief:8532');
    await rm(machine.configPath);
    await machine.enroll(await machine.token());
    assert.equal(await machine.place.toldRenewalAddress(), undefined);
    assert.equal(await readFile(machine.configPath, 'utf8'), 'dpId: PS1DP1\n');
  });

  it('takes a key that nobody had before, whatever was left of a renewal, now and when it renews', async () => {
    await using machine = await EnrolledMachine.create();
    const { place } = machine;
    const { publicKey } = await machine.certificate();
    const copied = await place.renewalKey.toAskWith(newPrivateKey, publicKey);
    // As older programs kept it.
    await writeFile(machine.directory.join('next.key'), copied, { mode: 0o600 });
    const isCopied = async () =>
      (await machine.certificate()).publicKey.equals(createPublicKey(copied));
    await machine.enroll(await machine.token());
    assert.ok(!(await isCopied()));
    await machine.renew();
    assert.ok(!(await isCopied()));
  });

  it('keeps what it was given by the token, whatever a renewal under way is given after it', async () => {
    await using machine = await EnrolledMachine.create();
    const enrolling = async () => machine.enroll(await machine.token());
    let enrolled: Buffer | undefined;
    const renewing = machine.renew(async () => {
      await enrolling();
      enrolled = await readFile(machine.agentFile);
    });
    await assert.rejects(renewing, { code: 'PEER_FAILED', message: /another one is in the place/ });
    assert.deepEqual(await readFile(machine.agentFile), enrolled);
  });

  it('goes on with the same token, same key, though it was renewed since the answer was lost', async () => {
    await using machine = await EnrolledMachine.create();
    const token = await machine.token();
    const pair = await readFile(machine.agentFile);
    await machine.enroll(token);
    const { fingerprint256 } = await machine.certificate();
    await writeFile(machine.agentFile, pair);
    await machine.renew();
    assert.notEqual((await machine.certificate()).fingerprint256, fingerprint256);
    await machine.enroll(token);
    assert.equal((await machine.certificate()).fingerprint256, fingerprint256);
  });

  it('is not taken to be enrolled by a token that no site has seen, nor by a renewal that was killed', async () => {
    await using machine = await EnrolledMachine.create();
    const token = await machine.token();
    const { tokenId = '' } = parseEnrollmentToken(token).token ?? {};
    await machine.place.keyToAskWith(newPrivateKey, { tokenId, isAnew: true });
    const renewalKey = machine.directory.join('renewal.key');
    let asked = '';
    await machine.renew(async () => {
      asked = await readFile(renewalKey, 'utf8');
    });
    // Killed before that was forgotten.
    await writeFile(renewalKey, asked, { mode: 0o600 });
    const { serialNumber } = await machine.certificate();
    assert.equal((await machine.enroll(token, false)).isNew, false);
    assert.equal((await machine.enroll(token)).isNew, true);
    assert.notEqual((await machine.certificate()).serialNumber, serialNumber);
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
