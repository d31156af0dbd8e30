import assert from 'node:assert/strict';
import { systemClock } from '../../shared/runtime/clock.ts';
import { loadConfig } from '../../shared/runtime/load-config.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { authoritySettings } from '../certificate-authority/authority-config.ts';
import { type SiteConfig, siteConfigSchema } from '../site-config.ts';
import { retireRootOf, rotateRootOf } from './authority-commands.ts';
import { setUpSite } from './site-setup.ts';

describe('commands that change the root', () => {
  let place: TemporaryDirectory;
  let config: SiteConfig;
  let told: string[];
  const tell = (line: string) => told.push(line);
  const configFile = () => place.join('site.yaml');

  beforeEach(async () => {
    place = await TemporaryDirectory.create();
    told = [];
    const user = { name: 'alice', homeDirectory: place.join('home') };
    const settings = authoritySettings.parse({});
    await setUpSite(
      { clock: systemClock, settings, user },
      {
        ...{ siteCode: 'CS1', kind: 'primary', adminName: 'alice', listen: '127.0.0.1:8530' },
        ...{ configFile: configFile(), dataDirectory: place.join('data') },
      },
    );
    config = await loadConfig({
      ...{ schema: siteConfigSchema, file: configFile(), flags: {} },
      ...{ environment: {}, environmentPrefix: 'WAYBILL_SITE_' },
    });
  });
  afterEach(() => place[Symbol.asyncDispose]());

  it('say what is next, with the configuration they were given', async () => {
    await rotateRootOf(config, { isForced: false, configFile: configFile() }, tell);
    const backup = `  waybill-site backup-authority --config ${configFile()} --out FILE`;
    assert.ok(
      told.includes(`  waybill-site retire-root --config ${configFile()}`),
      told.join('\n'),
    );
    assert.equal(told.at(-1), backup);
    told = [];
    await retireRootOf(config, { isForced: true, configFile: configFile() }, tell);
    assert.match(told.join('\n'), /^Only the newest root counts.*\nNobody knows who stands on/);
    assert.equal(told.at(-1), backup);
  });
});
