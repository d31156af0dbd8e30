import { execFile, spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { appendFile, cp, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { adminIdentity, Network } from '../network.ts';
import { treeDifference } from '../tree-difference.ts';

const execute = promisify(execFile);
const dist = fileURLToPath(new URL('../..', import.meta.url));
const waybill = join(dist, 'site-server/admin-cli/main.js');
const waybillDp = join(dist, 'dp-agent/main.js');

export interface DemoOptions {
  readonly source: string | undefined;
  /** Standard DPs, and pull DPs: the first fetches from a standard one, each other from the one before. */
  readonly dps: number;
  readonly pull: number;
  readonly keep: boolean;
  readonly json: boolean;
}

/** What the demo says in the end with --json. */
interface DemoResult {
  readonly packageId: string;
  readonly files: number;
  readonly bytes: number;
  readonly dps: readonly DpResult[];
  readonly update: {
    readonly files: number;
    readonly bytes: number;
    readonly changedBytes: number;
    readonly dps: readonly DpResult[];
  };
}

interface DpResult {
  readonly id: string;
  readonly kind: 'standard' | 'pull';
  readonly state: string;
  /** Compared byte for byte, modes and times included. */
  readonly verified: boolean;
  readonly bytesSent: number;
  readonly seconds: number;
}

export class Demo {
  readonly #options: DemoOptions;
  #directory = '';
  #copying: Promise<void> = Promise.resolve();
  #isStopping = false;
  #network: Network | undefined;
  #pullIds: readonly string[] = [];
  #isKept = false;

  constructor(options: DemoOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const original = resolve(this.#options.source ?? join(dist, '..', 'node_modules'));
    await requireDirectory(original);
    this.#directory = await mkdtemp(join(tmpdir(), 'waybill-demo-'));
    const source = join(this.#directory, 'source');
    this.#say(`Working in ${this.#directory}`);
    this.#say(`Source: a copy of ${original}, so that the demo may change it`);
    this.#copying = copyTree(original, source);
    await this.#copying;
    await this.#startNetwork();
    const packageId = await this.#create(source);
    const before = await this.#package(packageId);
    const first = await this.#distribute(packageId, source);
    const changedBytes = await changeSource(source);
    const second = await this.#update(packageId, source, changedBytes);
    const update = { ...(await this.#package(packageId)), changedBytes, dps: second };
    const result = { packageId, ...before, dps: first, update };
    this.#finish(result);
  }

  async stop(): Promise<void> {
    if (this.#isKept || this.#isStopping) return;
    this.#isStopping = true;
    // What is still being copied cannot be removed yet.
    await this.#copying.catch(() => {});
    await this.#network?.stop();
    if (!this.#directory) return;
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }

  async #startNetwork(): Promise<void> {
    const { dps: standardCount, pull: pullCount } = this.#options;
    const nameOf = (index: number) => `PS1DP${index + 1}`;
    const distributionPoints = Array.from({ length: standardCount + pullCount }, (_, i) =>
      nameOf(i),
    );
    this.#pullIds = distributionPoints.slice(standardCount);
    const directory = join(this.#directory, 'hosts');
    this.#network = await Network.start({ directory, distributionPoints });
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
    await this.#installed(packageId, 2);
    await this.#waybill(['status', packageId]);
    const results = await this.#results(packageId, 2, source);
    for (const { id, bytesSent } of results) {
      this.#say(`${id}: ${toCount(bytesSent)} content bytes travelled`);
      if (bytesSent > changedBytes) throw new Error(`${id} was sent more than what changed`);
    }
    return results;
  }

  /** Resolves when every DP has this version. */
  async #installed(packageId: string, version: number): Promise<void> {
    const admin = await this.#running.admin();
    const waiting = new Set(this.#running.dps.map(({ name }) => name));
    for await (const one of admin.serverStream('watchPackageStatus', { packageId }, {})) {
      if (one.state === 'PACKAGE_STATUS_STATE_INSTALL_FAILED') throw new Error(one.reason);
      if (one.installedVersion >= version) waiting.delete(one.dpId);
      if (waiting.size === 0) return;
    }
  }

  async #results(packageId: string, version: number, source: string): Promise<DpResult[]> {
    const results: DpResult[] = [];
    for (const { name } of this.#running.dps) {
      const job = await this.#jobOf(packageId, name, version);
      const verified = await this.#isEqual(packageId, name, source);
      this.#say(`${name}: version ${version} is ${verified ? 'equal byte for byte' : 'DIFFERENT'}`);
      const kind = this.#pullIds.includes(name) ? 'pull' : 'standard';
      results.push({ id: name, kind, verified, ...job });
    }
    if (results.some(({ verified }) => !verified)) throw new Error('a distribution point differs');
    return results;
  }

  async #jobOf(packageId: string, dpId: string, sourceVersion: number) {
    const admin = await this.#running.admin();
    const filter = { packageId, dpId, history: true };
    for await (const job of admin.serverStream('listJobs', filter, {})) {
      if (job.sourceVersion !== sourceVersion) continue;
      const seconds = (Number(job.endedAtMs) - Number(job.startedAtMs)) / 1000;
      const state = job.state === 'JOB_STATE_COMPLETE' ? 'installed' : job.state;
      return { state, bytesSent: Number(job.bytesSent), seconds };
    }
    throw new Error(`${dpId} has no job for version ${sourceVersion}`);
  }

  /** Takes the package out of the DP's library and compares it with the source. */
  async #isEqual(packageId: string, dpId: string, source: string): Promise<boolean> {
    const out = join(this.#directory, `extracted-${dpId}`);
    const { configPath } = this.#running.dp(dpId);
    const command = ['extract', packageId, '--config', configPath, '--out', out];
    await execute(process.execPath, [waybillDp, ...command]);
    const difference = await treeDifference(source, out);
    await rm(out, { recursive: true, force: true });
    if (difference) this.#say(difference);
    return difference === '';
  }

  async #package(packageId: string): Promise<{ files: number; bytes: number }> {
    const admin = await this.#running.admin();
    const found = await admin.unary('getPackage', { packageId }, { deadlineMs: 10_000 });
    return { files: Number(found.fileCount), bytes: Number(found.sizeBytes) };
  }

  #finish(result: DemoResult): void {
    this.#say(
      `\nDone: ${toCount(result.files)} files, ${toCount(result.bytes)} bytes, on ${result.dps.length} ${result.dps.length === 1 ? 'DP' : 'DPs'}.`,
    );
    if (this.#options.keep) this.#keep();
    if (this.#options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  }

  #keep(): void {
    this.#isKept = true;
    const { site, dps } = this.#running;
    const { caFile, certificateFile, keyFile } = this.#running.certificateFiles(adminIdentity);
    const pids = [site, ...dps].map(({ pid }) => pid).join(' ');
    this.#say('\nIt is left running. Go on with:\n');
    this.#say(`  export WAYBILL_SERVER=${site.address} WAYBILL_CA=${caFile}`);
    this.#say(`  export WAYBILL_CERT=${certificateFile}`);
    this.#say(`  export WAYBILL_KEY=${keyFile}`);
    this.#say(`  alias waybill='node ${waybill}'`);
    for (const words of ['status', 'jobs --history', 'messages', 'jobs watch', '--help']) {
      this.#say(`  waybill ${words}`);
    }
    this.#say(`\nStop it with:\n\n  kill ${pids}; rm -r ${this.#directory}`);
    for (const agent of [site, ...dps]) agent.leaveRunning();
  }

  /** Runs a command line as an administrator would, with its progress bars. */
  async #waybill(words: readonly string[]): Promise<void> {
    const stdio = this.#options.json ? 'ignore' : 'inherit';
    this.#say(`\n$ waybill ${words.join(' ')}`);
    const child = spawn(process.execPath, [waybill, ...words, ...this.#running.cliOptions], {
      stdio: ['ignore', stdio, 'inherit'],
    });
    const code = await new Promise<number | null>((done) => child.once('exit', done));
    if (code !== 0) throw new Error(`waybill ${words.join(' ')} ended with ${code}`);
  }

  get #running(): Network {
    if (!this.#network) throw new Error('nothing runs');
    return this.#network;
  }

  #say(text: string): void {
    if (!this.#options.json) process.stdout.write(`${text}\n`);
  }
}

async function requireDirectory(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isDirectory()) throw new Error(`--source ${path}: expected an existing directory`);
}

async function copyTree(from: string, to: string): Promise<void> {
  const mode = constants.COPYFILE_FICLONE;
  await cp(from, to, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true, mode });
}

/** Changes one file, adds one, removes one. @returns the bytes that differ */
async function changeSource(source: string): Promise<number> {
  const names = await readdir(source, { withFileTypes: true, recursive: true });
  const files = names.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  const added = Buffer.from('A file that was not there before.\n');
  await writeFile(join(source, 'added-by-the-demo.txt'), added);
  const [changed, removed] = files;
  if (!changed) return added.length;
  await appendFile(changed, '\nchanged by the demo\n');
  if (removed) await rm(removed);
  return added.length + (await stat(changed)).size;
}

function toCount(value: number): string {
  return value.toLocaleString('en-US');
}
