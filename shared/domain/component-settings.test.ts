import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  expectedSetting,
  isSettingValue,
  parseSettingName,
  parseSettingValue,
  settingDefinitionOf,
  settingNames,
  toSettingText,
} from './component-settings.ts';
import { parseObjectName } from './object-name.ts';

describe('Component settings (ADM-3, PTM-2)', () => {
  it('have names that a key may have, and ranges that hold something', () => {
    for (const name of settingNames) {
      const { min, max, description } = settingDefinitionOf(name);
      assert.equal(parseObjectName(name), name);
      assert.ok(min >= 1 && min < max, name);
      assert.match(description, /^[A-Z].*\.$/, name);
    }
    assert.equal(parseSettingName('packages-at-once'), 'packages-at-once');
    assert.equal(parseSettingName('toString'), undefined);
  });

  for (const [name, text, value] of [
    ['packages-at-once', '5', 5],
    ['packages-at-once', '50', 50],
    ['job-retry-first-delay', '100ms', 100],
    ['job-retry-first-delay', '30s', 30_000],
    ['job-retry-longest-delay', '2h', 7_200_000],
    ['job-retry-longest-delay', '7d', 604_800_000],
  ] as const) {
    it(`${name}=${text} is ${value}, and is written so`, () => {
      assert.equal(parseSettingValue(name, text), value);
      assert.equal(toSettingText(name, value), text);
    });
  }

  for (const [name, text] of [
    ['packages-at-once', '0'],
    ['packages-at-once', '51'],
    ['packages-at-once', '5s'],
    ['packages-at-once', '1.5'],
    ['packages-at-once', '-1'],
    ['packages-at-once', ''],
    ['packages-at-once', '99999999999999999999'],
    ['job-retry-first-delay', '30'],
    ['job-retry-first-delay', '99ms'],
    ['job-retry-first-delay', '25h'],
    ['job-retry-first-delay', '1w'],
  ] as const) {
    it(`${name}=${text} is refused`, () => {
      assert.equal(parseSettingValue(name, text), undefined);
    });
  }

  it('are read as they are written', () => {
    const setting = fc.constantFrom(...settingNames).chain((name) => {
      const { min, max } = settingDefinitionOf(name);
      return fc.record({ name: fc.constant(name), value: fc.integer({ min, max }) });
    });
    fc.assert(
      fc.property(setting, ({ name, value }) => {
        assert.equal(parseSettingValue(name, toSettingText(name, value)), value);
        assert.ok(isSettingValue(name, value));
      }),
    );
    assert.ok(!isSettingValue('packages-at-once', 1.5));
  });

  it('say what they may be', () => {
    assert.equal(expectedSetting('packages-at-once'), 'a whole number from 1 to 50');
    const time = 'a time from 100ms to 1d, such as 30s';
    assert.equal(expectedSetting('job-retry-first-delay'), time);
  });
});
