/**
 * What the site has said of when and how fast this DP may fetch and serve (PULL-10, PTM-5, PTM-6). Told
 * by the site (`SetControls`); tells the arbiter, which is asked before each part. Writes the table
 * "transfer controls", before anything is obeyed: so what was answered outlives a crash, and is obeyed
 * while the site is away.
 */
import type { DpControls } from '../../shared/domain/told-controls.ts';
import { freeControls, type TransferControls } from '../../shared/domain/transfer-controls.ts';
import { fetchingPassage, servingPassage } from '../../shared/domain/transfer-passage.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { TransferArbiter } from '../../shared/transfer-arbiter/transfer-arbiter.ts';

export interface ToldControlsNeeds {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly arbiter: Pick<TransferArbiter, 'setControls'>;
  readonly siteCode: string;
  readonly logger: Logger;
}

const rowKey = 'own';

export class ToldControls implements Component {
  readonly #needs: ToldControlsNeeds;
  readonly #queue = new SerialQueue();

  constructor(needs: ToldControlsNeeds) {
    this.#needs = needs;
  }

  /** Obeys what was told before. */
  async start(): Promise<void> {
    const row = await this.#rows.get(rowKey);
    if (row?.siteCode === this.#needs.siteCode) this.#obey(row);
  }

  async stop(): Promise<void> {
    await this.#queue.whenIdle();
  }

  /**
   * Keeps and obeys what the site says now. On disk when it resolves.
   *
   * @throws DISK_FULL: then what was said before holds
   */
  take({ fetching, serving }: DpControls): Promise<void> {
    const { store, siteCode, logger } = this.#needs;
    return this.#queue.run(async () => {
      const row = { fetching, serving, siteCode };
      await store.write([this.#rows.put(rowKey, row)], { sync: true });
      this.#obey(row);
      logger.info({ fetching: wordsOf(fetching), serving: wordsOf(serving) }, 'Controls were told');
    });
  }

  #obey({ fetching, serving }: DpControls): void {
    const { arbiter } = this.#needs;
    arbiter.setControls(fetchingPassage, fetching ?? freeControls);
    arbiter.setControls(servingPassage, serving ?? freeControls);
  }

  get #rows() {
    return this.#needs.store.records(keySpaces.transferControls);
  }
}

/** For the log: a grid has 168 values. */
function wordsOf({ schedule, limit }: TransferControls): string {
  const words = [schedule && `schedule in ${schedule.timeZone}`, limit && `limit: ${limit.kind}`];
  return words.filter((word) => word !== undefined).join(', ') || 'nothing';
}
