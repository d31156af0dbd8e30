import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { RpcChannel } from '../shared/rpc/rpc-channel.ts';
import { followLogs, keepLogs } from './agent-logs.ts';
import { AgentProcess } from './agent-process.ts';
import { freePort } from './free-port.ts';
import type { AdminChannel } from './network.ts';
import { type ProgramEnd, programs, runProgram } from './programs.ts';

/** How often what cannot be watched is looked at, and after how long a test gives up. */
const lookMs = 100;
const waitMsMax = 60_000;

/** A command that a site printed for a new machine, and the token that it asks for. */
export interface PrintedCommand {
  readonly command: string;
  readonly token: string;
  /** host:port of the enrollment port. */
  readonly server: string;
}

/**
 * A hierarchy of real processes that began with nothing: its top was set up by `waybill-site init`, everybody
 * else is enrolled as an administrator would do it. Each person has a home of his own.
 */
export class EnrolledHierarchy implements AsyncDisposable {
  readonly directory: string;
  readonly #agents = new Map<string, AgentProcess>();
  readonly #channels: AdminChannel[] = [];

  readonly #environment: Readonly<Record<string, string>>;

  private constructor(directory: string, environment: Readonly<Record<string, string>>) {
    this.directory = directory;
    this.#environment = environment;
  }

  /**
   * Sets the top up and starts it; `alice` administers it.
   *
   * @param environment set for all agents, and for `waybill`
   */
  static async start(
    siteCode: string,
    kind: 'central-administration' | 'primary' = 'primary',
    environment: Readonly<Record<string, string>> = {},
  ): Promise<EnrolledHierarchy> {
    const directory = await mkdtemp(join(tmpdir(), 'waybill-'));
    const hierarchy = new EnrolledHierarchy(directory, environment);
    const listen = `127.0.0.1:${await freePort()}`;
    const enrollment = `127.0.0.1:${await freePort()}`;
    const { home } = await hierarchy.person('alice');
    const end = await runProgram(
      programs.waybillSite,
      [
        ...['init', '--site', siteCode, '--kind', kind, '--admin', 'alice'],
        ...['--listen', listen, '--enrollment-listen', enrollment],
        ...['--data', hierarchy.at(siteCode), '--config', hierarchy.at(`${siteCode}.yaml`)],
      ],
      { home },
    );
    assert.equal(end.exitCode, 0, end.stderr);
    await hierarchy.agent(siteCode, programs.waybillSite).start();
    return hierarchy;
  }

  at(...names: string[]): string {
    return join(this.directory, ...names);
  }

  /** The home of somebody; made when it is not there. */
  async person(name: string): Promise<{ home: string; configPath: string }> {
    const home = this.at('homes', name);
    await mkdir(home, { recursive: true });
    return { home, configPath: join(home, '.config', 'waybill', 'config.yaml') };
  }

