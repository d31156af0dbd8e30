import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { PeerCredentialFiles } from '../../shared/rpc/peer-credentials.ts';
import type { AgentProcess } from '../agent-process.ts';
import { programs } from '../programs.ts';
import { treeDifference } from '../tree-difference.ts';
import { copyTree, requireDirectory } from './demo-source.ts';

const execute = promisify(execFile);
const installed = fileURLToPath(new URL('../../../node_modules', import.meta.url));

export interface DemoGroundOptions {
  readonly source: string | undefined;
  readonly keep: boolean;
  readonly json: boolean;
}

/** What is left running with --keep, and how to speak to it. */
export interface KeptDemo {
  readonly agents: readonly AgentProcess[];
  /** The site whose commands are printed. */
  readonly site: AgentProcess;
  /** An administrator's. */
  readonly files: PeerCredentialFiles;
}

/** What every demo stands on: its folder, its source, its voice, and that nothing is left behind. */
export class DemoGround {
  readonly #options: DemoGroundOptions;
  #directory = '';
  #copying: Promise<void> = Promise.resolve();
  #isStopping = false;
  #isKept = false;
  #network: { stop(): Promise<void> } | undefined;

  constructor(options: DemoGroundOptions) {
    this.#options = options;
  }

  /** The folder all lies in, once the source was copied. */
  get directory(): string {
    return this.#directory;
  }

  /** Makes the folder and a copy of the source in it. @returns the copy */
  async copySource(): Promise<string> {
    const original = resolve(this.#options.source ?? installed);
    await requireDirectory(original);
    this.#directory = await mkdtemp(join(tmpdir(), 'waybill-demo-'));
    const source = join(this.#directory, 'source');
    this.say(`Working in ${this.#directory}`);
    this.say(`Source: a copy of ${original}, so that the demo may change it`);
    this.#copying = copyTree(original, source);
    await this.#copying;
    if (this.#isStopping) throw new Error('interrupted');
    return source;
  }

  /** From now on these processes end with the demo. */
  runs<N extends { stop(): Promise<void> }>(network: N): N {
    this.#network = network;
    return network;
  }

  say(text: string): void {
    if (!this.#options.json) process.stdout.write(`${text}\n`);
  }

  /** Runs a command line as an administrator would, with its progress bars. */
  async waybill(words: readonly string[], options: readonly string[]): Promise<void> {
    const stdio = this.#options.json ? 'ignore' : 'inherit';
    this.say(`\n$ waybill ${words.join(' ')}`);
    const child = spawn(process.execPath, [programs.waybill, ...words, ...options], {
      stdio: ['ignore', stdio, 'inherit'],
    });
    const code = await new Promise<number | null>((done) => child.once('exit', done));
    if (code !== 0) throw new Error(`waybill ${words.join(' ')} ended with ${code}`);
  }

  /** Takes the package out of the DP's library and compares it with the source. */
  async isEqual(packageId: string, dp: AgentProcess, source: string): Promise<boolean> {
    const out = join(this.#directory, `extracted-${dp.name}`);
    const command = ['extract', packageId, '--config', dp.configPath, '--out', out];
    await execute(process.execPath, [programs.waybillDp, ...command]);
    const difference = await treeDifference(source, out);
    await rm(out, { recursive: true, force: true });
    if (difference) this.say(difference);
    return difference === '';
  }

  /** Says how to go on with --keep, and the result with --json. */
  finish(result: unknown, kept: KeptDemo): void {
    if (this.#options.keep) this.#keep(kept);
    if (this.#options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
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

  #keep({ agents, site, files }: KeptDemo): void {
    this.#isKept = true;
    const pids = agents.map(({ pid }) => pid).join(' ');
    this.say('\nIt is left running. Go on with:\n');
    this.say(`  export WAYBILL_SERVER=${site.address} WAYBILL_CA=${files.caFile}`);
    this.say(`  export WAYBILL_CERT=${files.certificateFile}`);
    this.say(`  export WAYBILL_KEY=${files.keyFile}`);
    this.say(`  alias waybill='node ${programs.waybill}'`);
    this.say(`  alias waybill-site='node ${programs.waybillSite}'`);
    this.say(`  alias waybill-dp='node ${programs.waybillDp}'`);
    for (const words of ['status', 'jobs --history', 'messages', 'jobs watch', '--help']) {
      this.say(`  waybill ${words}`);
    }
    this.say(`\nStop it with:\n\n  kill ${pids}; rm -r ${this.#directory}`);
    for (const agent of agents) agent.leaveRunning();
  }
}

export function toCount(value: number): string {
  return value.toLocaleString('en-US');
}
