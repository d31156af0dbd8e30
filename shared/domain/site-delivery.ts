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
  /** The wishes of administrators that the job knew of, as `SiteWish` has them. */
  readonly wishes: Readonly<Record<string, string>>;
  /** How often this version was sent before, because the site has it not after all. */
  readonly repeatCount: number;
}

/**
 * How a mini-job ended: delivered; overtaken by a newer version there; refused by a receiver; its
 * package file could not be made, or is gone; or the order itself was too old, so that a new one of
 * the same may be taken.
 */
export type SiteDeliveryOutcome = 'delivered' | 'overtaken' | 'refused' | 'not-made' | 'stale';

/** How the mini-job of a package and a site that ended last ended: row of "site delivery results". */
export interface SiteDeliveryResult {
  readonly jobId: string;
  readonly outcome: SiteDeliveryOutcome;
  /** `changedAtMs` of the site's word about the package as it stood here then; 0: none. */
  readonly contentChangedAtMs: number;
}

/**
 * What a site on the way of a mini-job, its source site or one in between, says when it could not send
 * it on: the row of the replicated table "forwarding failures". Gone once it passes a later one on, or
 * the package is.
 */
export interface ForwardingFailure {
  readonly packageId: string;
  /** The site that says so. */
  readonly siteCode: string;
  readonly finalSiteCode: string;
  readonly jobId: string;
  /** A new order of the same may get through; else it would be refused again. */
  readonly mayRepeat: boolean;
  readonly reason: string;
  readonly failedAtMs: number;
}
