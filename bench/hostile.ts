import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { issueDevelopmentHierarchy } from '../certs/development-hierarchy.ts';
import { Network } from '../integration/network.ts';
import { peakRssBytes, resetPeakRss } from '../integration/process-figures.ts';
import type { AttackedPaths } from '../integration/raw-http2.ts';
import type { PeerIdentity } from '../shared/domain/peer-identity.ts';
import type { PeerCredentialFiles } from '../shared/rpc/peer-credentials.ts';
import { makeBigFile } from './data-sets.ts';
import { median } from './measure.ts';
import { distribute, publishPackage } from './waybill-run.ts';

const dpId = 'PS1DP1';
const packageBytes = 64 * 1024 * 1024;
const runMs = 60_000;
/** Before and after each: what the disk gives changes. */
const quietMs = 15_000;
/** What is wanted: others keep this part of their rate. */
const keptMin = 0.8;

interface HostilePeer {
  readonly service: string;
  readonly at: 'site' | 'dp';
  readonly as: PeerIdentity;
  readonly paths: AttackedPaths;
}

const method = (service: string, streamed: string, single: string): AttackedPaths => ({
  streamed: `/waybill.v1.${service}/${streamed}`,
  single: `/waybill.v1.${service}/${single}`,
});
const reader: PeerIdentity = { kind: 'admin', role: 'read-only', name: 'rita' };
const client: PeerIdentity = { kind: 'client', name: 'pc1' };
const otherDp: PeerIdentity = { kind: 'dp', dpId: 'PS1DP9' };
const otherSite: PeerIdentity = { kind: 'site', siteCode: 'PS2' };

/** One on each service, with the certificate that gets furthest there. */
const peers: readonly HostilePeer[] = [
  { service: 'Admin', at: 'site', as: reader, paths: method('Admin', 'ListJobs', 'ListPackages') },
  { service: 'Content', at: 'site', as: client, paths: method('Content', 'Fetch', 'GetManifest') },
  {
    ...{ service: 'ManagementPoint', at: 'site', as: otherDp },
    paths: method('ManagementPoint', 'ReportState', 'LocateContent'),
  },
  {
    ...{ service: 'Replication', at: 'site', as: otherSite },
    paths: method('Replication', 'Synchronise', 'Synchronise'),
  },
  {
    ...{ service: 'SiteTransfer', at: 'site', as: otherSite },
    paths: method('SiteTransfer', 'PutFile', 'OfferFile'),
  },
  { service: 'Content', at: 'dp', as: otherDp, paths: method('Content', 'Fetch', 'GetManifest') },
  {
    ...{ service: 'DistributionPoint', at: 'dp', as: otherDp },
    paths: method('DistributionPoint', 'PutContent', 'Check'),
  },
];

/** What honest peers keep of their rate while somebody attacks each service, for a minute each. */
export async function measureHostile(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'waybill-bench-'));
  const network = await Network.start({
    directory: join(directory, 'network'),
    distributionPoints: [dpId],
  });
  try {
    const ground = new HostileGround(network, directory);
    await ground.measure();
  } finally {
    await network.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

class HostileGround {
  readonly #network: Network;
  readonly #directory: string;
  #packageCount = 0;

  constructor(network: Network, directory: string) {
    this.#network = network;
    this.#directory = directory;
  }

  async measure(): Promise<void> {
    const rows: Record<string, Record<string, string>> = {};
    await this.#rate(quietMs);
    const quiet = [await this.#rate(quietMs)];
    for (const peer of peers) {
      for (const how of peer.service === 'Content' ? (['with', 'without'] as const) : ['with']) {
        for (const pid of this.#pids) resetPeakRss(pid);
        const attacked = await this.#attacked(peer, how);
        const rss = this.#pids.map((pid) => (peakRssBytes(pid) / 1024 ** 2).toFixed(0)).join(' + ');
        // The disk is not equally quick all the time: what it gives now is what is compared with.
        quiet.push(await this.#rate(quietMs));
        const kept = attacked / median(quiet.slice(-2));
        const title = `${peer.service} of the ${peer.at}, ${how} a certificate`;
        const isEnough = kept >= keptMin;
        rows[title] = {
          'MB/s alone': median(quiet.slice(-2)).toFixed(0),
          'MB/s attacked': attacked.toFixed(0),
          kept: `${kept.toFixed(2)}${isEnough ? '' : ' (too little)'}`,
          'RSS MiB site + DP': rss,
        };
        console.log(`${title}: ${Object.values(rows[title]).join(', ')}`);
      }
    }
    console.log(`\nHostile peers: one for ${runMs / 1_000} s on each service, pushes beside it`);
    console.table(rows);
  }

  /** Content that comes to the DP, in MB/s, package after package. */
  async #rate(ms: number): Promise<number> {
    const admin = await this.#network.admin();
    const prepared = await this.#publish();
    let waiting = prepared;
    let transferMs = 0;
    let bytes = 0;
    const untilMs = performance.now() + ms;
    while (performance.now() < untilMs) {
      const startedMs = performance.now();
      await distribute(admin, waiting, dpId);
      transferMs += performance.now() - startedMs;
      bytes += packageBytes;
      waiting = await this.#publish();
    }
    return bytes / 1_000 / transferMs;
  }

  async #publish(): Promise<string> {
    this.#packageCount += 1;
    const source = join(this.#directory, `source ${this.#packageCount}`);
    await makeBigFile(source, packageBytes, this.#packageCount);
    const packageId = await publishPackage(await this.#network.admin(), source);
    await rm(source, { recursive: true, force: true });
    return packageId;
  }

  async #attacked(peer: HostilePeer, how: string): Promise<number> {
    const { site } = this.#network;
    const { address } = peer.at === 'site' ? site : this.#network.dp(dpId);
    const { caFile, certificateFile, keyFile } = await this.#certificateOf(peer.as);
    const { streamed, single } = peer.paths;
    const program = fileURLToPath(new URL('hostile-attacker.js', import.meta.url));
    const words = [address, caFile, certificateFile, keyFile, streamed, single, how];
    const attacker = spawn(process.execPath, [program, ...words], { stdio: 'inherit' });
    try {
      return await this.#rate(runMs);
    } finally {
      attacker.kill('SIGKILL');
    }
  }

  async #certificateOf(identity: PeerIdentity): Promise<PeerCredentialFiles> {
    const directory = join(this.#network.directory, 'certs');
    const [files] = await issueDevelopmentHierarchy({ directory, identities: [identity] });
    if (!files) throw new Error('no certificate was made');
    return files;
  }

  get #pids(): readonly number[] {
    return [this.#network.site.pid ?? 0, this.#network.dp(dpId).pid ?? 0];
  }
}
