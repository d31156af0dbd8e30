import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import { toIdentityUri } from '../../shared/domain/peer-identity.ts';
import { isRevoked } from '../../shared/domain/revocation.ts';
import { readPeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import { systemClock } from '../../shared/runtime/clock.ts';
import { loadConfig } from '../../shared/runtime/load-config.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { authoritySettings } from '../certificate-authority/authority-config.ts';
import { type SiteConfig, siteConfigSchema } from '../site-config.ts';
import { makeAdministrator } from './administrator-command.ts';
import { setUpSite } from './site-setup.ts';

describe('making an administrator when all have lost their keys', () => {
  let place: TemporaryDirectory;
  let config: SiteConfig;
  const file = (name: string) => place.join('home', '.config', 'waybill', name);
  // A second ago: what is made has begun.
  const clock = { nowMs: () => systemClock.nowMs() - 1000, sleep: async () => {} };
  const user = () => ({ name: 'alice', homeDirectory: place.join('home') });
  const make = (name: string, role: 'full' | 'operator' = 'full', of = config) =>
    makeAdministrator({ clock, user: user() }, of, { name, role });
  const identityUri = async () => {
    const [caFile, keyFile] = [file('roots.crt'), file('agent.pem')];
    const files = { caFile, keyFile, certificateFile: keyFile };
    return toIdentityUri((await readPeerCredentials(files)).identity);
  };

  beforeEach(async () => {
    place = await TemporaryDirectory.create();
    const configFile = place.join('site.yaml');
    const settings = authoritySettings.parse({});
    await setUpSite(
      { clock: systemClock, settings, user: user() },
      {
        ...{ siteCode: 'CS1', kind: 'central-administration', adminName: 'alice', configFile },
        ...{ listen: '0.0.0.0:8530', enrollmentListen: '0.0.0.0:9532' },
        dataDirectory: place.join('data'),
      },
    );
    config = await loadConfig({
      ...{ schema: siteConfigSchema, file: configFile, flags: {} },
      ...{ environment: {}, environmentPrefix: 'WAYBILL_SITE_' },
    });
  });
  afterEach(() => place[Symbol.asyncDispose]());

  it('gives the user credentials and a configuration, as init does', async () => {
    await rm(join(place.join('home'), '.config'), { recursive: true });
    assert.equal(await make('carol', 'operator'), file('config.yaml'));
    assert.equal(await identityUri(), 'waybill://admin/operator/carol');
    assert.deepEqual(parse(await readFile(file('config.yaml'), 'utf8')), {
      ...{
        server: 'localhost:8530',
        serverSite: 'CS1',
        ca: 'roots.crt',
        cert: 'agent.pem',
        key: 'agent.pem',
      },
      renewal: 'localhost:9532',
    });
    for (const name of ['config.yaml', 'roots.crt', 'agent.pem']) {
      assert.equal((await stat(file(name))).mode & 0o777, 0o600, name);
    }
  });

  it('gives whoever has credentials of this name new ones, also after a crash', async () => {
    const before = await readFile(file('agent.pem'), 'latin1');
    await rm(file('config.yaml'));
    await make('alice');
    assert.notEqual(await readFile(file('agent.pem'), 'latin1'), before);
    assert.equal(await identityUri(), 'waybill://admin/full/alice');
    await stat(file('config.yaml'));
  });

  it('gives a certificate that begins after a revocation of a moment ago, and waits until it begins', async () => {
    const nowMs = Math.floor(systemClock.nowMs() / 1000) * 1000 + 700;
    const slept: number[] = [];
    const moment = { nowMs: () => nowMs, sleep: async (ms: number) => void slept.push(ms) };
    const whom = { name: 'alice', role: 'full' } as const;
    await makeAdministrator({ clock: moment, user: user() }, config, whom);
    const { validFrom } = new X509Certificate(await readFile(file('agent.pem')));
    assert.ok(!isRevoked(Date.parse(validFrom), { revokedAtMs: nowMs }), validFrom);
    assert.deepEqual(slept, [300]);
  });

  it('overwrites nothing of another administrator or hierarchy', async () => {
    const conflict = { code: 'AUTHORITY_CONFLICT', message: /configuration of waybill already/ };
    const before = await readFile(file('agent.pem'), 'latin1');
    await assert.rejects(make('bob'), conflict);
    assert.equal(await readFile(file('agent.pem'), 'latin1'), before);
    await rm(file('agent.pem'));
    await mkdir(dirname(file('config.yaml')), { recursive: true });
    await writeFile(file('config.yaml'), 'server: elsewhere:8530\n');
    await assert.rejects(make('alice'), conflict);
    assert.equal(await readFile(file('config.yaml'), 'utf8'), 'server: elsewhere:8530\n');
  });

  it('is for the top site alone, which has the root', async () => {
    const conflict = { code: 'AUTHORITY_CONFLICT', message: /only the top site/ };
    await rm(join(config.dataDirectory, 'authority', 'trust-bundle.json'));
    await assert.rejects(make('alice'), conflict);
    await rm(join(config.dataDirectory, 'authority'), { recursive: true });
    await assert.rejects(make('alice'), conflict);
  });

  it('is written down for the next start of the site server', async () => {
    await rm(join(place.join('home'), '.config'), { recursive: true });
    await make('carol');
    const path = join(config.dataDirectory, 'authority', 'issued-earlier.json');
    assert.match(await readFile(path, 'utf8'), /waybill:\/\/admin\/full\/carol/);
  });
});
