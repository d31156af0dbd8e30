import type { ContentDescriptor } from './content.ts';
import type { PackageProperties } from './package.ts';

export type SitePackageState =
  | 'pending'
  | 'snapshot'
  | 'published'
  | 'failed'
  | 'deleting'
  | 'deleted';

/** One directory of the site server that becomes one content of a package. */
export interface PackageSource {
  readonly directory: string;
  /**
   * What its content IDs begin with, the same for every version: the package ID of a plain
   * package, `Content_<package ID>_<uuid>` for each content of an application; `Content_<uuid>` in older ones.
   */
  readonly contentName: string;
  /** The content its newest published snapshot became; absent before the first. */
  readonly content?: ContentDescriptor;
}

/** Update requests of another site that are among the accepted ones. */
export interface TakenRequests {
  /** So many of that site's requests are. */
  readonly takenCount: number;
  /** Accepted requests once the newest of them was taken: it is handled when so many are. */
  readonly acceptedAs: number;
  /** So many were handled for sure when the newest was taken. */
  readonly handledBefore: number;
}

/**
 * A package as a site keeps it: the row of table "packages". Of a package that another site publishes,
 * what is here: the version that is stored at this site, and `awaitedVersion`.
 */
export interface SitePackage {
  readonly packageId: string;
  readonly properties: PackageProperties;
  readonly sourceSiteCode: string;
  /** One for a plain package; several for an application. */
  readonly sources: readonly PackageSource[];
  /** 0 until the first snapshot is published. */
  readonly sourceVersion: number;
  /** Empty until the first snapshot is published. */
  readonly packageHash: string;
  readonly state: SitePackageState;
  /** Why the newest snapshot was not published, or what it waits for. */
  readonly reason: string;
  /** Create and update requests accepted so far; a snapshot is due while it is ahead of the other. */
  readonly acceptedRequestCount: number;
  readonly handledRequestCount: number;
  /** The newest handled update found the source unchanged. */
  readonly sourceUnchanged: boolean;
  /** By the site that asked; absent while no other site has. */
  readonly requestsTaken?: Readonly<Record<string, TakenRequests>>;
  /** The newest version at the source site, 0 before the first; absent when that is this site. */
  readonly awaitedVersion?: number;
  /** Read back after damage: that nobody tells of the package does not mean that it was deleted. */
  readonly isUnconfirmed?: true;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

/** What Distribution Manager has yet to do about a package on a DP; 'none' when it has. */
export type PackageServerAction = 'none' | 'add' | 'update' | 'redistribute' | 'remove';

/** What the administrator last wanted of a package on a DP. */
export type PackageServerIntent = 'installed' | 'removed';

/** A package assigned to a DP: the row of table "package servers". Gone once it is removed. */
export interface PackageServer {
  readonly packageId: string;
  readonly dpId: string;
  readonly intent: PackageServerIntent;
  readonly action: PackageServerAction;
  readonly changedAtMs: number;
  /** The wish of "package assignments" that was acted on last. */
  readonly wishId?: string;
}
