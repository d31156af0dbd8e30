import assert from 'node:assert/strict';
import {
  certificateRequestOf,
  newPrivateKey,
} from '../../shared/certificates/certificate-requests.ts';
import { fromIdentityUri } from '../../shared/domain/peer-identity.ts';
import { type Enrolling, enrolled } from '../../shared/enrollment/enrolling.ts';
import {
  EnrollmentServer,
  type EnrollmentServerConfig,
} from '../../shared/rpc/enrollment-server.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { TestEnrollment } from '../../site-server/enrollment/testing/test-enrollment.ts';

/** What a machine is called that asks, unless a test says otherwise. */
export const dp1 = 'waybill://dp/PS1DP1';

/** The enrollment port of a site, on a real socket. */
export class EnrollmentPort implements AsyncDisposable {
  readonly site: TestEnrollment;
  readonly server: EnrollmentServer;

  private constructor(site: TestEnrollment, server: EnrollmentServer) {
    this.site = site;
    this.server = server;
  }

  static async open(config: Partial<EnrollmentServerConfig> = {}): Promise<EnrollmentPort> {
    // Certificates begin at the clock of the test, and are looked at by the one of the machine.
    const site = await TestEnrollment.open({ nowMs: Date.now() });
    const key = await newPrivateKey();
    const identity = { kind: 'site', siteCode: 'PS1' } as const;
    const leaf = await site.authority.issueLeaf(identity, await certificateRequestOf(key));
    const certificate = Buffer.from(`${leaf}\n${site.authority.authorityCertificate()}\n`);
    const [root = ''] = site.authority.roots();
    const credentials = { ca: Buffer.from(root), certificate, key: Buffer.from(key), identity };
    const server = new EnrollmentServer(
      {
        ...{ credentials, roots: () => site.authority.roots() },
        answers: site.enrollment.answers(),
        onAudit: (event) => site.events.push(event),
        logger: new CapturedLog().logger,
      },
      { address: '127.0.0.1:0', ...config },
    );
    await server.start();
    return new EnrollmentPort(site, server);
  }

  get address(): string {
    return this.server.address;
  }

  get port(): number {
    return Number(this.address.split(':')[1]);
  }

  /** Enrolls as a new machine does. */
  async enroll(changes: Partial<Enrolling> & { identityUri?: string; nowMs?: number } = {}) {
    const { identityUri = dp1, nowMs = Date.now(), ...rest } = changes;
    const identity = fromIdentityUri(identityUri);
    assert.ok(identity);
    const key = await newPrivateKey();
    const needs = {
      ...{ clock: { nowMs: () => nowMs }, signal: new AbortController().signal },
      ...{ key: async () => key, certificateRequestOf },
    };
    const token = rest.token ?? (await this.site.token(identityUri));
    return enrolled(needs, { identity, server: this.address, address: '', ...rest, token });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop();
    await this.site[Symbol.asyncDispose]();
  }
}
