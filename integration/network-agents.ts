/** What the agents of a test network have in common: certificates, folders, configuration files. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import {
  type DevelopmentCertificate,
  issueDevelopmentHierarchy,
} from '../certs/development-hierarchy.ts';
import { type PeerIdentity, toIdentityUri } from '../shared/domain/peer-identity.ts';
import type { PeerCredentialFiles } from '../shared/rpc/peer-credentials.ts';
import { AgentProcess } from './agent-process.ts';
import type { NetworkHost } from './network-hosts.ts';
import { programs } from './programs.ts';

/** The administrator every network has. */
export const adminIdentity = { kind: 'admin', role: 'full', name: 'admin' } as const;

export const dpIdentity = (dpId: string) => ({ kind: 'dp', dpId }) as const;

/** The certificates made for a run. */
export class Certificates {
  readonly #certificates: readonly DevelopmentCertificate[];

  private constructor(certificates: readonly DevelopmentCertificate[]) {
    this.#certificates = certificates;
  }

  static async issue(
    directory: string,
    identities: readonly PeerIdentity[],
  ): Promise<Certificates> {
    return new Certificates(await issueDevelopmentHierarchy({ directory, identities }));
  }

  filesOf(identity: PeerIdentity): PeerCredentialFiles {
    const uri = toIdentityUri(identity);
    const found = this.#certificates.find((one) => toIdentityUri(one.identity) === uri);
    if (!found) throw new Error(`no certificate for ${uri}`);
    const { caFile, certificateFile, keyFile } = found;
    return { caFile, certificateFile, keyFile };
  }
}

/** An agent that is ready to be started: its folder, and its configuration file beside it. */
export async function agentOf(
  certificatesOfRun: Certificates,
  directory: string,
  agent: {
    readonly identity: PeerIdentity & { kind: 'site' | 'dp' };
    readonly host: NetworkHost | undefined;
    readonly settings: Record<string, unknown>;
    readonly environment?: Readonly<Record<string, string>> | undefined;
  },
): Promise<AgentProcess> {
  const { identity, host, settings, environment = {} } = agent;
  const name = identity.kind === 'site' ? identity.siteCode : identity.dpId;
  const dataDirectory = join(directory, name);
  await mkdir(dataDirectory, { recursive: true });
  const configPath = join(directory, `${name}.yaml`);
  const certificates = certificatesOfRun.filesOf(identity);
  const listen = host ? `${host.address}:8530` : '127.0.0.1:0';
  const config = { listen, dataDirectory, certificates, ...settings };
  await writeFile(configPath, stringify(config));
  const program = identity.kind === 'site' ? programs.waybillSite : programs.waybillDp;
  const logPath = join(directory, `${name}.stdout.log`);
  const command = host?.command ?? [];
  return new AgentProcess({ name, program, configPath, logPath, command, environment });
}
