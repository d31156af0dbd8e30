import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../integration/free-port.ts';
import { cpuSecondsOfChildren } from './measure.ts';

const run = promisify(execFile);
const sshdPath = '/usr/sbin/sshd';

/** How a copy differs from the plainest one. */
export interface RsyncOptions {
  readonly rsync?: readonly string[];
  readonly ssh?: readonly string[];
}

/** rsync over ssh on loopback, with keys made for this run. */
export class RsyncPeer {
  readonly #directory: string;
  readonly #port: number;
  readonly #sshd: ChildProcess;

  private constructor(directory: string, port: number, sshd: ChildProcess) {
    this.#directory = directory;
    this.#port = port;
    this.#sshd = sshd;
  }

  /** @returns undefined, having said why, when rsync or sshd are not installed */
  static async start(directory: string): Promise<RsyncPeer | undefined> {
    if (!existsSync('/usr/bin/rsync') || !existsSync(sshdPath)) {
      console.log('rsync over ssh is left out: install the packages rsync and openssh-server');
      return undefined;
    }
    await mkdir(directory, { recursive: true });
    const key = (name: string) => join(directory, name);
    for (const name of ['host', 'user']) {
      await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key(name)]);
    }
    await writeFile(key('authorized'), await readFile(key('user.pub')), { mode: 0o600 });
    const port = await freePort();
    const options = [
      `ListenAddress=127.0.0.1:${port}`,
      `HostKey=${key('host')}`,
      `AuthorizedKeysFile=${key('authorized')}`,
      `PidFile=${key('pid')}`,
      'StrictModes=no',
      'UsePAM=no',
      'PermitRootLogin=prohibit-password',
    ];
    await mkdir('/run/sshd', { recursive: true });
    const arguments_ = ['-D', '-e', '-f', '/dev/null', ...options.flatMap((one) => ['-o', one])];
    const sshd = spawn(sshdPath, arguments_, { stdio: ['ignore', 'ignore', 'pipe'] });
    process.on('exit', () => sshd.kill());
    await new Promise<void>((resolve, reject) => {
      sshd.stderr.on('data', (text: Buffer) => {
        if (text.includes('Server listening')) resolve();
      });
      sshd.once('exit', () => reject(new Error('sshd ended before it listened')));
    });
    return new RsyncPeer(directory, port, sshd);
  }

  /** CPU seconds of both ends of all copies that have ended. */
  get cpuSeconds(): number {
    return cpuSecondsOfChildren(process.pid) + cpuSecondsOfChildren(this.#sshd.pid ?? 0);
  }

  /**
   * Copies a tree; `--delete` as an update of a package removes files, too.
   *
   * @param options.rsync more for rsync, such as `--fsync`
   * @param options.ssh more for ssh, such as another cipher than its own choice
   */
  async copy(source: string, target: string, options: RsyncOptions = {}): Promise<void> {
    const ssh = [
      'ssh',
      `-p ${this.#port}`,
      `-i ${join(this.#directory, 'user')}`,
      '-o StrictHostKeyChecking=no',
      '-o UserKnownHostsFile=/dev/null',
      '-o LogLevel=ERROR',
      ...(options.ssh ?? []),
    ].join(' ');
    const paths = [`${source}/`, `127.0.0.1:${target}/`];
    await run('rsync', ['-a', '--delete', ...(options.rsync ?? []), '-e', ssh, ...paths]);
  }

  stop(): void {
    this.#sshd.kill();
  }
}
