import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { issueDevelopmentHierarchy } from '../certs/development-hierarchy.ts';
import { readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { RpcChannel } from '../shared/rpc/rpc-channel.ts';
import { AgentProcess } from './agent-process.ts';

const dist = fileURLToPath(new URL('..', import.meta.url));

export interface NetworkOptions {
  /** Names of the DPs; default: PS1DP1 and PS1DP2. */
  readonly distributionPoints?: readonly string[];
  /** Where everything lies; default: a new folder for temporary files, removed at the end. */
  readonly directory?: string;
  /** Merged into the site's configuration. */
  readonly site?: Record<string, unknown>;
  /** Merged into each DP's configuration. */
  readonly dp?: Record<string, unknown> | ((dpId: string) => Record<string, unknown>);
}

export type AdminChannel = RpcChannel<'Admin'>;

/** A small site of real processes: one site server, its DPs, certificates made for the run. */
export class Network implements AsyncDisposable {
  readonly directory: string;
  readonly site: AgentProcess;
  readonly dps: readonly AgentProcess[];
  readonly #removesDirectory: boolean;
  #admin: AdminChannel | undefined;

  private constructor(
    directory: string,
    agents: { site: AgentProcess; dps: readonly AgentProcess[]; removesDirectory: boolean },
  ) {
    this.directory = directory;
    this.site = agents.site;
    this.dps = agents.dps;
    this.#removesDirectory = agents.removesDirectory;
  }

  /** Starts all processes and adds the DPs to the site. */
  static async start(options: NetworkOptions = {}): Promise<Network> {
    const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'waybill-')));
    const dpIds = options.distributionPoints ?? ['PS1DP1', 'PS1DP2'];
    await issueDevelopmentHierarchy({
      directory: join(directory, 'certs'),
      sites: ['PS1'],
      distributionPoints: [...dpIds],
      admins: [{ name: 'admin', role: 'full' }],
    });
    const site = await agentOf(directory, 'PS1', 'site-server', { siteCode: 'PS1', ...options.site });
    const dps = await Promise.all(
      dpIds.map((dpId) => {
        const own = typeof options.dp === 'function' ? options.dp(dpId) : options.dp;
        return agentOf(directory, dpId, 'dp-agent', { dpId, siteCode: 'PS1', ...own });
      }),
    );
    const removesDirectory = options.directory === undefined;
    const network = new Network(directory, { site, dps, removesDirectory });
    await Promise.all([site, ...dps].map((agent) => agent.start()));
    const admin = await network.admin();
    for (const dp of dps) {
      const settings = { dpId: dp.name, address: dp.address };
      await admin.unary('AddDistributionPoint', settings, { deadlineMs: 10_000 });
    }
    return network;
  }

  /** The Admin conversation with the site, as a full administrator. */
  async admin(): Promise<AdminChannel> {
    this.#admin ??= new RpcChannel({
      conversation: 'Admin',
      address: this.site.address,
      expected: (peer) => peer.kind === 'site',
      expectedText: 'a site server',
      credentials: await readPeerCredentials(this.certificateFiles('admin')),
    });
    return this.#admin;
  }

  /** A DP by its name. */
  dp(dpId: string): AgentProcess {
    const found = this.dps.find(({ name }) => name === dpId);
    if (!found) throw new Error(`no DP ${dpId}`);
    return found;
  }

  /** Data directory of an agent. */
  dataDirectoryOf(name: string): string {
    return join(this.directory, name);
  }

  certificateFiles(name: string) {
    return certificateFilesIn(join(this.directory, 'certs'), name);
  }

  /** Command line options of `waybill` for this site. */
  get cliOptions(): string[] {
    const { caFile, certificateFile, keyFile } = this.certificateFiles('admin');
    const server = ['--server', this.site.address];
    return [...server, '--ca', caFile, '--cert', certificateFile, '--key', keyFile];
  }

  async stop(): Promise<void> {
    this.#admin?.close();
    await Promise.all([this.site, ...this.dps].map((agent) => agent.kill()));
    if (this.#removesDirectory) await rm(this.directory, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

function certificateFilesIn(directory: string, name: string) {
  return {
    caFile: join(directory, 'ca.pem'),
    certificateFile: join(directory, `${name}.pem`),
    keyFile: join(directory, `${name}.key`),
  };
}

async function agentOf(
  directory: string,
  name: string,
  role: 'site-server' | 'dp-agent',
  settings: Record<string, unknown>,
): Promise<AgentProcess> {
  const dataDirectory = join(directory, name);
  await mkdir(dataDirectory, { recursive: true });
  const configPath = join(directory, `${name}.yaml`);
  const certificates = certificateFilesIn(join(directory, 'certs'), name);
  const config = { listen: '127.0.0.1:0', dataDirectory, certificates, ...settings };
  await writeFile(configPath, stringify(config));
  const program = join(dist, role, 'main.js');
  const logPath = join(directory, `${name}.stdout.log`);
  return new AgentProcess({ name, program, configPath, logPath });
}
