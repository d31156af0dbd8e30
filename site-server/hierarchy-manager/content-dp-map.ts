import {
  type ContentLocation,
  type ContentNames,
  contentNameOf,
} from '../../shared/domain/content-location.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** What the map needs. */
export interface ContentDpMapComponents {
  readonly store: Pick<StateStore, 'records'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly clock: Pick<Clock, 'nowMs'>;
}

/** A version of a package at a DP. */
export interface LocatedVersion {
  readonly packageId: string;
  readonly dpId: string;
  readonly sourceVersion: number;
  readonly contentIds: readonly string[];
}

/** Which DPs have a content, by DP. */
export type ContentLocations = ReadonlyMap<string, ContentLocation>;

/**
 * The table "content DP map": which content is, or is just arriving, at which DP (PULL-2). It makes
 * changes for the batches of those who know: Distribution Manager (results, removals), Package
 * Transfer Manager (what a pull DP was told), Hierarchy Manager (DPs that go). Whoever reads rows to
 * write what follows does both in a turn of the package. Each row that is put brings a notification
 * "content-location", which wakes jobs that wait for a source.
 */
export class ContentDpMap {
  readonly #components: ContentDpMapComponents;

  constructor(components: ContentDpMapComponents) {
    this.#components = components;
  }

  /** Where one content is. */
  async locationsOf(contentId: string): Promise<ContentLocations> {
    const found = new Map<string, ContentLocation>();
    for await (const [key, row] of this.#rows.list({ prefix: `${contentId}/` })) {
      found.set(key.slice(contentId.length + 1), row);
    }
    return found;
  }

  /** Where one content is, of these DPs. */
  async locationsAt(contentId: string, dpIds: readonly string[]): Promise<ContentLocations> {
    const rows = await this.#rows.getMany(dpIds.map((dpId) => joinKey(contentId, dpId)));
    const found = new Map<string, ContentLocation>();
    for (const [index, dpId] of dpIds.entries()) {
      const row = rows[index];
      if (row) found.set(dpId, row);
    }
    return found;
  }

  /** The newest other content of this name that the DP holds; empty when there is none. */
  async olderContentAt(contentId: string, dpId: string): Promise<string> {
    let newest: { readonly contentId: string; readonly row: ContentLocation } | undefined;
    for await (const [heldId, row] of this.#at(dpId, { names: [contentNameOf(contentId)] })) {
      const isOther = row.state === 'held' && heldId !== contentId;
      if (isOther && row.sourceVersion >= (newest?.row.sourceVersion ?? 0)) {
        newest = { contentId: heldId, row };
      }
    }
    return newest?.contentId ?? '';
  }

