import type { TransferControls } from './transfer-controls.ts';

/** A line that several ways share: the row of the replicated table "links" (PTM-6). */
export interface TransferLink {
  readonly linkName: string;
  readonly description: string;
  /** The site from which all of it leaves, and which keeps its limit. */
  readonly siteCode: string;
  /** Standard DPs of that site. */
  readonly dpIds: readonly string[];
  /** Sites to which that site sends over it. */
  readonly toSiteCodes: readonly string[];
  readonly controls: TransferControls;
}
