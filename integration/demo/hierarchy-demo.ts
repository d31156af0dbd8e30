import { join } from 'node:path';
import { dpIdsOf, HierarchyNetwork, type SiteOfTest } from '../hierarchy-network.ts';
import { adminIdentity } from '../network-agents.ts';
import { writeFiles } from '../source-files.ts';
import {
  type DpResult,
  installedOn,
  jobResultOf,
  type PackageFacts,
  packageFactsOf,
} from './demo-facts.ts';
import { type DemoGround, toCount } from './demo-ground.ts';
import { changeSource } from './demo-source.ts';

const sites: readonly SiteOfTest[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  {
    ...{ siteCode: 'PS1', kind: 'primary', parent: 'CS1' },
    ...{ standard: ['PS1DP1'], pull: { PS1DP2: 'PS1DP1' } },
  },
  {
    ...{ siteCode: 'PS2', kind: 'primary', parent: 'CS1' },
    ...{ standard: ['PS2DP1'], pull: { PS2DP2: 'PS2DP1' } },
  },
  {
    ...{ siteCode: 'SS1', kind: 'secondary', parent: 'PS1' },
    ...{ standard: ['SS1DP1'], pull: { SS1DP2: 'SS1DP1' } },
  },
];
const below = sites.slice(1);
const dpIds = below.flatMap(dpIdsOf);
/** The site that is cut off for a while. */
const cutOff = 'PS2';

/** What a package did in the demo. */
interface PackageResult extends PackageFacts {
  readonly packageId: string;
  readonly sourceSite: string;
  readonly dps: readonly DpResult[];
}

/** What the demo says in the end with --json. */
interface HierarchyDemoResult extends PackageResult {
  readonly update: PackageFacts & {
    readonly changedBytes: number;
    readonly dps: readonly DpResult[];
  };
  /** The package of a primary site. */
  readonly second: PackageResult;
  /** Bytes that went to each site while the first package was distributed. */
  readonly links: readonly { readonly site: string; readonly bytes: number }[];
}

/**
 * A central site, two primaries and a secondary, each with a standard and a pull DP: packages of two
 * sites reach all of them, one is updated while a site is cut off.
 */
export class HierarchyDemo {
  readonly #ground: DemoGround;
  #network: HierarchyNetwork | undefined;

  constructor(ground: DemoGround) {
    this.#ground = ground;
  }

