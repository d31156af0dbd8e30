/**
 * What the site has said of whom this DP is to trust (SEC-3): told by the site (`SetTrust`), asked by the server and
 * by every connection (`trust`). Writes the table "told trust" before anything is obeyed: so what was
 * answered outlives a crash, and is obeyed while the site is away.
 */
import {
  RevocationIndex,
  type RevokedAt,
  type SitePlaces,
} from '../../shared/domain/revocation.ts';
import { treeOfPlaces } from '../../shared/domain/site-tree.ts';
import { type ToldBundle, type ToldTrust, withTold } from '../../shared/domain/told-trust.ts';
import { KnownTrust } from '../../shared/rpc/known-trust.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';

export interface ToldTrustNeeds {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly clock: Clock;
  readonly siteCode: string;
  readonly logger: Logger;
  /** Gets the newest bundle that was told, at the start and each time. @default nothing is done */
  readonly onBundle?: (bundle: ToldBundle) => void;
}

export interface ToldTrustConfig {
  /** How long a revocation is kept: as long as any certificate lives, and a month. @default 3_680 days */
  readonly keepMs: number;
}

export const defaultToldTrustConfig: ToldTrustConfig = { keepMs: 3_680 * 86_400_000 };

const rowKey = 'own';

export class ToldTrustKeeper implements Component {
  readonly trust: KnownTrust;
  readonly #needs: ToldTrustNeeds;
  readonly #config: ToldTrustConfig;
  readonly #queue = new SerialQueue();
  #told: ToldTrust | undefined;
  #index = new RevocationIndex<RevokedAt>();
  #places: SitePlaces;

  constructor(needs: ToldTrustNeeds, config = defaultToldTrustConfig) {
    this.#needs = needs;
    this.#config = config;
    const { clock, siteCode } = needs;
    // Until its site has said more, a DP hears nobody but that site.
    this.#places = treeOfPlaces([{ siteCode, parentSiteCode: '' }]);
    this.trust = new KnownTrust({
      ...{ clock, siteCode, places: () => this.#places },
      revocations: { of: (holder) => this.#index.of(holder) },
    });
  }

  /** Obeys what was told before. Before anybody connects. */
  async start(): Promise<void> {
    const row = await this.#rows.get(rowKey);
    if (row) this.#obey(row);
    await this.trust.start();
  }

  async stop(): Promise<void> {
    await this.trust.stop();
    await this.#queue.whenIdle();
  }

  /**
   * Keeps and obeys what the site says now, besides the revocations it has said before. On disk when it
   * resolves.
   *
   * @throws DISK_FULL: then what was said before holds
   */
  take(told: ToldTrust): Promise<void> {
    const { store, clock, logger } = this.#needs;
    return this.#queue.run(async () => {
      const kept = withTold(this.#told, told, clock.nowMs() - this.#config.keepMs);
      await store.write([this.#rows.put(rowKey, kept)], { sync: true });
      this.#obey(kept);
      const [siteCount, revocationCount] = [kept.sites.length, kept.revocations.length];
      logger.info({ siteCount, revocationCount }, 'Trust was told');
    });
  }

  #obey(told: ToldTrust): void {
    this.#told = told;
    this.#index = new RevocationIndex();
    for (const one of told.revocations) this.#index.put(one);
    this.#places = treeOfPlaces(told.sites);
    this.trust.changed();
    if (told.bundle) this.#needs.onBundle?.(told.bundle);
  }

  get #rows() {
    return this.#needs.store.records(keySpaces.toldTrust);
  }
}
