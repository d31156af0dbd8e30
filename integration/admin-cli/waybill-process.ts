import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { PeerCredentialFiles } from '../../shared/rpc/peer-credentials.ts';
import { programs } from '../programs.ts';

/** How a run of `waybill` ended. */
export interface WaybillResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line in a process of its own, without a terminal. */
export class WaybillProcess {
  readonly ended: Promise<WaybillResult>;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;

  constructor(args: readonly string[], files: PeerCredentialFiles) {
    const { caFile, certificateFile, keyFile } = files;
    const identity = ['--ca', caFile, '--cert', certificateFile, '--key', keyFile];
    this.#child = spawn(process.execPath, [programs.waybill, ...args, ...identity], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {},
    });
    this.ended = this.#result();
  }

  /** Presses Ctrl-C. */
  interrupt(): void {
    this.#child.kill('SIGINT');
  }

  /** Closes the reading end of its stdout, as `head` does. */
  closeStdout(): void {
    this.#child.stdout.destroy();
  }

  /** Resolves when something more is on stdout or stderr. */
  async whenWritten(stream: 'stdout' | 'stderr'): Promise<void> {
    await once(this.#child[stream], 'data');
  }

  async #result(): Promise<WaybillResult> {
    const [stdout, stderr] = await Promise.all([
      text(this.#child.stdout).catch(() => ''),
      text(this.#child.stderr),
      this.#child.exitCode === null ? once(this.#child, 'exit') : undefined,
    ]);
    return { exitCode: this.#child.exitCode, stdout, stderr };
  }
}
