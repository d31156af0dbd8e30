/**
 * A Debian that was started: a root of its own with systemd as its first process, in name spaces of its
 * own, and with an address in a network of tests. For what only a service manager shows: units, their
 * fences, and what package managers do about them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NetworkHost } from '../network-hosts.ts';
import { DebianLayer, type DebianRelease } from './debian-root.ts';

/** What came of a command. */
export interface CommandEnd {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const pollMs = 50;
/** A machine that is not up by then is never up. */
const bootMsMax = 120_000;
/** Longest run of one command. */
const commandSecondsMax = 300;

const controlGroups = '/sys/fs/cgroup';

/** Mounts what a system expects, makes the root the root, and becomes the first process. */
const boot = `set -e
root=$1
name=$2
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs tmpfs "$root/dev/shm"
hostname "$name"
cd "$root"
pivot_root . mnt
umount -l /mnt
exec env -i container=waybill-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init </dev/null >/dev/null 2>&1
`;

export class DebianMachine implements AsyncDisposable {
  readonly name: string;
  readonly root: string;
  readonly #layer: DebianLayer;
  readonly #host: NetworkHost;
  readonly #group: string;
  #child: ChildProcess | undefined;
  #firstProcess = 0;

  private constructor(layer: DebianLayer, host: NetworkHost, group: string) {
    this.#layer = layer;
    this.#host = host;
    this.#group = group;
    this.name = host.name;
    this.root = layer.root;
  }

  /** Makes a machine at this host of the network and starts it. */
  static async start(release: DebianRelease, host: NetworkHost): Promise<DebianMachine> {
    const layer = await DebianLayer.create(release);
    const group = join(await unifiedGroups(), `waybill-test-${process.pid}-${host.name}`);
    const machine = new DebianMachine(layer, host, group);
    try {
      // As the installer leaves them.
      await writeFile(join(layer.root, 'etc/hostname'), `${host.name}\n`);
      await writeFile(join(layer.root, 'etc/hosts'), '127.0.0.1 localhost\n::1 localhost\n');
      await machine.#boot();
      return machine;
    } catch (error) {
      await machine[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** From now on these names are known there. */
  async knows(hosts: Iterable<NetworkHost>): Promise<void> {
    for (const { name, address } of hosts) {
      await appendFile(join(this.root, 'etc/hosts'), `${address} ${name}\n`);
    }
  }

  /** Runs a line of a shell there, as root. */
  run(line: string, input = ''): Promise<CommandEnd> {
    const target = ['--target', String(this.#firstProcess)];
    const spaces = ['--mount', '--pid', '--uts', '--ipc', '--net', '--cgroup'];
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', LANG: 'C.UTF-8' };
    // Ended from inside, with all that it has started.
    const bounded = ['timeout', String(commandSecondsMax), 'sh', '-c', `cd /root\n${line}`];
    const child = spawn('nsenter', [...target, ...spaces, ...bounded], { env });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    return ended(child);
  }

  /** @throws when it does not end with 0 */
  async done(line: string, input?: string): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(line, input);
    if (exitCode === 0) return stdout;
    throw new Error(`${this.name}: "${line}" ended with ${exitCode}: ${stdout}${stderr}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#child;
    if (child && child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      // The end of the first process is the end of all of them.
      if (this.#firstProcess > 0) process.kill(this.#firstProcess, 'SIGKILL');
      else child.kill('SIGKILL');
      await gone;
    }
    await removeGroups(this.#group);
    await this.#layer[Symbol.asyncDispose]();
  }

  async #boot(): Promise<void> {
    await mkdir(this.#group);
    const spaces = ['--mount', '--pid', '--uts', '--ipc', '--cgroup', '--fork', '--kill-child'];
    const inner = ['unshare', ...spaces, 'sh', '-c', boot, 'boot', this.root, this.name];
    // Into its group first: what it sees of groups begins there.
    const entering = 'echo $$ > "$0/cgroup.procs"; exec "$@"';
    const words = ['-c', entering, this.#group, ...this.#host.command, ...inner];
    const child = spawn('sh', words, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    let said = '';
    child.stderr?.on('data', (text) => {
      said += text;
    });
    const giveUpMs = performance.now() + bootMsMax;
    while (!(await this.#isUp(child))) {
      if (child.exitCode !== null) throw new Error(`${this.name} did not start: ${said}`);
      if (performance.now() > giveUpMs) throw new Error(`${this.name} is not up yet`);
      await sleep(pollMs);
    }
  }

  async #isUp(child: ChildProcess): Promise<boolean> {
    const children = `/proc/${child.pid}/task/${child.pid}/children`;
    const first = Number((await readFile(children, 'utf8').catch(() => '')).trim());
    if (!first) return false;
    this.#firstProcess = first;
    if ((await readFile(`/proc/${first}/comm`, 'utf8').catch(() => '')) !== 'systemd\n')
      return false;
    const { stdout } = await this.run('systemctl is-system-running');
    return /^(running|degraded)$/.test(stdout.trim());
  }
}

/** Collects what a process prints, until it has ended. */
async function ended(child: ChildProcess): Promise<CommandEnd> {
  let [stdout, stderr] = ['', ''];
  child.stdout?.on('data', (text) => {
    stdout += text;
  });
  child.stderr?.on('data', (text) => {
    stderr += text;
  });
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { exitCode, stdout, stderr };
}

/** Where the kernel's newer control groups are: beside the older ones, or alone. */
async function unifiedGroups(): Promise<string> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n');
  const found = mounts.map((line) => line.split(' ')).find(([, , type]) => type === 'cgroup2');
  return found?.[1] ?? controlGroups;
}

/** Groups go from the innermost outwards, once nobody is in them. */
async function removeGroups(group: string): Promise<void> {
  const entries = await readdir(group, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (entry.isDirectory()) await removeGroups(join(group, entry.name));
  }
  await rmdir(group).catch(() => {});
}
