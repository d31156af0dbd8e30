import {
  expectedSetting,
  parseSettingName,
  parseSettingValue,
  type SettingName,
  settingDefinitionOf,
  settingNames,
  settingOrder,
  toSettingText,
} from '../../shared/domain/component-settings.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { SiteTree } from '../../shared/domain/site-tree.ts';
import type { Conversation } from '../../shared/rpc/conversation.ts';
import type { Setting } from '../../shared/rpc/generated/waybill/v1/Setting.ts';
import type { SettingChange__Output } from '../../shared/rpc/generated/waybill/v1/SettingChange.ts';
import { nearestWord } from '../../shared/runtime/nearest-word.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import { requireSiteCode } from './package-requests.ts';

/** What is set for the components of this site. */
export interface AdminSettings {
  configuredOf(settingName: SettingName): number;
}

/** What answering about settings needs. */
export interface SettingCommandsComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly sites: { readonly tree: SiteTree; readonly own: { readonly siteCode: string } };
  readonly settings: AdminSettings;
}

/** A setting that is to have another value; undefined: as configured. */
interface Wanted {
  readonly settingName: SettingName;
  readonly value: number | undefined;
}

/**
 * What an administrator asks and says of component settings, of this site or another (ADM-3): each command
 * is one synced batch. Stores rows only; what they do is up to the site they are of.
 */
export class SettingCommands {
  readonly #components: SettingCommandsComponents;
  readonly #queue = new SerialQueue();

  constructor(components: SettingCommandsComponents) {
    this.#components = components;
  }

  methods() {
    return {
      listSettings: () => this.#list(),
      setSettings: async ({ siteCode, changes }, { describe }) => {
        const ofSite = siteCode === '' ? this.#own : requireSiteCode('site_code', siteCode);
        const wanted = toWanted(changes);
        describe?.(`siteCode=${ofSite} ${wanted.map(toText).join(' ')}`);
        return { settings: await this.set(ofSite, wanted) };
      },
    } satisfies Partial<Conversation<'Admin'>>;
  }

  /** @throws SITE_UNKNOWN, REQUEST_INVALID */
  set(siteCode: string, wanted: readonly Wanted[]): Promise<Setting[]> {
    return this.#queue.run(async () => {
      const { sites, store } = this.#components;
      if (!sites.tree.get(siteCode)) throw new WaybillError({ code: 'SITE_UNKNOWN', siteCode });
      const values = await this.#valuesOf(siteCode);
      for (const { settingName, value } of wanted) {
        if (value === undefined) values.delete(settingName);
        else values.set(settingName, value);
      }
      this.#requireOrder(siteCode, { values, wanted });
      const changes = wanted.map(({ settingName, value }) => {
        const key = joinKey(siteCode, settingName);
        if (value === undefined) return this.#rows.delete(key);
        return this.#rows.put(key, { siteCode, settingName, value });
      });
      await store.write(changes, { sync: true });
      return wanted.map(({ settingName }) => this.#toMessage(siteCode, settingName, values));
    });
  }

  async *#list(): AsyncGenerator<Setting> {
    const values = await this.#valuesOf(this.#own);
    for (const settingName of settingNames) {
      yield this.#toMessage(this.#own, settingName, values);
    }
  }

  /** As far as it is known here: what another site is configured to, only that knows. */
  #requireOrder(
    siteCode: string,
    { values, wanted }: { values: ReadonlyMap<SettingName, number>; wanted: readonly Wanted[] },
  ): void {
    const holds = (name: SettingName) => values.get(name) ?? this.#configuredOf(siteCode, name);
    for (const [least, most] of settingOrder) {
      const touched = wanted.find(({ settingName: name }) => name === least || name === most);
      const [low, high] = [holds(least), holds(most)];
      if (!touched || low === undefined || high === undefined || low <= high) continue;
      const expected = `${least} not above ${most}`;
      const actual = `${least}=${toSettingText(least, low)} and ${most}=${toSettingText(most, high)}`;
      throw requestInvalid('changes', { expected, actual });
    }
  }

  #configuredOf(siteCode: string, settingName: SettingName): number | undefined {
    return siteCode === this.#own ? this.#components.settings.configuredOf(settingName) : undefined;
  }

  async #valuesOf(siteCode: string): Promise<Map<SettingName, number>> {
    const values = new Map<SettingName, number>();
    for await (const [, row] of this.#rows.list({ prefix: `${siteCode}/` })) {
      const settingName = parseSettingName(row.settingName);
      if (settingName) values.set(settingName, row.value);
    }
    return values;
  }

  #toMessage(
    siteCode: string,
    settingName: SettingName,
    values: ReadonlyMap<SettingName, number>,
  ): Setting {
    const { description, unit, min, max } = settingDefinitionOf(settingName);
    const toText = (value: number | undefined) => {
      return value === undefined ? '' : toSettingText(settingName, value);
    };
    return {
      name: settingName,
      siteCode,
      setValue: toText(values.get(settingName)),
      configuredValue: toText(this.#configuredOf(siteCode, settingName)),
      minValue: toText(min),
      maxValue: toText(max),
      description,
      isTime: unit === 'ms',
    };
  }

  get #own(): string {
    return this.#components.sites.own.siteCode;
  }

  get #rows() {
    return this.#components.store.records(keySpaces.componentSettings);
  }
}

/** @throws REQUEST_INVALID with what was meant, or expected */
function toWanted(changes: readonly SettingChange__Output[]): Wanted[] {
  if (changes.length === 0) {
    throw requestInvalid('changes', { expected: 'something to set', actual: 'nothing' });
  }
  if (changes.length > settingNames.length) {
    const expected = `at most ${settingNames.length}, as many as there are`;
    throw requestInvalid('changes', { expected, actual: `${changes.length}` });
  }
  const wanted = new Map<SettingName, Wanted>();
  for (const { name, value: text } of changes) {
    const settingName = requireName(name);
    if (wanted.has(settingName)) {
      throw requestInvalid('changes', { expected: 'each setting once', actual: settingName });
    }
    wanted.set(settingName, { settingName, value: requireValue(settingName, text) });
  }
  return [...wanted.values()];
}

function requireName(text: string): SettingName {
  const settingName = parseSettingName(text);
  if (settingName) return settingName;
  const meant = nearestWord(text, settingNames);
  const all = '"waybill settings" shows those there are';
  const remedy = meant === undefined ? all : `Did you mean ${meant}? ${all}`;
  throw requestInvalid('changes', {
    ...{ expected: 'the name of a setting', actual: quoted(text), remedy },
  });
}

/** For the audit trail: `packages-at-once=5`, or `packages-at-once=configured`. */
function toText({ settingName, value }: Wanted): string {
  return `${settingName}=${value === undefined ? 'configured' : toSettingText(settingName, value)}`;
}

/** Empty: as configured. */
function requireValue(settingName: SettingName, text: string): number | undefined {
  if (text === '') return undefined;
  const value = parseSettingValue(settingName, text);
  if (value !== undefined) return value;
  const expected = `${settingName} to be ${expectedSetting(settingName)}`;
  throw requestInvalid('changes', { expected, actual: quoted(text) });
}
