import type { ContentDescriptor } from './content.ts';

/** 1 high, 2 normal, 3 low: lower goes first. */
export type Priority = 1 | 2 | 3;

/** All priorities, the highest first. */
export const priorities = [1, 2, 3] as const satisfies readonly Priority[];

export interface Program {
  readonly name: string;
  readonly commandLine: string;
}

/** What an administrator writes about a package. */
export interface PackageProperties {
  readonly name: string;
  /** Free text such as "16.0.2"; not the source version. */
  readonly version: string;
  readonly manufacturer: string;
  readonly language: string;
  readonly description: string;
  readonly priority: Priority;
  readonly programs: readonly Program[];
  readonly iconName: string;
  /** Base64, so that a row is JSON. Empty: no icon. */
  readonly iconBase64: string;
}

/** A version of a package as it stands in a content library. */
export interface PackageVersion {
  readonly packageId: string;
  /** 1 at creation, one more for every update. */
  readonly sourceVersion: number;
  /** Lower-case hexadecimal BLAKE3-256 over the contents' hashes. */
  readonly packageHash: string;
  readonly contents: readonly ContentDescriptor[];
  readonly properties: PackageProperties;
}

export const packageIdCountMax = 0xfffff;

/** Package ID number `count` (from 1) of a site, such as PS100001. */
export function toPackageId(siteCode: string, count: number): string {
  return siteCode + count.toString(16).toUpperCase().padStart(5, '0');
}

/** The site that takes the snapshots of a package: its ID begins with it. */
export function sourceSiteOf(packageId: string): string {
  return packageId.slice(0, 3);
}

/** The text itself when it is a package ID: site code and five upper-case hex digits. */
export function parsePackageId(text: string): string | undefined {
  return /^[A-Z0-9]{3}[0-9A-F]{5}$/.test(text) ? text : undefined;
}
