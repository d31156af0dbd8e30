import type { ContentDescriptor } from '../../shared/domain/content.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import type { SnapshotPosition } from './snapshot-progress.ts';

/** One directory to read, and what it is to become. */
export interface SnapshotSource {
  readonly directory: string;
  readonly contentId: string;
  /** The content of the version before; a snapshot equal to it is `unchanged`. */
  readonly previous?: ContentDescriptor;
}

/** One directory that was read; its files are in the library. */
export interface SnapshotContent {
  readonly descriptor: ContentDescriptor;
  readonly manifestPath: string;
  readonly signaturePath: string;
  readonly unchanged: boolean;
}

/** Reads the sources of a package into the site's content library, without publishing anything. */
export type TakeSnapshot = (request: {
  readonly packageId: string;
  readonly sources: readonly SnapshotSource[];
  readonly onProgress: (position: SnapshotPosition) => void;
  readonly signal: AbortSignal;
}) => Promise<{ readonly contents: readonly SnapshotContent[] }>;

/** The site's content library, as far as publishing goes. */
export interface PublishingLibrary {
  getPackage(packageId: string): Promise<PackageVersion | undefined>;
  commitPackage(commit: {
    readonly version: PackageVersion;
    readonly jobSerial: number;
    readonly staged: readonly {
      readonly contentId: string;
      readonly manifestPath: string;
      readonly signaturePath: string;
    }[];
  }): Promise<{ readonly packageHash: string }>;
}
