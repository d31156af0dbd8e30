import { pullPackagesMaxDefault } from '../../shared/domain/pull-source.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { ManagementPointAddress } from '../state-reporter/state-reporter.ts';

/** What the site has told this pull DP of itself: with each notification, whatever the package. */
export interface ToldSettings {
  /** host:port of the site's management point. */
  readonly managementPoint: string;
  /** Packages to fetch at once (PULL-10). */
  readonly packagesMax: number;
}

const managementPointName = 'management-point';
const packagesMaxName = 'packages-max';

/** Keeps what the site told last in the table "pull DP settings". */
export class PullDpSettings {
  readonly #store: StateStore;
  readonly #managementPointOverride: string | undefined;
  readonly #listeners = new Set<() => void>();
  #managementPoint: string | undefined;
  #packagesMax = pullPackagesMaxDefault;

  /** @param managementPointOverride what the DP's own configuration says, which is obeyed first */
  constructor(store: StateStore, managementPointOverride?: string) {
    this.#store = store;
    this.#managementPointOverride = managementPointOverride;
  }

  /** Reads what was told before. */
  async load(): Promise<void> {
    const names = [managementPointName, packagesMaxName];
    const [managementPoint, packagesMax] = await this.#rows.getMany(names);
    if (typeof managementPoint === 'string') this.#managementPoint = managementPoint;
    if (typeof packagesMax === 'number') this.#packagesMax = packagesMax;
  }

  get packagesMax(): number {
    return this.#packagesMax;
  }

  /** Where the management point is: what the DP's own configuration says, else what the site told. */
  readonly managementPointAddress: ManagementPointAddress = {
    get: () => this.#managementPointOverride ?? this.#managementPoint,
    onChanged: (listener) => {
      this.#listeners.add(listener);
      return () => this.#listeners.delete(listener);
    },
  };

  /** The changes that keep what was told; none when nothing is new. */
  changesFor({ managementPoint, packagesMax }: ToldSettings): Change[] {
    const changes: Change[] = [];
    if (managementPoint !== this.#managementPoint) {
      changes.push(this.#rows.put(managementPointName, managementPoint));
    }
    if (packagesMax !== this.#packagesMax) {
      changes.push(this.#rows.put(packagesMaxName, packagesMax));
    }
    return changes;
  }

  /** What was told is on disk: from now on it holds. */
  told({ managementPoint, packagesMax }: ToldSettings): void {
    const before = this.managementPointAddress.get();
    this.#managementPoint = managementPoint;
    this.#packagesMax = packagesMax;
    if (this.managementPointAddress.get() === before) return;
    for (const listener of this.#listeners) listener();
  }

  /** From now on so many packages at once. On disk when it resolves. @throws DISK_FULL */
  async setPackagesMax(packagesMax: number): Promise<void> {
    if (packagesMax === this.#packagesMax) return;
    await this.#store.write([this.#rows.put(packagesMaxName, packagesMax)], { sync: true });
    this.#packagesMax = packagesMax;
  }

  get #rows() {
    return this.#store.records(keySpaces.pullDpSettings);
  }
}
