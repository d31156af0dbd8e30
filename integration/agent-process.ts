import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** A real agent in a process of its own. `kill -9` is its normal stop. */
export class AgentProcess {
  readonly name: string;
  readonly configPath: string;
  readonly #program: string;
  readonly #logPath: string;
  #child: ChildProcess | undefined;
  #address: string | undefined;

  /**
   * @param options.program built entry file, such as dist/dp-agent/main.js
   * @param options.logPath stdout and stderr are appended here
   */
  constructor(options: { name: string; program: string; configPath: string; logPath: string }) {
    this.name = options.name;
    this.configPath = options.configPath;
    this.#program = options.program;
    this.#logPath = options.logPath;
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
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Starts the agent and resolves when it listens. @throws when it ends before that */
  async start(extraArguments: readonly string[] = []): Promise<void> {
    const listen = this.#address ? ['--listen', this.#address] : [];
    const child = spawn(
      process.execPath,
      [this.#program, '--config', this.configPath, ...listen, ...extraArguments],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#child = child;
    endWithUs(child);
    const log = createWriteStream(this.#logPath, { flags: 'a' });
    child.stderr.pipe(log, { end: false });
    child.stdout.pipe(log, { end: false });
    this.#address = await this.#listening(child);
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

  async #listening(child: ChildProcess): Promise<string> {
    let last = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      last = chunk.toString();
    });
    const found = new Promise<string>((resolve, reject) => {
      if (!child.stdout) throw new Error('no stdout');
      createInterface({ input: child.stdout }).on('line', (line) => {
        const address = addressOf(line);
        if (address) resolve(address);
      });
      child.once('exit', (code) =>
        reject(new Error(`${this.name} ended with ${code} before it listened: ${last.trim()}`)),
      );
    });
    return found;
  }
}

function addressOf(line: string): string | undefined {
  if (!line.includes('"Listening"')) return undefined;
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
