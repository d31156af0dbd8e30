import {
  type ComponentSetting,
  isSettingValue,
  parseSettingName,
  type SettingName,
  settingNames,
} from '../../shared/domain/component-settings.ts';
import type { Component } from '../../shared/runtime/component.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** What component settings need. */
export interface ComponentSettingsNeeds {
  readonly store: Pick<StateStore, 'records' | 'onWritten'>;
  readonly siteCode: string;
}

/** The parts of a site's configuration that have settings. */
export interface SettableConfig {
  readonly distribution: object;
  readonly pull: object;
  readonly sending: object;
  readonly despooling: object;
  readonly serving: object;
  readonly alarms: object;
}

type Section = keyof SettableConfig;

/** Where in the configuration each setting has its default. */
export const settingPlaces: { readonly [N in SettingName]: readonly [Section, string] } = {
  'packages-at-once': ['distribution', 'packagesMax'],
  'dps-per-package': ['distribution', 'distributionPointsPerPackageMax'],
  'notifications-at-once': ['pull', 'notificationsMax'],
  'jobs-per-pull-dp': ['pull', 'jobsMax'],
  'job-retry-count': ['distribution', 'retryCountMax'],
  'job-retry-first-delay': ['distribution', 'retryDelayMs'],
  'job-retry-longest-delay': ['distribution', 'retryDelayMsMax'],
  'no-source-delay': ['pull', 'noSourceDelayMs'],
  'no-source-retry-count': ['pull', 'noSourceRetryCountMax'],
  'pull-poll-delay': ['pull', 'pollDelayMs'],
  'pull-poll-count': ['pull', 'pollCountMax'],
  'sends-at-once': ['sending', 'sendsMax'],
  'sends-per-site': ['sending', 'sendsPerSiteMax'],
  'send-retry-first-delay': ['sending', 'retryDelayMs'],
  'send-retry-longest-delay': ['sending', 'retryDelayMsMax'],
  'despools-at-once': ['despooling', 'packagesMax'],
  'despool-retry-first-delay': ['despooling', 'retryDelayMs'],
  'despool-retry-longest-delay': ['despooling', 'retryDelayMsMax'],
  'metadata-delay': ['despooling', 'metadataDelayMs'],
  'serve-kilobytes-per-second': ['serving', 'kilobytesPerSecond'],
  'alarm-no-progress': ['alarms', 'noProgressMs'],
  'alarm-dp-away': ['alarms', 'distributionPointAwayMs'],
  'alarm-site-away': ['alarms', 'siteAwayMs'],
};

/**
 * What is set for the components of this site (ADM-3), in memory: the rows of "component settings" above
 * the configuration, kept up with every write, wherever it was made. Components read their limits through
 * a part of the configuration that is alive, and are told of each change, so that it acts at once. Writes
 * nothing.
 */
export class ComponentSettings<C extends SettableConfig> implements Component {
  readonly #needs: ComponentSettingsNeeds;
  readonly #config: C;
  readonly #values = new Map<SettingName, number>();
  readonly #listeners = new Set<() => void>();
  #unsubscribe = () => {};

  constructor(needs: ComponentSettingsNeeds, config: C) {
    this.#needs = needs;
    this.#config = config;
  }

  /** Before any component that reads its limits. */
  async start(): Promise<void> {
    const { store, siteCode } = this.#needs;
    this.#unsubscribe = store.onWritten((changes) => this.#onWritten(changes));
    const rows = store.records(keySpaces.componentSettings);
    for await (const [, row] of rows.list({ prefix: `${siteCode}/` })) {
      this.#set(row.settingName, row.value);
    }
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
  }

  /**
   * A part of the configuration, in which what is set stands instead of what is configured, each time
   * anew. Not to be copied: a copy is as it was then.
   *
   * @param defaults what the configuration does not say
   */
  live<S extends Section, D extends object>(section: S, defaults?: D): C[S] & D {
    const configured: object = { ...defaults, ...this.#config[section] };
    for (const settingName of settingNames) {
      const [ofSection, key] = settingPlaces[settingName];
      if (ofSection !== section) continue;
      const get = () => this.valueOf(settingName);
      Object.defineProperty(configured, key, { get, enumerable: true });
    }
    return configured as C[S] & D;
  }

  /** What holds now. */
  valueOf(settingName: SettingName): number {
    return this.#values.get(settingName) ?? this.configuredOf(settingName);
  }

  /** What holds while nothing is set. */
  configuredOf(settingName: SettingName): number {
    const [section, key] = settingPlaces[settingName];
    return (this.#config[section] as Record<string, number>)[key] ?? 0;
  }

  /** Calls the listener after each change of what is set for this site. @returns ends it */
  onChanged(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #onWritten(changes: readonly Change[]): void {
    let isNews = false;
    for (const change of changes) isNews = this.#take(change) || isNews;
    if (!isNews) return;
    for (const listener of this.#listeners) listener();
  }

  #take(change: Change): boolean {
    if (change.space !== keySpaces.componentSettings.name) return false;
    const [siteCode, settingName = ''] = change.key.split('/');
    if (siteCode !== this.#needs.siteCode) return false;
    const row = change.type === 'put' ? (change.value as ComponentSetting) : undefined;
    this.#set(settingName, row?.value);
    return true;
  }

  /** What a newer program may set, and this one does not know, counts for nothing. */
  #set(text: string, value: number | undefined): void {
    const settingName = parseSettingName(text);
    if (!settingName) return;
    if (value !== undefined && isSettingValue(settingName, value)) {
      this.#values.set(settingName, value);
    } else this.#values.delete(settingName);
  }
}
