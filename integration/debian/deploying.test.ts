import assert from 'node:assert/strict';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { type NetworkHost, NetworkHosts } from '../network-hosts.ts';
import { isLong } from '../test-scale.ts';
import { builtPackages, whyNoPackages } from './built-packages.ts';
import { DebianMachine } from './debian-machine.ts';
import { type DebianRelease, forgetDebianRoots, whyNoDebian } from './debian-root.ts';
import { pageCommands, printedCommand } from './page-commands.ts';

const page = fileURLToPath(new URL('../../../docs/deploying.md', import.meta.url));

/** The machines of the page; both releases of Debian that it speaks of. */
const machinesOfPage: Readonly<Record<string, DebianRelease>> = {
  ps1: 'bookworm',
  ps1dp1: 'trixie',
  ps1dp1b: 'bookworm',
  ss1: 'trixie',
  ss1dp1: 'bookworm',
};

const mayUseSudo = 'echo "alice ALL=(ALL) NOPASSWD: ALL" > /etc/sudoers.d/alice';

/** Its people: who has an account where, and what a machine's owner has allowed them. */
const usersOfPage: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  ps1: { alice: mayUseSudo },
  ss1: { bob: ':' },
};

/** The page is followed word for word, on machines that were just installed. */
describe('docs/deploying.md', function () {
  this.timeout(1_800_000);
  let directory: TemporaryDirectory;
  let hosts: NetworkHosts;
  const machines = new Map<string, DebianMachine>();

  before(async function () {
    const made = isLong ? await NetworkHosts.create() : 'takes minutes: only in long runs';
    const reason =
      typeof made === 'string' ? made : ((await whyNoPackages()) ?? (await whyNoDebian()));
    if (reason !== undefined || typeof made === 'string') {
      process.stdout.write(`      left out: ${reason}\n`);
      this.skip();
    }
    hosts = made;
    directory = await TemporaryDirectory.create();
    const packages = Object.values(await builtPackages(directory.join('packages')));
    const known: NetworkHost[] = [];
    for (const [name, release] of Object.entries(machinesOfPage)) {
      const host = await hosts.add(name);
      known.push(host);
      const machine = await DebianMachine.start(release, host);
      machines.set(name, machine);
      for (const [user, words] of Object.entries(usersOfPage[name] ?? {})) {
        await machine.done(`useradd --create-home --shell /bin/bash ${user}\n${words}`);
      }
      for (const path of packages) {
        await copyFile(path, join(machine.root, 'root', basename(path)));
      }
    }
    for (const machine of machines.values()) await machine.knows(known);
  });

  after(async () => {
    for (const machine of machines.values()) await machine[Symbol.asyncDispose]();
    await hosts?.[Symbol.asyncDispose]();
    await directory?.[Symbol.asyncDispose]();
    await forgetDebianRoots();
  });

  it('is true from its first command to its last', async () => {
    let output = '';
    const startedMs = performance.now();
    for (const { machine: name, user, commands, line } of pageCommands(
      await readFile(page, 'utf8'),
    )) {
      const machine = machines.get(name);
      assert(machine, `line ${line} names a machine ${name}`);
      const text = commands ?? printedCommand(output);
      await writeFile(join(machine.root, 'var/tmp/block'), `${text}\n`);
      // The first command that fails ends it.
      const shell = 'sh -e /var/tmp/block';
      const { exitCode, stdout, stderr } = await machine.run(
        user === 'root' ? shell : `su - ${user} -c '${shell}'`,
      );
      const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
      process.stdout.write(`      ${seconds} s: line ${line}, on ${name}\n`);
      if (exitCode !== 0) {
        const said = `line ${line} on ${name}:\n${text}\n${stdout}${stderr}`;
        assert.fail(`${said}\n${await logsOf(machines.values())}`);
      }
      output = `${stdout}${stderr}`;
    }
  });
});

/** What the services of all machines said last. */
async function logsOf(all: Iterable<DebianMachine>): Promise<string> {
  let text = '';
  for (const machine of all) {
    const { stdout } = await machine.run('journalctl --unit "waybill-*" --lines 30 --no-pager');
    text += `── ${machine.name}\n${stdout}`;
  }
  return text;
}
