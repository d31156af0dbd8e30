import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { UsageError } from './command-failure.ts';
import { connect, noConnectionFlags as noFlags, readConnectionConfig } from './connection.ts';
import { runWaybill } from './testing/run-waybill.ts';

const nowhere = { environment: {}, homeDirectory: '/nowhere' };

describe('which site server to ask', () => {
  const file = 'server: file:1\nca: ca.pem\ncert: /elsewhere/a.pem\nkey: keys/a.key\n';

  async function homeWith(text: string): Promise<TemporaryDirectory> {
    const home = await TemporaryDirectory.create();
    const path = home.join('.config', 'waybill', 'config.yaml');
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    return home;
  }

  it('stands in the file; its paths are seen from it', async () => {
    await using home = await homeWith(file);
    const config = await readConnectionConfig(noFlags, {
      environment: {},
      homeDirectory: home.path,
    });
    assert.deepEqual(config, {
      server: 'file:1',
      ca: home.join('.config', 'waybill', 'ca.pem'),
      cert: '/elsewhere/a.pem',
      key: home.join('.config', 'waybill', 'keys', 'a.key'),
    });
  });

  it('a variable wins over the file, an option over both; their paths are seen from here', async () => {
    await using home = await homeWith(file);
    const config = await readConnectionConfig(
      { ...noFlags, server: 'flag:3', key: 'flag.key' },
      {
        environment: {
          WAYBILL_SERVER: 'variable:2',
          WAYBILL_CA: 'variable.pem',
          WAYBILL_CERT: '',
          WAYBILL_DP_DATA_DIRECTORY: '/of/another/program',
        },
        homeDirectory: home.path,
      },
    );
    assert.deepEqual(config, {
      server: 'flag:3',
      ca: resolve('variable.pem'),
      cert: '/elsewhere/a.pem',
      key: resolve('flag.key'),
    });
  });

  it('names with the server the site that must answer there; another server is not of that site', async () => {
    await using home = await homeWith(`serverSite: CS1\n${file}`);
    const siteOf = async (flags: object, environment: Record<string, string> = {}) => {
      const surroundings = { environment, homeDirectory: home.path };
      const config = await readConnectionConfig({ ...noFlags, ...flags }, surroundings);
      return `${config.server} ${config.serverSite}`;
    };
    assert.equal(await siteOf({}), 'file:1 CS1');
    assert.equal(await siteOf({ serverSite: 'PS1' }), 'file:1 PS1');
    assert.equal(await siteOf({}, { WAYBILL_SERVER_SITE: 'PS2' }), 'file:1 PS2');
    const variables = { WAYBILL_SERVER: 'variable:2' };
    assert.equal(await siteOf({}, variables), 'variable:2 undefined');
    const both = { ...variables, WAYBILL_SERVER_SITE: 'PS2' };
    assert.equal(await siteOf({}, both), 'variable:2 PS2');
    assert.equal(await siteOf({ server: 'flag:3' }, both), 'flag:3 undefined');
    assert.equal(await siteOf({ server: 'flag:3', serverSite: 'PS1' }, both), 'flag:3 PS1');
    await assert.rejects(siteOf({}, { WAYBILL_SERVER_SITE: 'ps1' }), /a site code such as PS1/);
  });

  it('another file can be named, by a variable or an option', async () => {
    await using home = await homeWith(file);
    const config = home.join('.config', 'waybill', 'config.yaml');
    const byVariable = { environment: { WAYBILL_CONFIG: config }, homeDirectory: '/nowhere' };
    assert.equal((await readConnectionConfig(noFlags, byVariable)).server, 'file:1');
    assert.equal((await readConnectionConfig({ ...noFlags, config }, nowhere)).server, 'file:1');
  });

  it('what is set nowhere is named, with where it can be set', async () => {
    const flags = { ...noFlags, server: 'a:1', ca: 'ca.pem', cert: 'a.pem' };
    await assert.rejects(readConnectionConfig(flags, nowhere), (error: unknown) => {
      assert.ok(error instanceof UsageError);
      assert.equal(
        error.message,
        'expected --key; or set key in ~/.config/waybill/config.yaml, or WAYBILL_KEY',
      );
      return true;
    });
  });

  it('where nothing is set, it is told how one begins', async () => {
    const { exitCode, stderr } = await runWaybill('status', { surroundings: { connect } });
    assert.equal(exitCode, 2);
    assert.match(
      stderr,
      /^waybill: expected --server, .*\. To begin: "waybill-site init" sets .*, "waybill enroll" makes .*\n$/,
    );
  });

  it('a wrong file is refused as a whole, with exit code 2', async () => {
    await using home = await homeWith('server: nowhere\nsever: a:1\n');
    const config = home.join('.config', 'waybill', 'config.yaml');
    const { exitCode, stderr } = await runWaybill(`site --config ${config}`, {
      surroundings: { connect },
    });
    assert.equal(exitCode, 2);
    assert.match(stderr, /^waybill: Configuration .*config\.yaml is not valid:\n/);
    assert.match(
      stderr,
      /server \(from line 1\): expected host:port of a site server, .*, got "nowhere"/,
    );
    assert.match(stderr, /sever .from line 2.: unknown key "sever", did you mean "server"/);
  });

  it('a file that was named and is not there is refused', async () => {
    const line = 'site --config /nowhere/config.yaml';
    const { exitCode, stderr } = await runWaybill(line, { surroundings: { connect } });
    assert.equal(exitCode, 2);
    assert.match(
      stderr,
      /\/nowhere\/config\.yaml: expected a YAML file that can be read; there is no such file/,
    );
  });

  it('a certificate that cannot be read is named', async () => {
    const line =
      'site --server a:1 --ca /nowhere/ca.pem --cert /nowhere/a.pem --key /nowhere/a.key';
    const { exitCode, stderr } = await runWaybill(line, { surroundings: { connect } });
    assert.equal(exitCode, 1);
    assert.match(
      stderr,
      /^waybill: The file \/nowhere\/.* cannot be used: it cannot be read: there is no such file/,
    );
  });
});
