import type { WaybillError } from '../../../shared/domain/errors.ts';
import type { PullSource } from '../../../shared/domain/pull-source.ts';
import type { PackageLocation } from './package-location.ts';

/** What a client can do about packages: `waybill get` speaks to this, tests pass fakes of it. */
export interface PackageAccess {
  /**
   * Where a package is, best source first.
   *
   * @throws PACKAGE_UNKNOWN, PACKAGE_NOT_LOCATED; PEER_… when the site server does not answer
   */
  locate(packageId: string, signal: AbortSignal): Promise<PackageLocation>;
  /**
   * Fetches a package into a directory, verified; goes on where an earlier one was broken off.
   *
   * @throws PACKAGE_UNKNOWN, PACKAGE_NOT_LOCATED; DISK_FULL, DATA_DIRECTORY_IN_USE
   * @throws CommandFailure OUT_REFUSED
   * @throws AbortError; what was fetched is kept, as it is after every other failure
   */
  get(request: GetRequest, options: GetOptions): Promise<FetchedPackage>;
  close(): void;
}

/** Which package, and where to. */
export interface GetRequest {
  readonly packageId: string;
  /** Does not exist, or is empty. */
  readonly outDirectory: string;
}

/** What a fetch is told. */
export interface GetOptions {
  readonly signal: AbortSignal;
  readonly observer: GetObserver;
}

/** What a fetch tells while it goes on, in this order: all of it again when there is a newer version. */
export interface GetObserver {
  /** The package is found; `isResumed` when some of this version is here already. */
  begun(begun: { location: PackageLocation; workPath: string; isResumed: boolean }): void;
  /** Content bytes that are to be fetched more (or, negative, less) than was known. */
  expected(bytes: number): void;
  /** Content bytes that are verified and written now. */
  done(bytes: number): void;
  /** A source gave wrong bytes: it is not asked any more. */
  lied(source: PullSource, error: WaybillError): void;
  /** Nobody gives what is missing; it goes on by itself when somebody does. */
  waiting(error: WaybillError): void;
  resumed(): void;
  /** All of it is here and verified; so many bytes of it are written to where they belong. */
  writing(bytes: number): void;
  /** Something that went wrong and does no harm. */
  warned(message: string): void;
}

/** A package that is where it was to be, whole and verified. */
export interface FetchedPackage {
  readonly packageId: string;
  readonly sourceVersion: number;
  readonly outDirectory: string;
  readonly fileCount: number;
  readonly sizeBytes: number;
  /** Content bytes that came over the wire this time, wrong or doubled ones included. */
  readonly receivedBytes: number;
  readonly durationMs: number;
  /** Those that gave something, best one first. */
  readonly sources: readonly UsedSource[];
}

/** A source and what came from it. */
export interface UsedSource {
  readonly source: PullSource;
  readonly receivedBytes: number;
}
