import type { TransferControls } from './transfer-controls.ts';

/** What is set for a DP and obeyed there: when and how fast it fetches as a pull DP, and serves. */
export interface DpControls {
  readonly fetching: TransferControls;
  readonly serving: TransferControls;
}

/** What a DP was told: the row of its table "transfer controls". */
export interface ToldControlsRow extends DpControls {
  /** Whose word it is: a DP may be given to another site. */
  readonly siteCode: string;
}
