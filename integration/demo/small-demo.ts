import { join } from 'node:path';
import { adminIdentity, Network } from '../network.ts';
import {
  type DpResult,
  installedOn,
  jobResultOf,
  type PackageFacts,
  packageFactsOf,
} from './demo-facts.ts';
import { type DemoGround, toCount } from './demo-ground.ts';
import { changeSource } from './demo-source.ts';

export interface SmallDemoOptions {
  /** Standard DPs, and pull DPs: the first fetches from a standard one, each other from the one before. */
  readonly dps: number;
  readonly pull: number;
}

/** What the demo says in the end with --json. */
interface DemoResult extends PackageFacts {
  readonly packageId: string;
  readonly dps: readonly DpResult[];
  readonly update: PackageFacts & {
    readonly changedBytes: number;
    readonly dps: readonly DpResult[];
  };
}

/** One site and its DPs: a package is distributed, updated and compared. */
export class SmallDemo {
  readonly #ground: DemoGround;
  readonly #options: SmallDemoOptions;
  #network: Network | undefined;
  #pullIds: readonly string[] = [];

  constructor(ground: DemoGround, options: SmallDemoOptions) {
    this.#ground = ground;
    this.#options = options;
  }

  async run(): Promise<void> {
    const source = await this.#ground.copySource();
    await this.#startNetwork();
    const packageId = await this.#create(source);
    const before = await packageFactsOf(await this.#running.admin(), packageId);
    const first = await this.#distribute(packageId, source);
    const changedBytes = await changeSource(source);
    const second = await this.#update(packageId, source, changedBytes);
    const update = {
      ...(await packageFactsOf(await this.#running.admin(), packageId)),
      changedBytes,
      dps: second,
    };
    const result = { packageId, ...before, dps: first, update };
    this.#finish(result);
  }

  async #startNetwork(): Promise<void> {
    const { dps: standardCount, pull: pullCount } = this.#options;
    const nameOf = (index: number) => `PS1DP${index + 1}`;
    const distributionPoints = Array.from({ length: standardCount + pullCount }, (_, i) =>
      nameOf(i),
    );
    this.#pullIds = distributionPoints.slice(standardCount);
    const directory = join(this.#ground.directory, 'hosts');
    this.#network = this.#ground.runs(await Network.start({ directory, distributionPoints }));
    for (const [index, dpId] of this.#pullIds.entries()) {
      await this.#network.setPull(dpId, {
        sources: { [this.#pullIds[index - 1] ?? nameOf(0)]: 1 },
      });
    }
    const { site, dps } = this.#network;
    this.#say(`Site PS1 runs as process ${site.pid} at ${site.address}`);
    for (const dp of dps) this.#say(`${dp.name} runs as process ${dp.pid} at ${dp.address}`);
    await this.#waybill(['dp', 'list']);
  }

  async #create(source: string): Promise<string> {
    await this.#waybill(['package', 'create', '--name', 'Demo', '--source', source]);
    const admin = await this.#running.admin();
    for await (const { packageId } of admin.serverStream('listPackages', {}, {})) return packageId;
    throw new Error('the package was not created');
  }

  async #distribute(packageId: string, source: string): Promise<DpResult[]> {
    this.#say(
      '\n— Distribute: every file travels once to each distribution point; the site pushes to',
    );
    this.#say('  the standard ones, and pull DPs fetch for themselves, one from another');
    await this.#waybill(['package', 'distribute', packageId, '--all', '--wait']);
    return this.#results(packageId, 1, source);
  }

  async #update(packageId: string, source: string, changedBytes: number): Promise<DpResult[]> {
    this.#say(
      `\n— Update: one file changed, one new, one gone; ${toCount(changedBytes)} bytes differ`,
    );
    await this.#waybill(['package', 'update', packageId]);
    const dpIds = this.#running.dps.map(({ name }) => name);
    await installedOn(await this.#running.admin(), packageId, { dpIds, version: 2 });
    await this.#waybill(['status', packageId]);
    const results = await this.#results(packageId, 2, source);
    for (const { id, bytesSent } of results) {
      this.#say(`${id}: ${toCount(bytesSent)} content bytes travelled`);
      if (bytesSent > changedBytes) throw new Error(`${id} was sent more than what changed`);
    }
    return results;
  }

  async #results(packageId: string, version: number, source: string): Promise<DpResult[]> {
    const results: DpResult[] = [];
    for (const { name } of this.#running.dps) {
      const onItsWay = { packageId, dpId: name, sourceVersion: version };
      const job = await jobResultOf(await this.#running.admin(), onItsWay);
      const verified = await this.#ground.isEqual(packageId, this.#running.dp(name), source);
      this.#say(`${name}: version ${version} is ${verified ? 'equal byte for byte' : 'DIFFERENT'}`);
      const kind = this.#pullIds.includes(name) ? 'pull' : 'standard';
      results.push({ id: name, kind, verified, ...job });
    }
    if (results.some(({ verified }) => !verified)) throw new Error('a distribution point differs');
    return results;
  }

  #finish(result: DemoResult): void {
    this.#say(
      `\nDone: ${toCount(result.files)} files, ${toCount(result.bytes)} bytes, on ${result.dps.length} ${result.dps.length === 1 ? 'DP' : 'DPs'}.`,
    );
    const { site, dps } = this.#running;
    const files = this.#running.certificateFiles(adminIdentity);
    this.#ground.finish(result, { agents: [site, ...dps], site, files });
  }

  #waybill(words: readonly string[]): Promise<void> {
    return this.#ground.waybill(words, this.#running.cliOptions);
  }

  get #running(): Network {
    if (!this.#network) throw new Error('nothing runs');
    return this.#network;
  }

  #say(text: string): void {
    this.#ground.say(text);
  }
}
