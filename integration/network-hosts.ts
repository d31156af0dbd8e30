import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Longest queue in front of a capped link, in milliseconds: what a small router keeps. */
const queueMs = 100;
/** Interface names have 15 characters at most. */
const nameLengthMax = 15;

/** A machine of its own as far as the network goes: a name space with an address and a link. */
export interface NetworkHost {
  readonly name: string;
  /** IPv4 address, reachable from all hosts and from here. */
  readonly address: string;
  /** Runs a program there: put in front of its words. */
  readonly command: readonly string[];
}

/**
 * Hosts on one machine, each in a network name space, joined by a bridge; every link can be given a
 * rate, each way. Needs root and Linux.
 */
export class NetworkHosts implements AsyncDisposable {
  readonly #id: string;
  readonly #network: string;
  readonly #hosts = new Map<string, NetworkHost & { readonly link: string }>();

  private constructor(id: string, network: string) {
    this.#id = id;
    this.#network = network;
  }

  /** @returns why there are none, as text, on a machine where none can be made */
  static async create(): Promise<NetworkHosts | string> {
    const number = Math.floor(Math.random() * 200) + 20;
    const hosts = new NetworkHosts(`wb${process.pid.toString(36)}`, `10.231.${number}`);
    try {
      await ip('link', 'add', hosts.#bridge, 'type', 'bridge');
      await ip('addr', 'add', `${hosts.#network}.1/24`, 'dev', hosts.#bridge);
      await ip('link', 'set', hosts.#bridge, 'up');
      return hosts;
    } catch (error) {
      return `no hosts can be made here: ${String(error).split('\n')[1] ?? error}`;
    }
  }

  /** Hosts for a test; where none can be made, it is left out, and the reason shown. */
  static async forTest(test: Mocha.Context): Promise<NetworkHosts> {
    const made = await NetworkHosts.create();
    if (typeof made !== 'string') return made;
    process.stdout.write(`      left out: ${made}\n`);
    return test.skip();
  }

  /** Makes hosts of these names. @returns each by its name */
  async addAll(names: readonly string[]): Promise<ReadonlyMap<string, NetworkHost>> {
    const added = new Map<string, NetworkHost>();
    for (const name of names) added.set(name, await this.add(name));
    return added;
  }

  /** Makes a host. */
  async add(name: string): Promise<NetworkHost> {
    const number = this.#hosts.size + 2;
    const space = `${this.#id}-${number}`;
    const link = `${this.#id}h${number}`.slice(0, nameLengthMax);
    const address = `${this.#network}.${number}`;
    await ip('netns', 'add', space);
    await ip('link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space);
    await ip('link', 'set', link, 'master', this.#bridge);
    await ip('link', 'set', link, 'up');
    for (const words of [
      ['addr', 'add', `${address}/24`, 'dev', 'eth0'],
      ['link', 'set', 'eth0', 'up'],
      ['link', 'set', 'lo', 'up'],
    ]) {
      await ip('-n', space, ...words);
    }
    const host = { name, address, link, command: ['ip', 'netns', 'exec', space] };
    this.#hosts.set(name, host);
    return host;
  }

  /** From now on so many bytes a second go to the host, and as many come from it. */
  async setRate(name: string, bytesPerSecond: number): Promise<void> {
    const { link, command } = this.#host(name);
    const bucketBytes = Math.max(16 * 1024, Math.round(bytesPerSecond / 100));
    const rate = ['rate', `${bytesPerSecond}bps`, 'burst', String(bucketBytes)];
    const words = ['root', 'tbf', ...rate, 'latency', `${queueMs}ms`];
    await run('tc', ['qdisc', 'replace', 'dev', link, ...words]);
    const [program = '', ...before] = command;
    await run(program, [...before, 'tc', 'qdisc', 'replace', 'dev', 'eth0', ...words]);
  }

  /** Cuts the link of a host, or joins it again. */
  async setUp(name: string, isUp: boolean): Promise<void> {
    await ip('link', 'set', this.#host(name).link, isUp ? 'up' : 'down');
  }

  /** From now on nothing gets from one host to another, while the other way stays open; or again. */
  async setOneWay(from: string, to: string, isCut: boolean): Promise<void> {
    const [program = '', ...before] = this.#host(from).command;
    const route = ['route', isCut ? 'add' : 'del', 'blackhole', `${this.#host(to).address}/32`];
    await run(program, [...before, 'ip', ...route]);
  }

  /** Bytes that came from a host over its link so far, headers included. */
  sentBytes(name: string): Promise<number> {
    return this.#statistic(name, 'rx_bytes');
  }

  /** Bytes that went to a host over its link so far, headers included. */
  receivedBytes(name: string): Promise<number> {
    return this.#statistic(name, 'tx_bytes');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { command } of this.#hosts.values()) {
      await ip('netns', 'del', command.at(-1) ?? '').catch(() => {});
    }
    await ip('link', 'del', this.#bridge).catch(() => {});
  }

  async #statistic(name: string, counter: string): Promise<number> {
    const path = `/sys/class/net/${this.#host(name).link}/statistics/${counter}`;
    return Number(await readFile(path, 'utf8'));
  }

  #host(name: string): NetworkHost & { readonly link: string } {
    const host = this.#hosts.get(name);
    if (!host) throw new Error(`no host ${name}`);
    return host;
  }

  get #bridge(): string {
    return `${this.#id}br`;
  }
}

function ip(...words: readonly string[]): Promise<unknown> {
  return run('ip', words);
}
