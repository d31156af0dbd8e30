import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EnrolledHierarchy } from '../integration/enrolled-hierarchy.ts';
import { freePort } from '../integration/free-port.ts';
import type { AdminChannel } from '../integration/network.ts';
import { programs } from '../integration/programs.ts';
import {
  certificateRequestOf,
  newPrivateKey,
} from '../shared/certificates/certificate-requests.ts';
import { type PeerIdentity, toIdentityUri } from '../shared/domain/peer-identity.ts';
import { enrolled } from '../shared/enrollment/enrolling.ts';
import type { PeerCredentialFiles } from '../shared/rpc/peer-credentials.ts';
import { systemClock } from '../shared/runtime/clock.ts';

export const siteCode = 'PS1';
export const dpId = 'PS1DP1';
const childCode = 'SS1';
const deadlineMs = 30_000;
/** What was measured once is soon gone, so that no run fills the disk. */
const briefly = 'unreferencedGraceMs: 2000\nsweepIntervalMs: 5000\n';

/** Somebody with a key and a token for it. */
export interface EnrollingMachine {
  readonly identity: PeerIdentity;
  readonly key: string;
  readonly token: string;
}

/**
 * A site that gives certificates, its DP, and a child whose keys are in the hands of the attacker; with
 * whatever else he has: the certificate of a DP, of a client and of an administrator who may only read.
 */
export class HostileGround implements AsyncDisposable {
  readonly hierarchy: EnrolledHierarchy;
  readonly admin: AdminChannel;
  readonly enrollmentAddress: string;
  readonly #files = new Map<string, PeerCredentialFiles>();

  private constructor(
    hierarchy: EnrolledHierarchy,
    admin: AdminChannel,
    enrollmentAddress: string,
  ) {
    this.hierarchy = hierarchy;
    this.admin = admin;
    this.enrollmentAddress = enrollmentAddress;
  }

  static async start(): Promise<HostileGround> {
    const hierarchy = await EnrolledHierarchy.start(siteCode);
    await restartedBriefly(hierarchy, siteCode, programs.waybillSite);
    await hierarchy.enrolledDp(dpId);
    await restartedBriefly(hierarchy, dpId);
    await hierarchy.reached(dpId);
    const admin = await hierarchy.admin(siteCode);
    const { enrollmentAddress } = await admin.unary(
      'createEnrollment',
      { identityUri: 'waybill://client/bench', validForMs: 0 },
      { deadlineMs },
    );
    return new HostileGround(hierarchy, admin, enrollmentAddress);
  }

  /** Where a part of the ground listens. */
  addressOf(at: 'site' | 'dp' | 'enrollment port'): string {
    if (at === 'enrollment port') return this.enrollmentAddress;
    return this.hierarchy.agent(at === 'site' ? siteCode : dpId).address;
  }

  /** Of the site and the DP. */
  get pids(): readonly number[] {
    return [siteCode, dpId].map((name) => this.hierarchy.agent(name).pid ?? 0);
  }

  /** A machine that is to be enrolled as a client, of which the site asks nothing else. */
  async machine(identity: PeerIdentity, key: string): Promise<EnrollingMachine> {
    const asked = { identityUri: toIdentityUri(identity), validForMs: 0 };
    const { token } = await this.admin.unary('createEnrollment', asked, { deadlineMs });
    return { identity, key, token };
  }

  /** Enrolls it, as its own program would. */
  enroll({ identity, key, token }: EnrollingMachine) {
    const signal = AbortSignal.timeout(deadlineMs);
    const needs = { clock: systemClock, signal, key: async () => key, certificateRequestOf };
    return enrolled(needs, { identity, server: this.enrollmentAddress, address: '', token });
  }

  /** Certificate and key of somebody who is not what he seems; made when they are not there. */
  async filesOf(identity: PeerIdentity): Promise<PeerCredentialFiles> {
    const uri = toIdentityUri(identity);
    const files = this.#files.get(uri) ?? (await this.#made(identity));
    this.#files.set(uri, files);
    return files;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.hierarchy[Symbol.asyncDispose]();
  }

  async #made(identity: PeerIdentity): Promise<PeerCredentialFiles> {
    if (identity.kind === 'site') return this.#stolenChild();
    if (identity.kind === 'dp') {
      const settings = { dpId: identity.dpId, address: `127.0.0.1:${await freePort()}` };
      await this.admin.unary('addDistributionPoint', settings, { deadlineMs });
    }
    const machine = await this.machine(identity, await newPrivateKey());
    const { certificates, root, key } = await this.enroll(machine);
    const directory = this.hierarchy.at('attackers', identity.kind);
    await mkdir(directory, { recursive: true });
    const file = (name: string) => join(directory, name);
    await writeFile(file('ca.crt'), root.toString());
    await writeFile(file('own.crt'), certificates.join('\n'));
    await writeFile(file('own.key'), key, { mode: 0o600 });
    const certificateFile = file('own.crt');
    return { caFile: file('ca.crt'), certificateFile, keyFile: file('own.key') };
  }

  /** A child that has joined, and whose server then ended. */
  async #stolenChild(): Promise<PeerCredentialFiles> {
    const { hierarchy } = this;
    const facts = ['--kind', 'secondary', '--parent', siteCode];
    const address = ['--address', `127.0.0.1:${await freePort()}`];
    const printed = await hierarchy.printed(['site', 'add', childCode, ...facts, ...address]);
    const enrollment = ['--enrollment-listen', `127.0.0.1:${await freePort()}`];
    const end = await hierarchy.enroll(printed, childCode, ['--no-start', ...enrollment]);
    if (end.exitCode !== 0) throw new Error(end.stderr);
    // It makes its own certificate when it starts.
    const child = hierarchy.agent(childCode, programs.waybillSite);
    await child.start();
    await child.kill();
    const own = hierarchy.at(childCode, 'identity', 'agent.pem');
    const caFile = hierarchy.at(childCode, 'identity', 'roots.crt');
    return { caFile, certificateFile: own, keyFile: own };
  }
}

/** Started again with a configuration that keeps nothing for long. */
async function restartedBriefly(
  hierarchy: EnrolledHierarchy,
  name: string,
  program?: string,
): Promise<void> {
  const agent = hierarchy.agent(name, program);
  await agent.kill();
  await appendFile(agent.configPath, briefly);
  await agent.start();
}
