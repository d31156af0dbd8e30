import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import type { PeerIdentity } from '../../shared/domain/peer-identity.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { adminIdentity, Certificates, dpIdentity } from '../network-agents.ts';
import { type NetworkHost, NetworkHosts } from '../network-hosts.ts';
import { isLong } from '../test-scale.ts';
import { type BuiltPackages, builtPackages, whyNoPackages } from './built-packages.ts';
import { DebianMachine } from './debian-machine.ts';
import { DebianLayer, type DebianRelease, forgetDebianRoots, whyNoDebian } from './debian-root.ts';

const run = promisify(execFile);

const siteIdentity = { kind: 'site', siteCode: 'PS1' } as const;
const releases: readonly DebianRelease[] = ['bookworm', 'trixie'];
const oldVersion = '0.1.0';
const newVersion = '0.1.1~test';

/** A new version is told from the one before by what it says of itself, so both are of the same code. */
for (const release of releases) {
  describe(`Debian packages on a machine with ${release}`, function () {
    this.timeout(900_000);
    let directory: TemporaryDirectory;
    let hosts: NetworkHosts;
    let host: NetworkHost;
    let machine: DebianMachine;
    let older: BuiltPackages;
    let newer: BuiltPackages;

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
      older = await builtPackages(directory.join('older'), { version: oldVersion });
      newer = await builtPackages(directory.join('newer'), { version: newVersion });
      host = await hosts.add('ps1');
      machine = await DebianMachine.start(release, host);
    });

    after(async () => {
      await machine?.[Symbol.asyncDispose]();
      await hosts?.[Symbol.asyncDispose]();
      await directory?.[Symbol.asyncDispose]();
      await forgetDebianRoots();
    });

    /** Brings packages there, and has apt install them as an administrator would. */
    async function install(packages: BuiltPackages): Promise<string> {
      const files = Object.values(packages);
      for (const path of files) await copyFile(path, join(machine.root, 'root', basename(path)));
      const names = files.map((path) => `./${basename(path)}`).join(' ');
      return machine.done(`DEBIAN_FRONTEND=noninteractive apt-get install -y ${names}`);
    }

    const property = async (unit: string, name: string) =>
      (await machine.done(`systemctl show --value -p ${name} ${unit}`)).trim();
    const isActive = async (unit: string) =>
      (await machine.run(`systemctl is-active ${unit}`)).stdout.trim();

    /** Waits for a fact that comes by itself. */
    async function until(fact: () => Promise<boolean>): Promise<void> {
      while (!(await fact())) await sleep(100);
    }

    async function identify(unit: string, identity: PeerIdentity, settings: object): Promise<void> {
      const made = directory.join('certs');
      const all = [siteIdentity, dpIdentity('PS1DP1'), adminIdentity];
      const { caFile, certificateFile, keyFile } = (await Certificates.issue(made, all)).filesOf(
        identity,
      );
      const place = `/var/lib/${unit}/identity`;
      await mkdir(join(machine.root, place), { recursive: true });
      const certificates = {
        caFile: `${place}/ca.crt`,
        certificateFile: `${place}/own.crt`,
        keyFile: `${place}/own.key`,
      };
      await copyFile(caFile, join(machine.root, certificates.caFile));
      await copyFile(certificateFile, join(machine.root, certificates.certificateFile));
      await copyFile(keyFile, join(machine.root, certificates.keyFile));
      await machine.done(`chown -R ${unit}: ${place}; chmod -R go= ${place}`);
      const name = unit === 'waybill-site' ? 'site' : 'dp';
      const config = { ...settings, dataDirectory: `/var/lib/${unit}`, certificates };
      await writeFile(join(machine.root, `etc/waybill/${name}.yaml`), stringify(config));
    }

    const asAdmin =
      '--server ps1:8530 --ca /root/ca.crt --cert /root/admin.crt --key /root/admin.key';
    const waybill = (words: string) => machine.done(`waybill ${words} ${asAdmin}`);

    it('install into a root that is not running', async () => {
      // As an image for many machines is made.
      await using layer = await DebianLayer.create(release);
      for (const packages of [older, newer]) {
        const files = Object.values(packages);
        for (const path of files) await copyFile(path, join(layer.root, 'root', basename(path)));
        const names = files.map((path) => `/root/${basename(path)}`);
        const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', DEBIAN_FRONTEND: 'noninteractive' };
        await run('chroot', [layer.root, 'apt-get', 'install', '-y', ...names], { env });
      }
      const { stdout } = await run('chroot', [layer.root, 'waybill', '--version']);
      assert.equal(stdout.trim(), newVersion);
      const passwd = await readFile(join(layer.root, 'etc/passwd'), 'utf8');
      for (const user of ['waybill-site', 'waybill-dp']) {
        assert.match(passwd, new RegExp(`^${user}:.*:/var/lib/${user}:/usr/sbin/nologin$`, 'm'));
      }
    });

    it('install services that wait for a configuration', async () => {
      await install(older);
      for (const unit of ['waybill-site', 'waybill-dp']) {
        assert.equal(await property(unit, 'UnitFileState'), 'enabled');
        assert.equal(await isActive(unit), 'inactive');
        assert.equal(await property(unit, 'ConditionResult'), 'no');
        const { stdout } = await machine.run(`stat -c '%U %a' /var/lib/${unit}`);
        assert.equal(stdout, `${unit} 700\n`);
      }
    });

    it('run them as their own user, ready once they listen', async () => {
      await machine.knows([host]);
      const metrics = (port: number) => ({ metrics: { listen: `127.0.0.1:${port}` } });
      await identify('waybill-site', siteIdentity, { siteCode: 'PS1', ...metrics(9464) });
      const dp = { siteCode: 'PS1', dpId: 'PS1DP1', listen: '0.0.0.0:8531', ...metrics(9465) };
      await identify('waybill-dp', dpIdentity('PS1DP1'), dp);
      const { caFile, certificateFile, keyFile } = (
        await Certificates.issue(directory.join('certs'), [adminIdentity])
      ).filesOf(adminIdentity);
      await copyFile(caFile, join(machine.root, 'root/ca.crt'));
      await copyFile(certificateFile, join(machine.root, 'root/admin.crt'));
      await copyFile(keyFile, join(machine.root, 'root/admin.key'));
      for (const unit of ['waybill-site', 'waybill-dp']) {
        await machine.done(`systemctl start ${unit}`);
        assert.equal(await property(unit, 'SubState'), 'running');
        const pid = await property(unit, 'MainPID');
        assert.equal((await machine.done(`stat -c %U /proc/${pid}`)).trim(), unit);
      }
      // Whoever is told that it runs can use it at once.
      await waybill('dp add PS1DP1 --address ps1:8531');
      await machine.done('mkdir -p /srv/source && cp -r /usr/share/doc/apt /srv/source/');
      await waybill('package create --name Docs --source /srv/source');
      await waybill('package distribute PS100001 --dp PS1DP1 --wait');
    });

    it('fence them in: what is not theirs cannot be written, seen or had', async () => {
      const site = await property('waybill-site', 'MainPID');
      const status = await machine.done(`cat /proc/${site}/status`);
      assert.match(status, /^NoNewPrivs:\t1$/m);
      assert.match(status, /^CapEff:\t0+$/m);
      assert.match(status, /^Seccomp:\t2$/m);
      const mounts = await machine.done(`cat /proc/${site}/mounts`);
      assert.match(mounts, /^\S+ \/ \S+ ro,/m);
      assert.match(mounts, /^\S+ \/var\/lib\/waybill-site \S+ rw,/m);
      const dp = await property('waybill-dp', 'MainPID');
      assert.doesNotMatch(await machine.done(`cat /proc/${dp}/mounts`), /waybill-site \S+ rw,/);
    });

    it('let metrics be read out of that fence (ADM-7)', async () => {
      const metricsAt = (port: number) =>
        machine.done(
          `/usr/lib/waybill/bin/node -e "fetch('http://127.0.0.1:${port}/metrics').then(async (one) => console.log(await one.text()))"`,
        );
      assert.match(await metricsAt(9464), /^waybill_jobs_ended_total\{state="complete"\} 1$/m);
      const dp = await metricsAt(9465);
      assert.match(dp, /^waybill_content_free_bytes [1-9]\d*$/m);
      // What the kernel says of the process, with ProcSubset=pid.
      assert.match(dp, /^process_open_fds [1-9]\d*$/m);
      assert.match(dp, /^process_virtual_memory_bytes [1-9]\d*$/m);
    });

    it('start one again that was killed', async () => {
      const pid = await property('waybill-dp', 'MainPID');
      await machine.done(`kill -KILL ${pid}`);
      await until(async () => {
        const now = await property('waybill-dp', 'MainPID');
        return now !== pid && now !== '0' && (await isActive('waybill-dp')) === 'active';
      });
      assert.equal(await property('waybill-dp', 'NRestarts'), '1');
    });

    it('end one that gives no signs of life, and start it again', async () => {
      const place = '/etc/systemd/system/waybill-dp.service.d';
      const settings = '[Service]\\nWatchdogSec=3s\\nRestartSec=1s\\n';
      await machine.done(`mkdir -p ${place}; printf '${settings}' > ${place}/soon.conf`);
      await machine.done('systemctl daemon-reload; systemctl restart waybill-dp');
      const pid = await property('waybill-dp', 'MainPID');
      // Longer than the time in which a sign of life must come.
      await sleep(6_000);
      assert.equal(await property('waybill-dp', 'MainPID'), pid);
      await machine.done(`kill -STOP ${pid}`);
      await until(async () => {
        const now = await property('waybill-dp', 'MainPID');
        return now !== pid && now !== '0' && (await isActive('waybill-dp')) === 'active';
      });
      const { stdout } = await machine.run('journalctl -u waybill-dp --no-pager');
      assert.match(stdout, /Watchdog timeout/);
      await machine.done(`rm -r ${place}; systemctl daemon-reload; systemctl restart waybill-dp`);
    });

    it('keep configuration, content and identity at an upgrade, and run on with the new programs', async () => {
      await machine.done('echo "WAYBILL_DP_LOG_LEVEL=debug" >> /etc/default/waybill-dp');
      const kept =
        'cat /etc/waybill/*.yaml /etc/default/waybill-* /var/lib/waybill-*/identity/* | sha256sum';
      const before = await machine.done(kept);
      const pids = await Promise.all(
        ['waybill-site', 'waybill-dp'].map((unit) => property(unit, 'MainPID')),
      );
      await install(newer);
      assert.equal(await machine.done(kept), before);
      for (const [index, unit] of ['waybill-site', 'waybill-dp'].entries()) {
        assert.equal(await isActive(unit), 'active');
        assert.notEqual(await property(unit, 'MainPID'), pids[index]);
        assert.equal((await machine.done(`${unit} --version`)).trim(), newVersion);
      }
      assert.match(await waybill('site show'), /0\.1\.1~test/);
      await waybill('package distribute PS100001 --dp PS1DP1 --wait');
      const problems = await machine.run('dpkg --audit');
      assert.equal(problems.stdout, '');
    });

    it('never run an agent on programs of another version', async () => {
      // The last stop of an agent comes before the first file of the new programs.
      const log = await machine.done('cat /var/log/dpkg.log');
      const unpacked = log.indexOf(`upgrade waybill:amd64 ${oldVersion} ${newVersion}`);
      assert(unpacked > 0, log);
      for (const unit of ['waybill-site', 'waybill-dp']) {
        const { stdout } = await machine.run(
          `journalctl -u ${unit} -o short-unix --no-pager | grep -E 'Stopped|Started' | tail -2`,
        );
        const [stopped = '', started = ''] = stdout.trim().split('\n');
        assert.match(stopped, /Stopped/);
        assert.match(started, /Started/);
        const { stdout: changed } = await machine.run('stat -c %.Z /usr/lib/waybill/package.json');
        assert(Number.parseFloat(stopped) < Number.parseFloat(changed), `${stopped} ${changed}`);
        assert(Number.parseFloat(started) > Number.parseFloat(changed), `${started} ${changed}`);
      }
    });

    it('leave content, identity and configuration when they are removed, and say so', async () => {
      const said = await machine.done('apt-get remove -y waybill-dp waybill-site');
      assert.match(said, /Kept: \/var\/lib\/waybill-dp \(content and identity\)/);
      for (const unit of ['waybill-site', 'waybill-dp']) {
        assert.notEqual(await isActive(unit), 'active');
        await machine.done(`test -d /var/lib/${unit}/identity && test -d /var/lib/${unit}`);
      }
      await machine.done('test -f /etc/waybill/dp.yaml && test -f /etc/default/waybill-dp');
    });

    it('take up again what was left, when they come back', async () => {
      await install(newer);
      for (const unit of ['waybill-site', 'waybill-dp'])
        assert.equal(await isActive(unit), 'active');
      assert.match(await waybill('status PS100001'), /PS1DP1/);
    });

    it('delete what a package had when it is purged, and only that, and say so', async () => {
      const said = await machine.done('apt-get purge -y waybill-dp');
      assert.match(said, /Deleting \/var\/lib\/waybill-dp/);
      const gone = ['/var/lib/waybill-dp', '/etc/waybill/dp.yaml', '/etc/default/waybill-dp'];
      for (const path of gone) await machine.done(`test ! -e ${path}`);
      assert.equal(await isActive('waybill-site'), 'active');
      await machine.done('test -f /etc/waybill/site.yaml');
      await machine.done('apt-get purge -y waybill-site waybill');
      for (const path of ['/var/lib/waybill-site', '/etc/waybill', '/usr/lib/waybill']) {
        await machine.done(`test ! -e ${path}`);
      }
      const left = await machine.run('systemctl list-unit-files "waybill*" --no-legend');
      assert.equal(left.stdout.trim(), '');
    });
  });
}
