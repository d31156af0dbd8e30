/**
 * The limit of what a site serves to those who fetch content there: pull DPs that fall back to it, and
 * clients (PTM-6). It is the setting `serve-kilobytes-per-second`, told to the arbiter as the passage `out`;
 * the Content server asks that. In memory only: a start begins with what is set.
 */
import { freeControls, type TransferControls } from '../../shared/domain/transfer-controls.ts';
import { servingPassage } from '../../shared/domain/transfer-passage.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { TransferArbiter } from '../../shared/transfer-arbiter/transfer-arbiter.ts';

export interface ServingLimitNeeds {
  readonly arbiter: Pick<TransferArbiter, 'setControls'>;
  /** Says when `kilobytesPerSecond` may have changed. */
  readonly settings: { onChanged(listener: () => void): () => void };
}

export interface ServingLimitConfig {
  /** Units of 1,000 bytes a second, over all who fetch; `noLimit` and more: as fast as it goes. Read anew at each change. */
  readonly kilobytesPerSecond: number;
}

/** The setting's most. */
const noLimit = 1_000_000_000;

/** Starts after the settings, before anything is served. */
export class ServingLimit implements Component {
  readonly #needs: ServingLimitNeeds;
  readonly #config: ServingLimitConfig;
  #endListening = () => {};

  constructor(needs: ServingLimitNeeds, config: ServingLimitConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  async start(): Promise<void> {
    this.#endListening = this.#needs.settings.onChanged(() => this.#tell());
    this.#tell();
  }

  async stop(): Promise<void> {
    this.#endListening();
  }

  #tell(): void {
    this.#needs.arbiter.setControls(servingPassage, controlsOf(this.#config));
  }
}

function controlsOf({ kilobytesPerSecond }: ServingLimitConfig): TransferControls {
  if (kilobytesPerSecond >= noLimit) return freeControls;
  return { limit: { kind: 'rate', bytesPerSecond: kilobytesPerSecond * 1_000 } };
}