  /** An agent whose configuration is `<name>.yaml`; started by the test. */
  agent(name: string, program: string = programs.waybillDp): AgentProcess {
    const known = this.#agents.get(name);
    if (known) return known;
    const files = { configPath: this.at(`${name}.yaml`), logPath: this.at(`${name}.stdout.log`) };
    const agent = new AgentProcess({ name, program, ...files, environment: this.#environment });
    this.#agents.set(name, agent);
    followLogs([agent.logPath]);
    return agent;
  }

  /** Runs `waybill` as somebody. */
  async waybill(words: readonly string[], name = 'alice'): Promise<ProgramEnd> {
    const { home } = await this.person(name);
    return runProgram(programs.waybill, words, { home, environment: this.#environment });
  }

  /** The same, which must succeed. @returns its JSON */
  async asked<T>(words: readonly string[], name = 'alice'): Promise<T> {
    const { exitCode, stdout, stderr } = await this.waybill([...words, '--json'], name);
    assert.equal(exitCode, 0, stderr);
    return JSON.parse(stdout) as T;
  }

  /** What a command that adds or enrolls somebody prints for his machine. */
  async printed(words: readonly string[], name = 'alice'): Promise<PrintedCommand> {
    const { exitCode, stdout, stderr } = await this.waybill(words, name);
    assert.equal(exitCode, 0, stderr);
    const form = /^ {2}(?:sudo )?(waybill.* --server (\S+) --server-site \S+)$/m;
    // A long one is broken as a shell reads it.
    const whole = stdout.replaceAll(/ \\\n */g, ' ');
    const [, command = '', server = ''] = form.exec(whole) ?? [];
    const [token = ''] = /^wbt1_\S+$/m.exec(stdout) ?? [];
    assert.notEqual(command, '', stdout + stderr);
    assert.notEqual(token, '', stdout + stderr);
    return { command, token, server };
  }

  /** Runs a printed command on "another machine": a data directory and configuration of its own. */
  enroll(
    { command, token }: Pick<PrintedCommand, 'command' | 'token'>,
    name: string,
    more: readonly string[] = ['--no-start'],
  ): Promise<ProgramEnd> {
    const [program = '', ...words] = command.split(' ');
    const where = ['--data', this.at(name), '--config', this.at(`${name}.yaml`)];
    const path = program === 'waybill-dp' ? programs.waybillDp : programs.waybillSite;
    const environment = this.#environment;
    return runProgram(path, [...words, ...where, ...more], { input: `${token}\n`, environment });
  }

  /** Enrolls a DP that was added at a free port, and starts it. */
  async enrolledDp(dpId: string, more: readonly string[] = []): Promise<AgentProcess> {
    const address = `127.0.0.1:${await freePort()}`;
    const printed = await this.printed(['dp', 'add', dpId, '--address', address, ...more]);
    const end = await this.enroll(printed, dpId, ['--no-start', '--listen', address]);
    assert.equal(end.exitCode, 0, end.stderr);
    const dp = this.agent(dpId);
    await dp.start();
    return dp;
  }

  /**
   * Waits until a site reaches a DP: it may have looked for it before the DP listened, and looks again within a
   * second.
   *
   * @returns where it reaches it
   */
  async reached(dpId: string, options: readonly string[] = []): Promise<string> {
    let address = '';
    await this.until(`${dpId} being reached`, async () => {
      const end = await this.waybill(['dp', 'check', dpId, '--json', ...options]);
      const record = JSON.parse(end.stdout || '{}') as { reachability?: string; address?: string };
      address = record.address ?? '';
      return record.reachability === 'reachable';
    });
    return address;
  }

  /** The Admin conversation with the site of somebody's configuration. */
  async admin(siteCode: string, name = 'alice'): Promise<AdminChannel> {
    const { home } = await this.person(name);
    const file = (one: string) => join(home, '.config', 'waybill', one);
    const channel = new RpcChannel({
      conversation: 'Admin',
      address: this.agent(siteCode).address,
      expected: (peer) => peer.kind === 'site' && peer.siteCode === siteCode,
      expectedText: `site ${siteCode}`,
      credentials: await readPeerCredentials({
        ...{ caFile: file('roots.crt'), certificateFile: file('agent.pem') },
        keyFile: file('agent.pem'),
      }),
    });
    this.#channels.push(channel);
    return channel;
  }

  /** What the audit trail of a site has of enrollments: results with their details. */
  async enrollmentsAudited(): Promise<string[]> {
    const records = await this.asked<{ method: string; result: string; detail: string }[]>([
      ...['audit', '--limit', '1000'],
    ]);
    return records
      .filter(({ method }) => method.endsWith('Enrollment/Enroll'))
      .map(({ result, detail }) => `${result} ${detail}`);
  }

  /** Waits until something is so. */
  async until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    for (const startMs = performance.now(); performance.now() - startMs < waitMsMax; ) {
      if (await isSo()) return;
      await sleep(lookMs);
    }
    throw new Error(`${what} did not come to be`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const channel of this.#channels) channel.close();
    const agents = [...this.#agents.values()];
    await Promise.all(agents.map((agent) => agent.kill()));
    keepLogs(agents.map(({ logPath }) => logPath));
    await rm(this.directory, { recursive: true, force: true });
  }
}