  /** The version is at the DP, and no other content of the package is. */
  async held(version: LocatedVersion): Promise<Change[]> {
    const { packageId, dpId, contentIds } = version;
    const changes = [...(await this.#put(version, 'held')), this.#located(version)];
    for await (const [contentId] of this.#at(dpId, { packageId, names: namesOf(contentIds) })) {
      if (!contentIds.includes(contentId)) changes.push(this.#delete(contentId, dpId));
    }
    return changes;
  }

  /** What was arriving of a version that the site does not keep any more has arrived. */
  async arrived(version: Omit<LocatedVersion, 'contentIds'>, names: ContentNames) {
    const { dpId, sourceVersion } = version;
    const changes: Change[] = [];
    for await (const [contentId, row] of this.#at(dpId, names)) {
      if (row.state !== 'arriving' || row.sourceVersion !== sourceVersion) continue;
      changes.push(this.#rows.put(joinKey(contentId, dpId), { ...row, state: 'held' }));
    }
    return changes.length > 0 ? [...changes, this.#located(version)] : [];
  }

  /** A pull DP fetches the version, from a source that has it; what it holds it goes on holding. */
  async arriving(version: LocatedVersion): Promise<Change[]> {
    const changes = await this.#put(version, 'arriving');
    return changes.length > 0 ? [...changes, this.#located(version)] : [];
  }

  /** The version, or an older one, does not arrive any more. @param names of the contents of the package */
  async notArriving(
    version: Pick<LocatedVersion, 'dpId' | 'sourceVersion'>,
    names: ContentNames,
  ): Promise<Change[]> {
    const changes: Change[] = [];
    for await (const [contentId, row] of this.#at(version.dpId, names)) {
      const isMeant = row.state === 'arriving' && row.sourceVersion <= version.sourceVersion;
      if (isMeant) changes.push(this.#delete(contentId, version.dpId));
    }
    return changes;
  }

  /** Nothing of the package is at the DP. @param names of the contents of the package */
  async gone(dpId: string, names: ContentNames): Promise<Change[]> {
    const changes: Change[] = [];
    for await (const [contentId] of this.#at(dpId, names)) {
      changes.push(this.#delete(contentId, dpId));
    }
    return changes;
  }

  /** Nothing is at the DP, nor at any when none is named. Reads the whole table, or all of these names. */
  async allGone(about: { readonly dpId: string } | ContentNames): Promise<Change[]> {
    const changes: Change[] = [];
    const prefixes = 'names' in about ? about.names.map((name) => `${name}.`) : [''];
    for (const prefix of prefixes) {
      for await (const [key, { packageId }] of this.#rows.list({ prefix })) {
        const isMeant =
          'names' in about ? packageId === about.packageId : key.endsWith(`/${about.dpId}`);
        if (isMeant) changes.push(this.#rows.delete(key));
      }
    }
    return changes;
  }

  async #put(version: LocatedVersion, state: ContentLocation['state']): Promise<Change[]> {
    const { packageId, dpId, sourceVersion, contentIds } = version;
    const keys = contentIds.map((contentId) => joinKey(contentId, dpId));
    const before = await this.#rows.getMany(keys);
    const nowMs = this.#components.clock.nowMs();
    return keys.flatMap((key, index) => {
      const known = before[index];
      if (known && known.packageId !== packageId) return [];
      if (state === 'arriving' && known?.state === 'held') return [];
      const sinceMs = known?.state === state ? known.sinceMs : nowMs;
      return [this.#rows.put(key, { packageId, sourceVersion, state, sinceMs })];
    });
  }

  /**
   * Rows of a DP, of all versions of the contents of these names; however many DPs have them. Of a package
   * only its own: what another site calls its contents must not touch those of others.
   */
  async *#at(
    dpId: string,
    { packageId, names }: Partial<ContentNames> & Pick<ContentNames, 'names'>,
  ): AsyncGenerator<[string, ContentLocation]> {
    for (const name of names) {
      for await (const contentId of this.#versionsOf(name)) {
        const row = await this.#rows.get(joinKey(contentId, dpId));
        const isMeant = packageId === undefined || row?.packageId === packageId;
        if (row && isMeant) yield [contentId, row];
      }
    }
  }

  /** The contents of this name that are anywhere: one short read for each, from one to the next. */
  async *#versionsOf(name: string): AsyncGenerator<string> {
    const prefix = `${name}.`;
    for (let gte: string | undefined = prefix; gte !== undefined; ) {
      const from: string = gte;
      gte = undefined;
      for await (const [key] of this.#rows.list({ prefix, gte: from, limit: 1 })) {
        const contentId = key.slice(0, key.indexOf('/'));
        if (contentNameOf(contentId) === name) yield contentId;
        gte = `${contentId}${behindSlash}`;
      }
    }
  }

  #delete(contentId: string, dpId: string): Change {
    return this.#rows.delete(joinKey(contentId, dpId));
  }

  #located({ packageId }: Pick<LocatedVersion, 'packageId'>): Change {
    return this.#components.notifier.notification('content-location', packageId);
  }

  get #rows() {
    return this.#components.store.records(keySpaces.contentDpMap);
  }
}

/** What follows "/": behind all keys that begin with a content ID. */
const behindSlash = '0';

function namesOf(contentIds: readonly string[]): string[] {
  return [...new Set(contentIds.map(contentNameOf))];
}
