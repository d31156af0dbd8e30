import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** How often the log of a starting agent is looked at. */
const pollMs = 10;
/** After this it is killed: on a busy disk a start takes long, but not for ever. */
const startMsMax = 120_000;

/** A real agent in a process of its own. `kill -9` is its normal stop. */
export class AgentProcess {
  readonly name: string;
  readonly configPath: string;
  readonly #program: string;
  readonly #logPath: string;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #command: readonly string[];
  readonly #node: string;
  #child: ChildProcess | undefined;
  #address: string | undefined;

  /**
   * @param options.program built entry file, such as dist/programs/waybill-dp.js
   * @param options.logPath stdout and stderr are appended here
   * @param options.command what stands in front of the program, such as what runs it on another host
   * @param options.node the Node that runs it; default: the one that runs this
   */
  constructor(options: {
    name: string;
    program: string;
    configPath: string;
    logPath: string;
    environment?: Readonly<Record<string, string>>;
    command?: readonly string[];
    node?: string;
  }) {
    this.name = options.name;
    this.configPath = options.configPath;
    this.#program = options.program;
    this.#logPath = options.logPath;
    this.#environment = options.environment ?? {};
    this.#command = options.command ?? [];
    this.#node = options.node ?? process.execPath;
  }

  /** host:port; kept over restarts. */
  get address(): string {
    if (this.#address === undefined) throw new Error(`${this.name} was never started`);
    return this.#address;
  }

  get logPath(): string {
    return this.#logPath;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get isRunning(): boolean {
    return (
      this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
    );
  }

  /** Starts the agent and resolves when it listens. @throws when it ends before that */
  async start(extraArguments: readonly string[] = []): Promise<void> {
    const listen = this.#address ? ['--listen', this.#address] : [];
    const logged = (await stat(this.#logPath).catch(() => undefined))?.size ?? 0;
    await using log = await open(this.#logPath, 'a');
    const words = ['--config', this.configPath, ...listen, ...extraArguments];
    const [program = '', ...before] = [...this.#command, this.#node, this.#program];
    const child = spawn(program, [...before, ...words], {
      stdio: ['ignore', log.fd, log.fd],
      env: { ...process.env, ...this.#environment },
    });
    this.#child = child;
    endWithUs(child);
    this.#address = await this.#listening(child, logged);
  }

  /** Ends the process at once, as a crash does. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (!child || !this.isRunning) return;
    const exit = once(child, 'exit');
    child.kill(signal);
    await exit;
  }

  /** Asks the process to stop. @returns its exit code */
  async stop(): Promise<number | null> {
    await this.kill('SIGTERM');
    return this.#child?.exitCode ?? null;
  }

  /** The process goes on when ours ends. */
  leaveRunning(): void {
    const child = this.#child;
    if (!child) return;
    children.delete(child);
    child.unref();
  }

  async #listening(child: ChildProcess, from: number): Promise<string> {
    const giveUpMs = performance.now() + startMsMax;
    for (;;) {
      const text = (await readFile(this.#logPath)).subarray(from).toString();
      const address = text
        .split('\n')
        .map(addressOf)
        .find((one) => one !== undefined);
      if (address) return address;
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`${this.name} ended with ${child.exitCode} before it listened:\n${text}`);
      }
      if (performance.now() > giveUpMs) {
        child.kill('SIGKILL');
        throw new Error(`${this.name} did not listen within ${startMsMax} ms:\n${text}`);
      }
      await sleep(pollMs);
    }
  }
}

function addressOf(line: string): string | undefined {
  if (!line.includes('"Listening"') || !line.endsWith('}')) return undefined;
  const { msg, address } = JSON.parse(line) as { msg: string; address?: string };
  return msg === 'Listening' ? address : undefined;
}

const children = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

function endWithUs(child: ChildProcess): void {
  children.add(child);
  child.once('exit', () => children.delete(child));
}
