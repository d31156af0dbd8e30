/**
 * The newest mini-job that was made to bring a package to a site: the row of table "site deliveries".
 * It outlives the mini-job, so that a version is not sent again while the site is at work on it.
 */
export interface SiteDelivery {
  readonly packageId: string;
  readonly siteCode: string;
  readonly jobId: string;
  readonly sourceVersion: number;
  /** 0: a full package file. */
  readonly baseVersion: number;
  /** The newest wish of an administrator the job knew of. */
  readonly wishedAtMs: number;
  /** How often this version was sent before, because the site has it not after all. */
  readonly repeatCount: number;
}

/**
 * How a mini-job ended: delivered; overtaken by a newer version there; refused by a receiver; or its
 * package file could not be made.
 */
export type SiteDeliveryOutcome = 'delivered' | 'overtaken' | 'refused' | 'not-made';

/** How the mini-job of a package and a site that ended last ended: row of "site delivery results". */
export interface SiteDeliveryResult {
  readonly jobId: string;
  readonly outcome: SiteDeliveryOutcome;
  /** `changedAtMs` of the site's word about the package as it stood here then; 0: none. */
  readonly contentChangedAtMs: number;
}
