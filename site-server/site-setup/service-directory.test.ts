import assert from 'node:assert/strict';
import {
  chmod,
  lchown,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../shared/runtime/clock.ts';
import { loadConfig } from '../../shared/runtime/load-config.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { authoritySettings } from '../certificate-authority/authority-config.ts';
import { type SiteConfig, siteConfigSchema } from '../site-config.ts';
import { makeAdministrator } from './administrator-command.ts';
import {
  backUpAuthorityOf,
  restoreAuthorityOf,
  retireRootOf,
  rotateRootOf,
} from './authority-commands.ts';
import { setUpSite } from './site-setup.ts';

/** What root does in directories that others own, and have put links to files of the system into. */
describe('commands of root in a directory of the user of the service', () => {
  const service = { uid: 12_345, gid: 12_346 };
  const alice = { uid: 12_347, gid: 12_348 };
  const tell = () => {};
  let place: TemporaryDirectory;
  let config: SiteConfig;
  const data = (...names: string[]) => place.join('data', ...names);
  /** A file of the system that only root may change, and its directory. */
  const system = (...names: string[]) => place.join('system', ...names);
  const user = () => ({ name: 'alice', homeDirectory: place.join('home'), owner: alice });
  const setUp = (other: { readonly siteCode?: string; readonly configFile?: string } = {}) =>
    setUpSite(
      {
        ...{ clock: systemClock, settings: authoritySettings.parse({}) },
        ...{ user: user(), owner: service },
      },
      {
        ...{ siteCode: 'CS1', kind: 'central-administration', adminName: 'alice' },
        ...{ listen: '0.0.0.0:8530', dataDirectory: data(), configFile: place.join('site.yaml') },
        ...other,
      },
    );
  const ownersIn = async (directory: string) => {
    const names = await readdir(directory, { recursive: true });
    const all = await Promise.all(names.map((name) => stat(join(directory, name))));
    return [...new Set(all.map(({ uid, gid }) => `${uid}:${gid}`))];
  };
  const requireSystemUntouched = async () => {
    assert.deepEqual(await readdir(system()), ['passwd']);
    assert.equal(await readFile(system('passwd'), 'utf8'), 'root');
    const { uid, gid, mode } = await stat(system('passwd'));
    assert.deepEqual([uid, gid, mode & 0o777], [0, 0, 0o600]);
  };
  /** As whoever has the service's user would. */
  const plant = async (target: string, path: string, { uid, gid } = service) => {
    await symlink(target, path);
    await lchown(path, uid, gid);
  };

  beforeEach(async function () {
    if (process.getuid?.() !== 0) return this.skip();
    place = await TemporaryDirectory.create();
    await chmod(place.path, 0o755);
    await mkdir(system(), { mode: 0o700 });
    await writeFile(system('passwd'), 'root', { mode: 0o600 });
    for (const [path, { uid, gid }] of [
      [data(), service],
      [place.join('home'), alice],
    ] as const) {
      await mkdir(path, { mode: 0o700 });
      await lchown(path, uid, gid);
    }
    await setUp();
    config = await loadConfig({
      ...{ schema: siteConfigSchema, file: place.join('site.yaml'), flags: {} },
      ...{ environment: {}, environmentPrefix: 'WAYBILL_SITE_' },
    });
  });
  afterEach(() => place?.[Symbol.asyncDispose]());

  const clock = { nowMs: () => systemClock.nowMs(), sleep: async () => {} };

  it('make files that belong to whoever owns the directory', async () => {
    await rotateRootOf(config, { isForced: false, configFile: place.join('site.yaml') }, tell);
    await retireRootOf(config, { isForced: true, configFile: place.join('site.yaml') }, tell);
    const owner = { name: 'alice', role: 'full' } as const;
    await makeAdministrator({ clock, user: user() }, config, owner);
    assert.deepEqual(await ownersIn(data()), [`${service.uid}:${service.gid}`]);
    assert.deepEqual(await ownersIn(place.join('home')), [`${alice.uid}:${alice.gid}`]);
    await backUpAuthorityOf(config, { file: place.join('backup') }, tell);
    await rm(data('authority'), { recursive: true });
    await rm(data('identity'), { recursive: true });
    await restoreAuthorityOf(config, { file: place.join('backup') }, tell);
    assert.deepEqual(await ownersIn(data()), [`${service.uid}:${service.gid}`]);
    assert.equal((await stat(place.join('backup'))).uid, 0);
    assert.equal(process.geteuid?.(), 0);
  });

  it('write through no link of a lock, and give nothing away by one', async () => {
    await mkdir(data('authority.lock'));
    await lchown(data('authority.lock'), service.uid, service.gid);
    await plant(system('passwd'), data('authority.lock', 'x'));
    await plant(system('passwd'), data('authority.lock', 'pid'));
    await rotateRootOf(config, { isForced: false, configFile: place.join('site.yaml') }, tell);
    await retireRootOf(config, { isForced: true, configFile: place.join('site.yaml') }, tell);
    await requireSystemUntouched();
  });

  it('put no key into a directory that a link leads to', async () => {
    await backUpAuthorityOf(config, { file: place.join('backup') }, tell);
    await rm(data('authority'), { recursive: true });
    await rm(data('identity'), { recursive: true });
    await plant(system(), data('identity'));
    const restoring = restoreAuthorityOf(config, { file: place.join('backup') }, tell);
    await assert.rejects(restoring, { code: /^(EACCES|CERTIFICATE_INVALID)$/ });
    await requireSystemUntouched();
  });

  it('set nothing up in a directory that a link leads to', async () => {
    for (const path of [data('authority'), data('identity'), place.join('home', '.config')]) {
      await rm(path, { recursive: true });
    }
    await rm(place.join('site.yaml'));
    await plant(system(), data('identity'));
    await assert.rejects(setUp(), { code: 'SETUP_UNFINISHED' });
    await requireSystemUntouched();
  });

  it('say of all that was begun that it is to be removed, the administrator’s files too', async () => {
    await rm(place.join('site.yaml'));
    const refusal = await setUp({ siteCode: 'PS1' }).catch((error: unknown) => error);
    assert.match(String(refusal), /there is an authority already, .*it was not ended/);
    for (const path of [data('authority'), data('identity')]) {
      assert.ok(String(refusal).includes(path), path);
    }
    for (const name of ['agent.pem', 'roots.crt', 'config.yaml']) {
      const path = place.join('home', '.config', 'waybill', name);
      assert.ok(String(refusal).includes(path), path);
    }
  });

  it('never say that a site is to be begun anew of which the service cannot see the configuration', async () => {
    for (const path of [data('authority'), data('identity'), place.join('home', '.config')]) {
      await rm(path, { recursive: true });
    }
    await rm(place.join('site.yaml'));
    await setUp({ configFile: system('site.yaml') });
    const refusal = await setUp({ configFile: place.join('other.yaml') }).catch(String);
    assert.match(String(refusal), /is set up with the configuration/);
    assert.doesNotMatch(String(refusal), /rm -r/);
  });

  it('set nothing up, and write nothing, where the administrator may not write', async () => {
    for (const path of [data('authority'), data('identity'), place.join('home', '.config')]) {
      await rm(path, { recursive: true });
    }
    await rm(place.join('site.yaml'));
    await chmod(place.join('home'), 0o500);
    const message = /nothing can be written in .*home: its permissions do not allow it; /;
    await assert.rejects(setUp(), { code: 'AUTHORITY_CONFLICT', message });
    assert.deepEqual(await readdir(data()), []);
    await chmod(place.join('home'), 0o700);
    await setUp();
  });

  it('give an administrator nothing in a directory that his link leads to', async () => {
    await rm(place.join('home', '.config'), { recursive: true });
    await plant(system(), place.join('home', '.config'), alice);
    const owner = { name: 'alice', role: 'full' } as const;
    const making = makeAdministrator({ clock, user: user() }, config, owner);
    await assert.rejects(making, { code: /^(EACCES|CERTIFICATE_INVALID)$/ });
    await requireSystemUntouched();
  });
});
