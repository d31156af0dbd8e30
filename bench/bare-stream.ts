import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { PeerCredentialFiles } from '../shared/rpc/peer-credentials.ts';
import { cpuSecondsOf } from './measure.ts';

const built = (name: string) => fileURLToPath(new URL(`./${name}.js`, import.meta.url));
const list = (files: PeerCredentialFiles) => [files.caFile, files.certificateFile, files.keyFile];

/** The ceiling: one gRPC stream of 1 MiB messages between two processes, no disk, no hash. */
export class BareStream {
  readonly #receiver: ChildProcess;
  readonly #sender: ChildProcess;

  private constructor(receiver: ChildProcess, sender: ChildProcess) {
    this.#receiver = receiver;
    this.#sender = sender;
  }

  static async start(site: PeerCredentialFiles, dp: PeerCredentialFiles): Promise<BareStream> {
    const receiver = spawn(process.execPath, [built('bare-stream-receiver'), ...list(dp)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const [address] = (await once(createInterface({ input: receiver.stdout }), 'line')) as [string];
    const sender = fork(built('bare-stream-sender'), [address, ...list(site)]);
    await once(sender, 'message');
    return new BareStream(receiver, sender);
  }

  /** CPU seconds of both ends so far. */
  get cpuSeconds(): number {
    return cpuSecondsOf(this.#receiver.pid ?? 0) + cpuSecondsOf(this.#sender.pid ?? 0);
  }

  async send(bytes: number): Promise<void> {
    const done = once(this.#sender, 'message');
    this.#sender.send(bytes);
    await done;
  }

  stop(): void {
    this.#sender.disconnect();
    this.#receiver.stdin?.end();
  }
}