  async run(): Promise<void> {
    const source = await this.#ground.copySource();
    await this.#startNetwork();
    const first = await this.#distributeFromTheTop(source);
    const links = below.map(({ siteCode }) => {
      return { site: siteCode, bytes: this.#running.link(siteCode).to.forwardedBytes };
    });
    this.#sayLinks(first, links);
    const second = await this.#distributeFromBelow();
    const update = await this.#updateDuringPartition(first.packageId, source);
    await this.#waybill(['status']);
    await this.#waybill(['send', 'list', '--history']);
    this.#finish({ ...first, update, second, links });
  }

  async #startNetwork(): Promise<void> {
    const directory = join(this.#ground.directory, 'hosts');
    const links = below.map(({ siteCode }) => siteCode);
    const started = await HierarchyNetwork.start({ sites, links, directory });
    this.#network = this.#ground.runs(started);
    for (const { siteCode, server, dps } of started.sites) {
      this.#say(`Site ${siteCode} runs as process ${server.pid} at ${server.address}`);
      for (const dp of dps) this.#say(`  ${dp.name} runs as process ${dp.pid} at ${dp.address}`);
    }
    await this.#waybill(['site', 'list']);
  }

  async #distributeFromTheTop(source: string): Promise<PackageResult> {
    this.#say(
      '\n— A package of the central site, to the DPs of all sites: it travels once over the',
    );
    this.#say('  link to each site, compressed and signed, and from there to the DPs');
    for (const { siteCode } of below) this.#running.link(siteCode).to.reset();
    await this.#waybill(['package', 'create', '--name', 'Demo', '--source', source]);
    const packageId = await this.#newestPackage('CS1');
    const toAll = below.flatMap(({ siteCode }) => ['--site', siteCode]);
    await this.#waybill(['package', 'distribute', packageId, ...toAll, '--wait']);
    return this.#packageResult({ packageId, sourceSite: 'CS1', source });
  }

  async #distributeFromBelow(): Promise<PackageResult> {
    this.#say('\n— A package of primary site PS1: it reaches PS2 by way of the central site');
    const source = join(this.#ground.directory, 'second-source');
    await writeFiles(source, {
      'setup.sh': '#!/bin/sh\necho installed\n',
      'readme.txt': 'Hello.\n',
    });
    const words = ['package', 'create', '--name', 'Second', '--source', source];
    await this.#waybill(words, 'PS1');
    const packageId = await this.#newestPackage('PS1');
    const targets = dpIds.flatMap((dpId) => ['--dp', dpId]);
    await this.#waybill(['package', 'distribute', packageId, ...targets, '--wait'], 'PS1');
    return this.#packageResult({ packageId, sourceSite: 'PS1', source });
  }

  async #updateDuringPartition(packageId: string, source: string) {
    this.#say(`\n— The link to ${cutOff} is cut; the package is updated meanwhile`);
    this.#running.link(cutOff).cut();
    const changedBytes = await changeSource(source);
    await this.#waybill(['package', 'update', packageId]);
    const admin = await this.#running.admin('CS1');
    const reached = dpIds.filter((dpId) => !dpId.startsWith(cutOff));
    await installedOn(admin, packageId, { dpIds: reached, version: 2 });
    await this.#waybill(['status', packageId]);
    this.#say(`\n— The link to ${cutOff} is joined: what it missed comes by itself`);
    this.#running.link(cutOff).join();
    await installedOn(admin, packageId, { dpIds, version: 2 });
    await this.#waybill(['status', packageId]);
    const dps = await this.#results({ packageId, version: 2, source });
    return { ...(await packageFactsOf(admin, packageId)), changedBytes, dps };
  }

  async #newestPackage(siteCode: string): Promise<string> {
    const admin = await this.#running.admin(siteCode);
    let newest = '';
    for await (const { packageId, sourceSiteCode } of admin.serverStream('listPackages', {}, {})) {
      if (sourceSiteCode === siteCode) newest = packageId;
    }
    return newest;
  }

  async #packageResult(of: {
    packageId: string;
    sourceSite: string;
    source: string;
  }): Promise<PackageResult> {
    const { packageId, sourceSite, source } = of;
    const admin = await this.#running.admin('CS1');
    const dps = await this.#results({ packageId, version: 1, source });
    return { packageId, sourceSite, ...(await packageFactsOf(admin, packageId)), dps };
  }

  async #results(of: { packageId: string; version: number; source: string }): Promise<DpResult[]> {
    const { packageId, version, source } = of;
    const results: DpResult[] = [];
    for (const site of below) {
      const admin = await this.#running.admin(site.siteCode);
      for (const id of dpIdsOf(site)) {
        const job = await jobResultOf(admin, { packageId, dpId: id, sourceVersion: version });
        const verified = await this.#ground.isEqual(packageId, this.#running.dp(id), source);
        this.#say(`${id}: version ${version} is ${verified ? 'equal byte for byte' : 'DIFFERENT'}`);
        const kind = site.pull && id in site.pull ? 'pull' : 'standard';
        results.push({ id, kind, verified, ...job });
      }
    }
    if (results.some(({ verified }) => !verified)) throw new Error('a distribution point differs');
    return results;
  }

  #sayLinks({ bytes }: PackageFacts, links: HierarchyDemoResult['links']): void {
    for (const link of links) {
      const share = ((100 * link.bytes) / bytes).toFixed(0);
      this.#say(`To ${link.site} went ${toCount(link.bytes)} bytes, ${share} % of the package`);
    }
  }

  #finish(result: HierarchyDemoResult): void {
    const count = `${toCount(result.files)} files, ${toCount(result.bytes)} bytes`;
    this.#say(`\nDone: ${count}, on ${dpIds.length} DPs of ${below.length} sites.`);
    const { sites: started, certificates } = this.#running;
    const agents = started.flatMap(({ server, dps }) => [server, ...dps]);
    const kept = { agents, site: this.#running.agent('CS1') };
    this.#ground.finish(result, { ...kept, files: certificates.filesOf(adminIdentity) });
  }

  #waybill(words: readonly string[], siteCode = 'CS1'): Promise<void> {
    return this.#ground.waybill(words, this.#running.cliOptionsOf(siteCode));
  }

  get #running(): HierarchyNetwork {
    if (!this.#network) throw new Error('nothing runs');
    return this.#network;
  }

  #say(text: string): void {
    this.#ground.say(text);
  }
}
