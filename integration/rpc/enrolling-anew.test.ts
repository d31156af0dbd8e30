import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { enrollAgent } from '../../shared/enrollment/agent-enrollment.ts';
import { IdentityPlace } from '../../shared/enrollment/identity-place.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { dp1, EnrollmentPort } from './enrollment-port.ts';

/** A machine that was a DP before, and the enrollment port of its site. */
class EnrolledMachine implements AsyncDisposable {
  readonly directory: TemporaryDirectory;
  readonly port: EnrollmentPort;
  readonly place: IdentityPlace;
  readTokenCount = 0;

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

  token(): Promise<string> {
    return this.port.site.token(dp1);
  }

  /** As the command does, up to where the service is started. */
  enroll(token: string, { isForced = true } = {}) {
    return enrollAgent(
      {
        ...{ clock: { nowMs: () => Date.now() }, signal: new AbortController().signal },
        readToken: async () => {
          this.readTokenCount++;
          return token;
        },
      },
      {
        ...{ identity: { kind: 'dp', dpId: 'PS1DP1' }, server: this.port.address, address: '' },
        ...{ place: this.place, configPath: this.directory.join('dp.yaml'), isForced },
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
});
