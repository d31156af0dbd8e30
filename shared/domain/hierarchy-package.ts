import type { PackageProperties } from './package.ts';
import type { PackageServerIntent } from './site-package.ts';

/**
 * What administrators say of a package, at whatever site: the row of the replicated table "package
 * definitions". The source site adds what it has published of it ("published packages").
 */
export interface PackageDefinition {
  readonly packageId: string;
  readonly sourceSiteCode: string;
  readonly properties: PackageProperties;
  /** Directories of the source site, one for each content. */
  readonly directories: readonly string[];
}

/**
 * What the administrators at one site have asked of a package that another site publishes: the row
 * of the replicated table "package requests". Each site writes its own, so none overwrites another.
 */
export interface PackageRequests {
  readonly packageId: string;
  /** The site at which it was asked. */
  readonly siteCode: string;
  /** Updates asked for so far; only rises. */
  readonly updateCount: number;
  /** Once asked for, it stays so; a site that has no say in it takes it back. */
  readonly isDeletion: boolean;
}

/**
 * What administrators want of a package on a DP of any site: the row of the replicated table
 * "package assignments". The DP's site acts on each wish that is newer than the last it acted on.
 */
export interface PackageAssignment {
  readonly packageId: string;
  readonly dpId: string;
  readonly siteCode: string;
  readonly intent: PackageServerIntent;
  readonly action: 'add' | 'redistribute' | 'remove';
  /** Differs in each wish, so that the same wish can be uttered again. */
  readonly wishId: string;
  readonly wishedAtMs: number;
}

/**
 * What a site holds of a package that other sites publish, or of its own: the row of the replicated
 * table "site contents" (the site rows of PkgStatus). Its source site decides by it what to send.
 */
export interface SiteContent {
  readonly packageId: string;
  readonly siteCode: string;
  readonly state: 'none' | 'arriving' | 'stored' | 'refused';
  /** The version in the site's library; 0: none. */
  readonly storedVersion: number;
  /** Hash of that version; empty: none. */
  readonly storedHash: string;
  /** Why what arrived last was refused, or what is wrong with what is stored; empty otherwise. */
  readonly reason: string;
  /**
   * The mini-job whose package file could not be stored; empty otherwise. In another state than
   * 'refused' it may be sent anew: this site has lost what it needed.
   */
  readonly refusedJobId: string;
  /** What is stored, which a delta would build on, is not whole here: only a full package file helps. */
  readonly needsFull: boolean;
  readonly changedAtMs: number;
}
