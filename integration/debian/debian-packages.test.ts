import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { AgentProcess } from '../agent-process.ts';
import { adminIdentity, Certificates, dpIdentity } from '../network-agents.ts';
import { writeNoise } from '../source-files.ts';
import { isLong } from '../test-scale.ts';
import { treeDifference } from '../tree-difference.ts';
import {
  type BuiltPackages,
  builtPackages,
  packageNames,
  whyNoPackages,
} from './built-packages.ts';

const run = promisify(execFile);

const repository = fileURLToPath(new URL('../../..', import.meta.url));

/** What a unit may be exposed to, as systemd counts: 0 is nothing, 10 is all. */
const exposureMax = 2.5;

describe('Debian packages', function () {
  this.timeout(600_000);
  let directory: TemporaryDirectory;
  let packages: BuiltPackages;
  /** Where all of them are unpacked. */
  let root: string;

  before(async function () {
    const reason = await whyNoPackages();
    if (reason !== undefined) {
      process.stdout.write(`      left out: ${reason}\n`);
      this.skip();
    }
    directory = await TemporaryDirectory.create();
    packages = await builtPackages(directory.join('packages'));
    root = directory.join('root');
    for (const path of Object.values(packages)) await run('dpkg-deb', ['-x', path, root]);
  });

  after(async () => directory?.[Symbol.asyncDispose]());

  /** The Node that they bring. */
  const node = () => join(root, 'usr/lib/waybill/bin/node');

  async function fieldOf(path: string, field: string): Promise<string> {
    return (await run('dpkg-deb', ['-f', path, field])).stdout.trim();
  }

  async function filesBelow(place: string): Promise<string[]> {
    const entries = await readdir(place, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  }

  it('are of one version, and run only with each other', async () => {
    const version = await fieldOf(packages.waybill, 'Version');
    const { version: expected } = JSON.parse(
      await readFile(join(repository, 'package.json'), 'utf8'),
    );
    assert.equal(version, expected);
    for (const name of ['waybill-site', 'waybill-dp'] as const) {
      assert.equal(await fieldOf(packages[name], 'Version'), version);
      assert.match(await fieldOf(packages[name], 'Depends'), /^waybill \(= [^)]+\), systemd$/);
    }
    const depends = await fieldOf(packages.waybill, 'Depends');
    assert.match(depends, /libc6 \(>= 2\.\d+\)/);
    assert.match(depends, /libstdc\+\+6/);
  });

  it("hold root's files only, with modes that say nothing of who built them", async () => {
    for (const name of packageNames) {
      const { stdout } = await run('dpkg-deb', ['-c', packages[name]], { maxBuffer: 64 << 20 });
      for (const line of stdout.trim().split('\n')) {
        assert.match(line, /^(drwxr-xr-x|-rwxr-xr-x|-rw-r--r--) root\/root /, line);
      }
    }
  });

  it('hold no path of the machine that built them, and nothing that only tests need', async () => {
    const words = [repository, directory.path].map((path) => Buffer.from(path.replace(/\/$/, '')));
    for (const path of await filesBelow(root)) {
      const bytes = await readFile(path);
      for (const word of words) assert(!bytes.includes(word), `${path} holds ${word}`);
      assert.doesNotMatch(
        path,
        /\.test\.js|\/testing\/|\.d\.ts$|node_modules\/(mocha|typescript)\//,
      );
    }
  });

  it('bring machine code for this kind of machine only', async () => {
    const native = (await filesBelow(root)).filter((path) => path.endsWith('.node'));
    assert(native.length >= 3, native.join());
    for (const path of native) {
      assert.doesNotMatch(path, /musl|darwin|win32|android/);
      if (path.includes('/prebuilds/'))
        assert(path.includes(`/${process.platform}-${process.arch}/`));
    }
  });

  it('keep what an administrator has set', async () => {
    for (const name of ['waybill-site', 'waybill-dp'] as const) {
      const { stdout } = await run('dpkg-deb', ['-I', packages[name], 'conffiles']);
      assert.equal(stdout, `/etc/default/${name}\n`);
    }
  });

  it('bring every module that a file of the programs names', async () => {
    const dist = join(root, 'usr/lib/waybill/dist');
    const files = (await filesBelow(dist)).filter(
      // Those would run.
      (path) => !/(^|[-/])(main|worker)\.js$|\/programs\//.test(path),
    );
    assert(files.length > 300, `${files.length} files`);
    const script = files.map((path) => `await import(${JSON.stringify(path)});`).join('\n');
    const file = join(root, 'import-all.mjs');
    await writeFile(file, `${script}\nprocess.exit(0);\n`);
    await run(node(), [file]);
  });

  it('bring all that the programs need', async () => {
    const main = (program: string) => join(root, 'usr/lib/waybill/dist/programs', `${program}.js`);
    const certificates = await Certificates.issue(directory.join('certs'), [
      ...[{ kind: 'site', siteCode: 'PS1' } as const, dpIdentity('PS1DP1'), adminIdentity],
    ]);
    const started: AgentProcess[] = [];
    const startAgent = async (name: string, program: string, identity: Record<string, string>) => {
      const files = certificates.filesOf(
        name === 'PS1' ? { kind: 'site', siteCode: 'PS1' } : dpIdentity(name),
      );
      const configPath = directory.join(`${name}.yaml`);
      const dataDirectory = directory.join(name);
      const listen = '127.0.0.1:0';
      const config = { ...identity, listen, dataDirectory, certificates: files };
      await writeFile(configPath, stringify(config));
      const logPath = directory.join(`${name}.log`);
      await mkdir(dataDirectory);
      const agent = new AgentProcess({
        name,
        program: main(program),
        configPath,
        logPath,
        node: node(),
      });
      await agent.start();
      started.push(agent);
      return agent.address;
    };
    try {
      const server = await startAgent('PS1', 'waybill-site', { siteCode: 'PS1' });
      const dp = await startAgent('PS1DP1', 'waybill-dp', { siteCode: 'PS1', dpId: 'PS1DP1' });
      const { caFile, certificateFile, keyFile } = certificates.filesOf(adminIdentity);
      const waybill = async (...words: string[]) => {
        const as = ['--ca', caFile, '--cert', certificateFile, '--key', keyFile];
        const program = main('waybill');
        await run(node(), [program, ...words, '--server', server, ...as]);
      };
      const source = directory.join('source');
      await writeNoise(join(source, 'image.wim'), { bytes: 3 << 20, seed: 1 });
      await waybill('dp', 'add', 'PS1DP1', '--address', dp);
      await waybill('package', 'create', '--name', 'Office', '--source', source);
      await waybill('package', 'distribute', 'PS100001', '--dp', 'PS1DP1', '--wait');
      const out = directory.join('out');
      const config = directory.join('PS1DP1.yaml');
      await run(node(), [
        main('waybill-dp'),
        'extract',
        'PS100001',
        '--config',
        config,
        '--out',
        out,
      ]);
      assert.equal(await treeDifference(source, out), '');
    } finally {
      for (const agent of started) await agent.kill();
    }
  });

  for (const name of ['waybill-site', 'waybill-dp'] as const) {
    it(`have a unit of ${name} that systemd understands and that is fenced in`, async function () {
      // A machine without systemd cannot judge units.
      if (!(await isThere('systemd-analyze'))) this.skip();
      const unit = directory.join(`${name}.service`);
      const text = await readFile(join(root, `usr/lib/systemd/system/${name}.service`), 'utf8');
      // The program is looked for where it will lie.
      await writeFile(unit, text.replace(`ExecStart=/usr/bin/`, `ExecStart=${root}/usr/bin/`));
      const verified = await run('systemd-analyze', ['verify', '--man=no', unit]);
      // Systemd of Debian 12 does not know the back-off between restarts.
      const complaints = verified.stderr
        .split('\n')
        .filter((line) => line.includes(unit) && !/RestartSteps|RestartMaxDelaySec/.test(line));
      assert.deepEqual(complaints, []);
      const threshold = String(exposureMax * 10);
      const words = ['security', '--offline=true', `--threshold=${threshold}`, '--no-pager', unit];
      const { stdout } = await run('systemd-analyze', words);
      assert.match(stdout, /Overall exposure level/);
    });
  }

  it('are what the checker of Debian takes', async function () {
    // It reads each file of them: more than a minute.
    if (!isLong || !(await isThere('lintian'))) this.skip();
    const words = ['--fail-on', 'error,warning', '--allow-root', ...Object.values(packages)];
    const { stdout } = await run('lintian', words);
    assert.equal(stdout, '');
  });

  it('are the same bytes whenever and wherever they are made', async function () {
    // They are built twice more.
    if (!isLong) this.skip();
    const hashes = async (built: BuiltPackages) =>
      Promise.all(
        packageNames.map(async (name) =>
          createHash('sha256')
            .update(await readFile(built[name]))
            .digest('hex'),
        ),
      );
    const again = await builtPackages(directory.join('again/and/again'));
    assert.deepEqual(await hashes(again), await hashes(packages));
  });
});

async function isThere(program: string): Promise<boolean> {
  return run(program, ['--version']).then(
    () => true,
    () => false,
  );
}
