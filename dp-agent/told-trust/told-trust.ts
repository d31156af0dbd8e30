/**
 * What the site has said of whom this DP is to trust (SEC-3): told by the site (`SetTrust`), asked by the server and
 * by every connection (`trust`). Writes the table "told trust" before anything is obeyed: so what was
 * answered outlives a crash, and is obeyed while the site is away.
 */
import { WaybillError } from '../../shared/domain/errors.ts';
import { toMomentText } from '../../shared/domain/moment-text.ts';
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
  /** Whether a bundle that is told counts: another one is not kept. @default none does */
  readonly isBundleKept?: (bundle: ToldBundle) => boolean;
  /** Gets the last bundle that was kept, at the start and each time. @default nothing is done */
  readonly onBundle?: (bundle: ToldBundle) => void;
  /** Says that this machine was enrolled anew, until it is forgotten. @default it was not */
  readonly anew?: { isSaid(): Promise<boolean>; forget(): Promise<void> };
}

export interface ToldTrustConfig {
  /** How long a revocation is kept: as long as any certificate lives, and a month. @default 3_680 days */
  readonly keepMs: number;
  /** How far a revocation may be ahead of the clock here. @default 600_000 */
  readonly aheadMsMax: number;
}

export const defaultToldTrustConfig: ToldTrustConfig = {
  keepMs: 3_680 * 86_400_000,
  aheadMsMax: 600_000,
};

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
    await this.#forgetIfAnew();
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
   * resolves. A revocation from the future is not taken: it could never be taken back.
   *
   * @throws DISK_FULL: then what was said before holds
   * @throws MESSAGE_INVALID when there was one from the future; all else is taken, and to be told again
   */
  take(told: ToldTrust): Promise<void> {
    const nowMs = this.#needs.clock.nowMs();
    const aheadMs = nowMs + this.#config.aheadMsMax;
    const revocations = told.revocations.filter(({ revokedAtMs }) => revokedAtMs <= aheadMs);
    return this.#queue.run(async () => {
      await this.#keep({ ...this.#ofBundle(told), sites: told.sites, revocations }, nowMs);
      if (revocations.length < told.revocations.length) throw fromTheFuture(nowMs);
    });
  }

  async #keep(told: ToldTrust, nowMs: number): Promise<void> {
    const { store, logger, siteCode } = this.#needs;
    const forgetBeforeMs = nowMs - this.#config.keepMs;
    const kept = withTold(this.#told, told, { siteCode, forgetBeforeMs });
    await store.write([this.#rows.put(rowKey, kept)], { sync: true });
    this.#obey(kept);
    const [siteCount, revocationCount] = [kept.sites.length, kept.revocations.length];
    logger.info({ siteCount, revocationCount }, 'Trust was told');
  }

  #ofBundle({ bundle }: ToldTrust): Pick<ToldTrust, 'bundle'> {
    return bundle && this.#needs.isBundleKept?.(bundle) ? { bundle } : {};
  }

  /** What a site in the wrong hands has said is over with the identity it was said to. */
  async #forgetIfAnew(): Promise<void> {
    const { store, anew, logger } = this.#needs;
    if (!(await anew?.isSaid())) return;
    await store.write([this.#rows.delete(rowKey)], { sync: true });
    await anew?.forget();
    logger.debug('Enrolled anew: goes by nothing that was told of trust before');
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

function fromTheFuture(nowMs: number): WaybillError {
  const expected = `a time the clock here has reached: ${toMomentText(nowMs)}`;
  return new WaybillError({
    ...{ code: 'MESSAGE_INVALID', field: 'revoked_at_ms', expected, actual: 'a later one' },
  });
}
