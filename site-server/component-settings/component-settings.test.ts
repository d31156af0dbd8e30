import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import {
  type SettingName,
  settingDefinitionOf,
  settingNames,
  toSettingText,
} from '../../shared/domain/component-settings.ts';
import { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { openTestMachine, type TestMachine } from '../distribution-manager/testing/test-site.ts';
import { siteConfigSchema } from '../site-config.ts';
import { ComponentSettings, settingPlaces } from './component-settings.ts';

const least = {
  siteCode: 'PS1',
  dataDirectory: '/data',
  certificates: { caFile: 'ca', certificateFile: 'crt', keyFile: 'key' },
};
const config = siteConfigSchema.parse(least);

describe('What is set for components, above the configuration (ADM-3, PTM-2)', () => {
  let machine: TestMachine;
  let settings: ComponentSettings<typeof config>;

  beforeEach(async () => {
    machine = await openTestMachine();
    settings = new ComponentSettings({ store: machine.store, siteCode: 'PS1' }, config);
    await settings.start();
  });

  afterEach(async () => {
    await settings.stop();
    await machine[Symbol.asyncDispose]();
  });

  async function set(settingName: string, value: number | undefined, siteCode = 'PS1') {
    const { store } = machine;
    const rows = store.records(keySpaces.componentSettings);
    const key = joinKey(siteCode, settingName);
    const row = { siteCode, settingName, value: value ?? 0 };
    await store.write([value === undefined ? rows.delete(key) : rows.put(key, row)], {
      sync: false,
    });
    await store.settled();
  }

  it('is read by components each time anew, and they are told', async () => {
    const live = settings.live('distribution', { lanes: 1, packagesMax: 9 });
    let toldCount = 0;
    const end = settings.onChanged(() => toldCount++);
    assert.deepEqual([live.packagesMax, live.lanes, live.lanesMax], [3, 1, 8]);
    await set('packages-at-once', 7);
    assert.deepEqual([live.packagesMax, toldCount], [7, 1]);
    await set('packages-at-once', undefined);
    assert.deepEqual([live.packagesMax, toldCount], [3, 2]);
    await set('packages-at-once', 8, 'PS2');
    assert.deepEqual([live.packagesMax, toldCount], [3, 2], 'that of another site is not ours');
    end();
    await set('packages-at-once', 4);
    assert.equal(toldCount, 2);
  });

  it('is there again after a restart', async () => {
    await set('sends-at-once', 2);
    const next = new ComponentSettings({ store: machine.store, siteCode: 'PS1' }, config);
    await next.start();
    assert.equal(next.live('sending').sendsMax, 2);
    assert.deepEqual([next.valueOf('sends-at-once'), next.configuredOf('sends-at-once')], [2, 5]);
    await next.stop();
  });

  for (const [what, settingName, value] of [
    ['out of range', 'packages-at-once', 1_000],
    ['no whole number', 'packages-at-once', 1.5],
    ['of a newer program', 'packages-at-twice', 4],
  ] as const) {
    it(`counts for nothing when it is ${what}`, async () => {
      await set(settingName, value);
      assert.equal(settings.live('distribution').packagesMax, 3);
    });
  }

  it('has the ranges that the configuration has', () => {
    for (const settingName of settingNames) {
      const { min, max } = settingDefinitionOf(settingName);
      const accepts = (value: number) => {
        const [section, key] = settingPlaces[settingName];
        return siteConfigSchema.safeParse({ ...least, [section]: { [key]: value } }).success;
      };
      assert.ok(accepts(min) && accepts(max), settingName);
      assert.ok(!accepts(min - 1), `${settingName} may be less in the configuration`);
    }
  });

  it('wakes nobody by itself when other rows are written', async () => {
    let toldCount = 0;
    settings.onChanged(() => toldCount++);
    const notifier = new ChangeNotifier({ store: machine.store });
    await machine.store.write([notifier.notification('package', 'PS100001')], { sync: false });
    await machine.store.settled();
    assert.equal(toldCount, 0);
  });

  it('is read by those who tell of what stands still, too', async () => {
    const live = settings.live('alarms');
    await set('alarm-dp-away', 90_000);
    assert.deepEqual(
      [live.noProgressMs, live.distributionPointAwayMs, Math.min(...Object.values(live))],
      [1_800_000, 90_000, 90_000],
    );
  });

  it('is described setting by setting in docs/settings.md', async () => {
    const page = new URL('../../../docs/settings.md', import.meta.url);
    if (process.env.UPDATE_DOCS === '1') await writeFile(page, settingsPage());
    assert.equal(await readFile(page, 'utf8'), settingsPage());
  });
});

function settingsPage(): string {
  const rowOf = (settingName: SettingName) => {
    const { min, max, description } = settingDefinitionOf(settingName);
    const text = (value: number) => toSettingText(settingName, value);
    const [section, key] = settingPlaces[settingName];
    const standard = (config[section] as unknown as Record<string, number>)[key] ?? 0;
    const range = `${text(min)} to ${text(max)}`;
    return `| \`${settingName}\` | ${range} | ${text(standard)} | \`${section}.${key}\` | ${description} |`;
  };
  return `# Settings

What an administrator sets for the components of a site while it runs: \`waybill settings set\`. Made from
\`shared/domain/component-settings.ts\` and held by a test: \`UPDATE_DOCS=1\` writes it anew.

A setting stands above the configuration of the site, which has its default under the key that is named. It
replicates to every site, and acts at the one it is of, at once: what waits for room is looked at again. What
runs already is not stopped by a lower limit, and a wait that has begun is not made shorter; a new delay counts
from the next failure on. A time is written as \`500ms\`, \`30s\`, \`10m\`, \`2h\` or \`7d\`.

| setting | values | default | key | what |
|---|---|---|---|---|
${settingNames.map(rowOf).join('\n')}
`;
}
