import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { readPeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import { systemClock } from '../../shared/runtime/clock.ts';
import { loadConfig } from '../../shared/runtime/load-config.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { authoritySettings } from '../certificate-authority/authority-config.ts';
import { siteConfigSchema } from '../site-config.ts';
import type { SetupRequest } from './setup-places.ts';
import { setUpSite } from './site-setup.ts';

/** The frames of a key and its certificate, and nothing in them. */
const spoiltPair = ['PRIVATE KEY', 'CERTIFICATE']
  .map((label) => `-----BEGIN ${label}-----\nAAAA\n-----END ${label}-----\n`)
  .join('');

describe('setting up a site', () => {
  let place: TemporaryDirectory;
  let request: SetupRequest;
  const home = () => place.join('home');
  const admin = (name: string) => join(home(), '.config', 'waybill', name);
  const setUp = (other: Partial<SetupRequest> = {}) =>
    setUpSite(
      {
        clock: systemClock,
        settings: authoritySettings.parse({}),
        user: { name: 'alice', homeDirectory: home() },
      },
      { ...request, ...other },
    );
  const filesIn = async (directory: string): Promise<Record<string, string>> => {
    const names = await readdir(directory, { recursive: true, withFileTypes: true });
    const files = names.filter((one) => one.isFile());
    const texts = files.map(async ({ name, parentPath }) => {
      const path = join(parentPath, name);
      return [path, await readFile(path, 'utf8')] as const;
    });
    return Object.fromEntries(await Promise.all(texts));
  };
  const configOf = (file: string) =>
    loadConfig({
      ...{ schema: siteConfigSchema, file, flags: {} },
      ...{ environment: {}, environmentPrefix: 'WAYBILL_SITE_' },
    });
  const conflict = (message: RegExp) => ({ code: 'AUTHORITY_CONFLICT', message });

  beforeEach(async () => {
    place = await TemporaryDirectory.create();
    request = {
      siteCode: 'CS1',
      kind: 'central-administration',
      listen: '0.0.0.0:8530',
      dataDirectory: place.join('data'),
      configFile: place.join('etc', 'waybill', 'site.yaml'),
      adminName: 'alice',
    };
  });
  afterEach(() => place[Symbol.asyncDispose]());

  it('makes everything a site server and its first administrator need', async () => {
    const result = await setUp();
    assert.equal(result.adminConfigFile, admin('config.yaml'));
    const config = await configOf(request.configFile);
    assert.deepEqual([config.siteCode, config.kind], ['CS1', 'central-administration']);
    const site = await readPeerCredentials(config.certificates);
    assert.deepEqual(site.identity, { kind: 'site', siteCode: 'CS1' });
    const own = parse(await readFile(admin('config.yaml'), 'utf8')) as Record<string, string>;
    assert.deepEqual(own, {
      ...{
        server: 'localhost:8530',
        serverSite: 'CS1',
        ca: 'roots.crt',
        cert: 'agent.pem',
        key: 'agent.pem',
      },
      renewal: 'localhost:8532',
    });
    const { identity } = await readPeerCredentials({
      ...{ caFile: admin('roots.crt'), certificateFile: admin('agent.pem') },
      keyFile: admin('agent.pem'),
    });
    assert.deepEqual(identity, { kind: 'admin', role: 'full', name: 'alice' });
  });

  it('keeps what it makes to its owner', async () => {
    await setUp();
    const secret = { ...(await filesIn(place.join('data'))), ...(await filesIn(home())) };
    assert.ok(Object.keys(secret).length >= 8);
    for (const path of Object.keys(secret)) {
      assert.equal((await stat(path)).mode & 0o777, 0o600, path);
      assert.equal((await stat(dirname(path))).mode & 0o777, 0o700, dirname(path));
    }
  });

  it('says what was asked for in the configuration, and nothing else', async () => {
    await setUp({ listen: '127.0.0.1:9000', kind: 'primary' });
    const text = await readFile(request.configFile, 'utf8');
    assert.deepEqual(Object.keys(parse(text) as object), [
      ...['siteCode', 'kind', 'listen', 'dataDirectory', 'certificates'],
    ]);
    assert.match(text, /^# Made by "waybill-site init"/);
    assert.match(await readFile(admin('config.yaml'), 'utf8'), /server: 127\.0\.0\.1:9000/);
  });

  it('overwrites no configuration, and changes nothing then', async () => {
    await setUp();
    const before = await filesIn(place.path);
    await assert.rejects(setUp(), conflict(/site\.yaml: there is a configuration already/));
    const other = setUp({ siteCode: 'PS9' });
    await assert.rejects(
      other,
      conflict(/already, that of site CS1, so it is set up; name another/),
    );
    assert.deepEqual(await filesIn(place.path), before);
    for (const text of ['siteCode: [', 'nothing', 'siteCode: nowhere']) {
      await writeFile(request.configFile, text);
      await assert.rejects(setUp(), conflict(/already, so this site is set up; name another/));
    }
  });

  it('overwrites no configuration of waybill that is somebody else’s', async () => {
    await mkdir(dirname(admin('config.yaml')), { recursive: true });
    await writeFile(admin('config.yaml'), 'server: elsewhere:8530\n');
    await assert.rejects(setUp(), conflict(/configuration of waybill already/));
    await assert.rejects(stat(request.dataDirectory), { code: 'ENOENT' });
    await rm(admin('config.yaml'));
    await setUp();
    // The same for a second site of the same user.
    const second = { configFile: place.join('other.yaml'), dataDirectory: place.join('other') };
    await assert.rejects(setUp({ ...second, siteCode: 'CS2' }), conflict(/of waybill already/));
    await assert.rejects(setUp({ ...second, adminName: 'bob' }), conflict(/of waybill already/));
  });

  it('takes no data directory of another site', async () => {
    await setUp();
    const other = place.join('other.yaml');
    await assert.rejects(
      setUp({ configFile: other, siteCode: 'PS1' }),
      conflict(/there is an authority already, CN=Waybill site authority CS1; .*--data/),
    );
    await mkdir(place.join('old', 'state-store'), { recursive: true });
    await assert.rejects(
      setUp({ configFile: other, dataDirectory: place.join('old') }),
      conflict(/a site has worked in this data directory/),
    );
  });

  it('takes no second configuration for a site that is set up, and makes no administrator for it', async () => {
    await setUp();
    const before = await filesIn(place.path);
    const other = { configFile: place.join('other.yaml'), adminName: 'eve' };
    const refused = conflict(
      /is set up with the configuration .*site\.yaml; .*"waybill-site admin"/,
    );
    await rm(home(), { recursive: true });
    await assert.rejects(setUp(other), refused);
    await assert.rejects(stat(home()), { code: 'ENOENT' });
    // As an older program has left it, which said nothing of it: once it has worked.
    await rm(join(request.dataDirectory, 'authority', 'set-up-with'));
    await mkdir(join(request.dataDirectory, 'state-store'));
    await assert.rejects(setUp(other), conflict(/a site works in this data directory already/));
    assert.ok(Object.keys(before).length > 0);
  });

  it('goes on after a crash at each step, with what is there', async () => {
    await setUp();
    const whole = await filesIn(place.path);
    const authorityDirectory = join(request.dataDirectory, 'authority');
    const steps = [
      request.configFile,
      admin('config.yaml'),
      admin('roots.crt'),
      admin('agent.pem'),
      join(request.dataDirectory, 'identity'),
    ];
    const gone: string[] = [];
    for (const step of steps) {
      gone.push(step);
      for (const path of gone) await rm(path, { recursive: true, force: true });
      await setUp();
      const again = await filesIn(place.path);
      assert.deepEqual(Object.keys(again).toSorted(), Object.keys(whole).toSorted());
      const keys = Object.keys(whole).filter((path) => path.startsWith(authorityDirectory));
      for (const path of keys.filter((one) => !one.includes('issued-earlier'))) {
        assert.equal(again[path], whole[path], path);
      }
      await readPeerCredentials((await configOf(request.configFile)).certificates);
    }
    // Killed while the authority was made: nobody has seen any of it.
    await rm(place.path, { recursive: true });
    await mkdir(`${authorityDirectory}.new`, { recursive: true });
    await writeFile(join(`${authorityDirectory}.new`, 'authority.pem'), 'half');
    await setUp();
    await readPeerCredentials((await configOf(request.configFile)).certificates);
  });

  it('looks whether everything can be written before it writes anything', async () => {
    const file = place.join('file');
    await writeFile(file, 'a file, beneath which nothing can be made');
    const before = await filesIn(place.path);
    const there = conflict(/file is there and is no directory; .*Nothing was changed$/);
    await assert.rejects(setUp({ dataDirectory: join(file, 'data') }), there);
    await assert.rejects(setUp({ configFile: join(file, 'etc', 'site.yaml') }), there);
    await writeFile(home(), 'no home');
    await assert.rejects(
      setUp(),
      conflict(/home is there and is no directory; call this as a user/),
    );
    await rm(home());
    assert.deepEqual(await filesIn(place.path), before);
    assert.deepEqual(await readdir(place.path), ['file']);
    await setUp();
  });

  it('reads the passphrase before it writes anything', async () => {
    const rootPassphraseFile = place.join('passphrase');
    await assert.rejects(setUp({ rootPassphraseFile }), { code: 'CERTIFICATE_INVALID' });
    assert.deepEqual(await readdir(place.path), []);
  });

  /** Does what a refusal says is to be done first. */
  async function begunAnew(error: unknown): Promise<void> {
    const removal = /first: (rm -r .*?)(\. Nothing was changed)?$/.exec(String(error))?.[1] ?? '';
    assert.notEqual(removal, '', String(error));
    await promisify(execFile)('/bin/sh', ['-c', removal]);
  }

  it('says how to begin again when it fails half way', async () => {
    await mkdir(request.dataDirectory, { mode: 0o700 });
    const identity = join(request.dataDirectory, 'identity');
    await writeFile(identity, 'where a directory is to be');
    const failure = await setUp().catch((error: unknown) => error);
    assert.match(String(failure), /identity.* cannot be .*call the same again, which goes on/);
    assert.equal((failure as { code?: string }).code, 'SETUP_UNFINISHED');
    // The same goes on, and another one begins anew.
    await begunAnew(failure);
    await setUp({ siteCode: 'PS1', kind: 'primary' });
    assert.equal((await configOf(request.configFile)).siteCode, 'PS1');
  });

  it('says what to remove when an earlier call with other options was killed', async () => {
    const rootPassphraseFile = place.join('passphrase');
    await writeFile(rootPassphraseFile, 'correct horse battery staple\n', { mode: 0o600 });
    for (const [other, words] of [
      [{ siteCode: 'PS1' }, /there is an authority already, CN=.*CS1; it was not ended/],
      [
        { configFile: place.join('other.yaml') },
        /begun with --config .*site\.yaml; it was not end/,
      ],
      [{ rootPassphraseFile }, /key of the root was made without --root-passphrase-file; it was/],
    ] as const) {
      await setUp();
      await rm(request.configFile);
      const before = await filesIn(place.path);
      const refusal = await setUp(other).catch((error: unknown) => error);
      assert.match(String(refusal), words);
      assert.deepEqual(await filesIn(place.path), before);
      await begunAnew(refusal);
      await setUp(other);
      await rm(place.join('data'), { recursive: true });
      await rm(home(), { recursive: true });
      await rm(other.configFile ?? request.configFile);
    }
  });

  it('never says to remove the key of another hierarchy’s administrator', async () => {
    await setUp();
    const production = await filesIn(home());
    await rm(home(), { recursive: true });
    await rm(request.dataDirectory, { recursive: true });
    await rm(request.configFile);
    // Begun by alice, of whom nothing was made yet; bob, of another hierarchy, calls it with other options.
    await setUp();
    await rm(request.configFile);
    for (const [path, text] of Object.entries(production)) await writeFile(path, text);
    const refusal = await setUp({ siteCode: 'PS1' }).catch((error: unknown) => error);
    await begunAnew(refusal);
    assert.deepEqual(await filesIn(place.path), production);
    // The same for what cannot be told whose it is.
    await rm(home(), { recursive: true });
    await setUp();
    await rm(request.configFile);
    for (const text of ['no key', spoiltPair]) {
      await writeFile(admin('agent.pem'), text);
      const unclear = await setUp({ siteCode: 'PS1' }).catch((error: unknown) => error);
      assert.match(String(unclear), /rm -r/);
      assert.doesNotMatch(String(unclear), /agent\.pem/);
    }
  });

  it('says that an administrator’s key which is spoilt is in the way', async () => {
    await setUp();
    await rm(request.configFile);
    await writeFile(admin('agent.pem'), spoiltPair);
    await assert.rejects(setUp(), conflict(/there is a configuration of waybill already/));
    assert.equal(await readFile(admin('agent.pem'), 'utf8'), spoiltPair);
  });

  it('never says to remove the keys of a site that has worked', async () => {
    await setUp();
    await rm(request.configFile);
    await mkdir(join(request.dataDirectory, 'state-store'));
    const refusal = await setUp({ siteCode: 'PS1' }).catch((error: unknown) => error);
    assert.match(String(refusal), /there is an authority already/);
    await rm(join(request.dataDirectory, 'identity'), { recursive: true });
    await writeFile(join(request.dataDirectory, 'identity'), 'where a directory is to be');
    const failure = await setUp().catch((error: unknown) => error);
    assert.match(String(failure), /not set up yet/);
    for (const one of [refusal, failure]) assert.doesNotMatch(String(one), /rm -r/);
  });

  it('encrypts the key of the root when it is given a passphrase', async () => {
    const path = place.join('passphrase');
    await writeFile(path, 'correct horse battery staple\n', { mode: 0o600 });
    await setUp({ rootPassphraseFile: path });
    const config = await configOf(request.configFile);
    assert.equal(config.authority.rootPassphraseFile, path);
    const texts = Object.entries(await filesIn(join(request.dataDirectory, 'authority')));
    const [rootKey] = texts.filter(([name]) => name.endsWith('.key'));
    assert.match(rootKey?.[1] ?? '', /BEGIN ENCRYPTED PRIVATE KEY/);
    assert.ok(texts.every(([, text]) => !text.includes('horse')));
  });
});
