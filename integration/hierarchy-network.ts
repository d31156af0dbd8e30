import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SiteKind } from '../shared/domain/site.ts';
import { readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { RpcChannel } from '../shared/rpc/rpc-channel.ts';
import { Administrator } from './administrator.ts';
import { followLogs, keepLogs } from './agent-logs.ts';
import type { AgentProcess } from './agent-process.ts';
import { CountingProxy } from './counting-proxy.ts';
import { freePort } from './free-port.ts';
import type { AdminChannel } from './network.ts';
import { adminIdentity, agentOf, Certificates, dpIdentity } from './network-agents.ts';
import type { NetworkHost } from './network-hosts.ts';

/** A site of a test, with its DPs. */
export interface SiteOfTest {
  readonly siteCode: string;
  readonly kind: SiteKind;
  /** Absent at the top. */
  readonly parent?: string;
  /** Names of its standard DPs. */
  readonly standard?: readonly string[];
  /** Its pull DPs, each with the DP it fetches from. */
  readonly pull?: Readonly<Record<string, string>>;
}

export interface HierarchyNetworkOptions {
  /** Parents before their children. */
  readonly sites: readonly SiteOfTest[];
  /** A host for each agent, named as the agent; default: all on this one, on loopback. */
  readonly hosts?: ReadonlyMap<string, NetworkHost>;
  /** Where everything lies; default: a new folder for temporary files, removed at the end. */
  readonly directory?: string;
  /** Sites whose links to and from all others go by way of proxies: they can be counted and cut. */
  readonly links?: readonly string[];
  /** Merged into each site's configuration. */
  readonly site?: Record<string, unknown>;
  /** Sites that get a certificate, and no process. */
  readonly others?: readonly string[];
}

const deadlineMs = 20_000;

const kinds = {
  'central-administration': 'SITE_KIND_CENTRAL_ADMINISTRATION',
  primary: 'SITE_KIND_PRIMARY',
  secondary: 'SITE_KIND_SECONDARY',
} as const;

/** The link of one site: what goes to it, and what it sends to its parent. */
export class SiteLink {
  readonly to: CountingProxy;
  /** Absent at the top. */
  readonly from: CountingProxy | undefined;

  constructor(to: CountingProxy, from: CountingProxy | undefined) {
    this.to = to;
    this.from = from;
  }

  cut(): void {
    this.to.cut();
    this.from?.cut();
  }

  join(): void {
    this.to.join();
    this.from?.join();
  }
}

interface StartedSite extends SiteOfTest {
  readonly server: AgentProcess;
  readonly dps: readonly AgentProcess[];
}

/** A hierarchy of real processes: site servers and their DPs, certificates made for the run. */
export class HierarchyNetwork implements AsyncDisposable {
  readonly directory: string;
  readonly #certificates: Certificates;
  readonly #options: HierarchyNetworkOptions;
  readonly #sites = new Map<string, StartedSite>();
  readonly #channels = new Map<string, AdminChannel>();
  readonly #links = new Map<string, SiteLink>();

  private constructor(
    directory: string,
    options: HierarchyNetworkOptions,
    certificates: Certificates,
  ) {
    this.directory = directory;
    this.#options = options;
    this.#certificates = certificates;
  }

  /** Starts all processes, makes the sites known to each other and adds the DPs to them. */
  static async start(options: HierarchyNetworkOptions): Promise<HierarchyNetwork> {
    const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'waybill-')));
    const identities = [
      adminIdentity,
      ...options.sites.map(({ siteCode }) => ({ kind: 'site', siteCode }) as const),
      ...options.sites.flatMap(dpIdsOf).map(dpIdentity),
      ...(options.others ?? []).map((siteCode) => ({ kind: 'site', siteCode }) as const),
    ];
    const certificates = await Certificates.issue(join(directory, 'certs'), identities);
    const network = new HierarchyNetwork(directory, options, certificates);
    for (const site of options.sites) await network.#startSite(site);
    for (const site of options.sites) await network.#addDistributionPoints(site);
    return network;
  }

  get sites(): readonly StartedSite[] {
    return [...this.#sites.values()];
  }

  /** A site server or a DP, by its name. */
  agent(name: string): AgentProcess {
    for (const { siteCode, server, dps } of this.#sites.values()) {
      const found = siteCode === name ? server : dps.find((dp) => dp.name === name);
      if (found) return found;
    }
    throw new Error(`no agent ${name}`);
  }

  /** A DP by its name. */
  dp(dpId: string): AgentProcess {
    return this.agent(dpId);
  }

  link(siteCode: string): SiteLink {
    const found = this.#links.get(siteCode);
    if (!found) throw new Error(`site ${siteCode} has no link of its own`);
    return found;
  }

  dataDirectoryOf(name: string): string {
    return join(this.directory, name);
  }

  get certificates(): Certificates {
    return this.#certificates;
  }

  /** The Admin conversation with a site, as a full administrator. */
  async admin(siteCode: string): Promise<AdminChannel> {
    const known = this.#channels.get(siteCode);
    if (known) return known;
    const channel = new RpcChannel({
      conversation: 'Admin',
      address: this.agent(siteCode).address,
      expected: (peer) => peer.kind === 'site' && peer.siteCode === siteCode,
      expectedText: `site ${siteCode}`,
      credentials: await readPeerCredentials(this.#certificates.filesOf(adminIdentity)),
    });
    this.#channels.set(siteCode, channel);
    return channel;
  }

  /** Does at a site what an administrator does there. */
  administrator(siteCode: string): Promise<Administrator> {
    return Administrator.of({ admin: () => this.admin(siteCode) });
  }

  /** Command line options of `waybill` for a site. */
  cliOptionsOf(siteCode: string): string[] {
    const { caFile, certificateFile, keyFile } = this.#certificates.filesOf(adminIdentity);
    const server = ['--server', this.agent(siteCode).address];
    return [...server, '--ca', caFile, '--cert', certificateFile, '--key', keyFile];
  }

  /** The site crashes, loses its state store and comes back. */
  async loseStateStore(siteCode: string, { withLibrary = false } = {}): Promise<void> {
    await this.agent(siteCode).kill();
    const lost = ['state-store', ...(withLibrary ? ['content-library'] : [])];
    for (const name of lost) {
      await rm(join(this.dataDirectoryOf(siteCode), name), { recursive: true });
    }
    await this.agent(siteCode).start();
  }

  async stop(): Promise<void> {
    for (const channel of this.#channels.values()) channel.close();
    await Promise.all(this.#agents.map((agent) => agent.kill()));
    for (const { to, from } of this.#links.values()) {
      await to[Symbol.asyncDispose]();
      await from?.[Symbol.asyncDispose]();
    }
    keepLogs(this.#agents.map(({ logPath }) => logPath));
    if (this.#options.directory === undefined) {
      await rm(this.directory, { recursive: true, force: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** What an administrator does for a new site: makes it known at its parent, then starts it. */
  async #startSite(site: SiteOfTest): Promise<void> {
    const { siteCode, kind, parent = '' } = site;
    const host = this.#options.hosts?.get(siteCode);
    const listen = host ? `${host.address}:8530` : `127.0.0.1:${await freePort()}`;
    const { address, parentAddress } = await this.#waysOf(site, listen);
    if (parent) {
      const settings = { siteCode, kind: kinds[kind], parentSiteCode: parent, address };
      const admin = await this.admin(parent);
      await admin.unary('addSite', settings, { deadlineMs });
      // Else the site would find its parent without the link, by what the parent says of itself.
      const route = { fromSiteCode: siteCode, toSiteCode: parent, addresses: [parentAddress] };
      await admin.unary('setRoute', route, { deadlineMs });
    }
    const above = parent ? { siteCode: parent, address: parentAddress } : undefined;
    const settings = { siteCode, kind, listen, address, ...this.#options.site };
    const identity = { kind: 'site', siteCode } as const;
    const server = await this.#agent(identity, { ...settings, ...(above && { parent: above }) });
    const dps = await Promise.all(
      dpIdsOf(site).map((dpId) => this.#agent(dpIdentity(dpId), { dpId, siteCode })),
    );
    this.#sites.set(siteCode, { ...site, server, dps });
    followLogs([server, ...dps].map(({ logPath }) => logPath));
    await Promise.all([server, ...dps].map((agent) => agent.start()));
  }

  /** Where others reach the site, and where it reaches its parent. */
  async #waysOf(
    { siteCode, parent }: SiteOfTest,
    listen: string,
  ): Promise<{ address: string; parentAddress: string }> {
    const parentAddress = parent ? this.agent(parent).address : '';
    if (!this.#options.links?.includes(siteCode)) return { address: listen, parentAddress };
    const to = await CountingProxy.start(listen);
    const from = parent ? await CountingProxy.start(parentAddress) : undefined;
    this.#links.set(siteCode, new SiteLink(to, from));
    return { address: to.address, parentAddress: from?.address ?? '' };
  }

  #agent(
    identity: Parameters<typeof agentOf>[2]['identity'],
    settings: Record<string, unknown>,
  ): Promise<AgentProcess> {
    const name = identity.kind === 'site' ? identity.siteCode : identity.dpId;
    const host = this.#options.hosts?.get(name);
    return agentOf(this.#certificates, this.directory, { identity, host, settings });
  }

  async #addDistributionPoints({ siteCode, pull = {} }: SiteOfTest): Promise<void> {
    const site = this.#sites.get(siteCode);
    const admin = await this.admin(siteCode);
    for (const { name: dpId, address } of site?.dps ?? []) {
      await admin.unary('addDistributionPoint', { dpId, address }, { deadlineMs });
    }
    for (const [dpId, source] of Object.entries(pull)) {
      const kind = 'DISTRIBUTION_POINT_KIND_PULL';
      const sources = [{ dpId: source, rank: 1 }];
      await admin.unary('setDistributionPoint', { dpId, kind, pull: { sources } }, { deadlineMs });
    }
  }

  get #agents(): AgentProcess[] {
    return this.sites.flatMap(({ server, dps }) => [server, ...dps]);
  }
}

/** Names of all DPs of a site. */
export function dpIdsOf({ standard = [], pull = {} }: SiteOfTest): string[] {
  return [...standard, ...Object.keys(pull)];
}
