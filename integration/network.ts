import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PeerIdentity } from '../shared/domain/peer-identity.ts';
import { type PeerCredentialFiles, readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { RpcChannel } from '../shared/rpc/rpc-channel.ts';
import { followLogs, keepLogs } from './agent-logs.ts';
import type { AgentProcess } from './agent-process.ts';
import { adminIdentity, agentOf, Certificates, dpIdentity } from './network-agents.ts';
import type { NetworkHost } from './network-hosts.ts';

export { adminIdentity };

const siteIdentity = { kind: 'site', siteCode: 'PS1' } as const;

export interface NetworkOptions {
  /** Names of the DPs; default: PS1DP1 and PS1DP2. */
  readonly distributionPoints?: readonly string[];
  /** Clients that get a certificate. */
  readonly clients?: readonly string[];
  /** More DPs that get a certificate, and no process. */
  readonly others?: readonly string[];
  /** The DPs of these that fetch for themselves, and from where. */
  readonly pull?: Readonly<Record<string, PullOfDistributionPoint>>;
  /** A host for each agent, named as the agent; default: all on this one, on loopback. */
  readonly hosts?: ReadonlyMap<string, NetworkHost>;
  /** Where everything lies; default: a new folder for temporary files, removed at the end. */
  readonly directory?: string;
  /** Merged into the site's configuration. */
  readonly site?: Record<string, unknown>;
  /** Set for each agent's process, by its name. */
  readonly environment?: (name: string) => Readonly<Record<string, string>>;
  /** Merged into each DP's configuration. */
  readonly dp?: Record<string, unknown> | ((dpId: string) => Record<string, unknown>);
}

/** How a pull DP of a test gets its content. */
export interface PullOfDistributionPoint {
  /** Source DPs with their ranks. */
  readonly sources?: Readonly<Record<string, number>>;
  readonly allowFallback?: boolean;
  readonly packagesMax?: number;
}

export type AdminChannel = RpcChannel<'Admin'>;

/** A small site of real processes: one site server, its DPs, certificates made for the run. */
export class Network implements AsyncDisposable {
  readonly directory: string;
  readonly site: AgentProcess;
  readonly dps: readonly AgentProcess[];
  readonly #removesDirectory: boolean;
  readonly #certificates: Certificates;
  #admin: AdminChannel | undefined;

  private constructor(
    directory: string,
    parts: {
      site: AgentProcess;
      dps: readonly AgentProcess[];
      certificates: Certificates;
      removesDirectory: boolean;
    },
  ) {
    this.directory = directory;
    this.site = parts.site;
    this.dps = parts.dps;
    this.#certificates = parts.certificates;
    this.#removesDirectory = parts.removesDirectory;
  }

  /** Starts all processes and adds the DPs to the site. */
  static async start(options: NetworkOptions = {}): Promise<Network> {
    const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'waybill-')));
    const dpIds = options.distributionPoints ?? ['PS1DP1', 'PS1DP2'];
    const names = [...dpIds, ...(options.others ?? [])];
    const clients = (options.clients ?? []).map((name) => ({ kind: 'client', name }) as const);
    const identities = [siteIdentity, adminIdentity, ...clients, ...names.map(dpIdentity)];
    const certificates = await Certificates.issue(join(directory, 'certs'), identities);
    const hostOf = (name: string) => options.hosts?.get(name);
    const site = await agentOf(certificates, directory, {
      identity: siteIdentity,
      host: hostOf('PS1'),
      settings: { siteCode: 'PS1', ...options.site },
      environment: options.environment?.('PS1'),
    });
    const dps = await Promise.all(
      dpIds.map((dpId) => {
        const own = typeof options.dp === 'function' ? options.dp(dpId) : options.dp;
        return agentOf(certificates, directory, {
          identity: dpIdentity(dpId),
          host: hostOf(dpId),
          settings: { dpId, siteCode: 'PS1', ...own },
          environment: options.environment?.(dpId),
        });
      }),
    );
    const removesDirectory = options.directory === undefined;
    const network = new Network(directory, { site, dps, certificates, removesDirectory });
    followLogs(network.#logPaths);
    await Promise.all([site, ...dps].map((agent) => agent.start()));
    for (const dp of dps) await network.#addToSite(dp);
    for (const [dpId, pull] of Object.entries(options.pull ?? {})) {
      await network.setPull(dpId, pull);
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
      credentials: await readPeerCredentials(this.certificateFiles(adminIdentity)),
    });
    return this.#admin;
  }

  /** From now on the DP fetches for itself. */
  async setPull(dpId: string, pull: PullOfDistributionPoint): Promise<void> {
    const sources = Object.entries(pull.sources ?? {}).map(([id, rank]) => ({ dpId: id, rank }));
    const { allowFallback = false, packagesMax = 0 } = pull;
    const settings = { sources, allowFallback, packagesMax };
    const kind = 'DISTRIBUTION_POINT_KIND_PULL';
    const admin = await this.admin();
    await admin.unary(
      'setDistributionPoint',
      { dpId, kind, pull: settings },
      { deadlineMs: 10_000 },
    );
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

  certificateFiles(identity: PeerIdentity): PeerCredentialFiles {
    return this.#certificates.filesOf(identity);
  }

  /** Command line options of `waybill` for this site. */
  get cliOptions(): string[] {
    const { caFile, certificateFile, keyFile } = this.certificateFiles(adminIdentity);
    const server = ['--server', this.site.address];
    return [...server, '--ca', caFile, '--cert', certificateFile, '--key', keyFile];
  }

  async stop(): Promise<void> {
    this.#admin?.close();
    await Promise.all([this.site, ...this.dps].map((agent) => agent.kill()));
    keepLogs(this.#logPaths);
    if (this.#removesDirectory) await rm(this.directory, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #addToSite(dp: AgentProcess): Promise<void> {
    const admin = await this.admin();
    const settings = { dpId: dp.name, address: dp.address };
    await admin.unary('addDistributionPoint', settings, { deadlineMs: 10_000 });
  }

  get #logPaths(): string[] {
    return [this.site, ...this.dps].map(({ logPath }) => logPath);
  }
}
