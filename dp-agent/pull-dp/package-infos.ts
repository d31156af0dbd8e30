import type { InlineManifest } from '../../shared/domain/content.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import { invalidMessage } from '../../shared/package-info/package-version.ts';
import type { PackageAction } from '../../shared/package-receiver/package-actions.ts';
import type { PullNotification } from './pull-notification.ts';

/** A package info bundle that came, checked, with the manifests beside it. */
export interface PackageInfo extends PackageAction {
  readonly version: PackageVersion;
  /** Of the bundle's bytes, lower-case hexadecimal. */
  readonly bundleHash: string;
  readonly manifests: readonly InlineManifest[];
}

/** Bundles that wait for their notification: some 1 MiB each at most. */
const infoCountMax = 32;

/**
 * Package info bundles between the third phase of a notification and the fourth. In memory alone: the
 * phases follow each other at once, and a site whose bundle was lost, here by a restart, hears
 * ACTION_NOT_BEGUN and brings it again.
 */
export class PackageInfos {
  readonly #infos = new Map<string, PackageInfo>();

  /** Keeps a bundle until its notification; another one of the package is forgotten. */
  put(info: PackageInfo): void {
    this.#infos.delete(info.packageId);
    this.#infos.set(info.packageId, info);
    const [oldest] = this.#infos.keys();
    if (this.#infos.size > infoCountMax && oldest !== undefined) this.#infos.delete(oldest);
  }

  /** @throws ACTION_NOT_BEGUN when the bundle has to come (again) */
  require({ packageId, jobSerial }: PackageAction): PackageInfo {
    const info = this.#infos.get(packageId);
    if (info?.jobSerial === jobSerial) return info;
    throw new WaybillError({ code: 'ACTION_NOT_BEGUN', packageId, jobSerial });
  }

  /** The job was taken. */
  forget({ packageId, jobSerial }: PackageAction): void {
    if (this.#infos.get(packageId)?.jobSerial === jobSerial) this.#infos.delete(packageId);
  }
}

/**
 * Whether a notification speaks of the bundle that came: the very bytes, and the same version.
 *
 * @throws PACKAGE_INFO_MISMATCH, MESSAGE_INVALID
 */
export function requireMatch(
  notification: PullNotification,
  info: Pick<PackageInfo, 'version' | 'bundleHash'>,
): void {
  const { packageId, bundleHash: expectedHash, sourceVersion } = notification;
  const { version, bundleHash: actualHash } = info;
  if (actualHash !== expectedHash) {
    throw new WaybillError({ code: 'PACKAGE_INFO_MISMATCH', packageId, expectedHash, actualHash });
  }
  if (sourceVersion !== version.sourceVersion) {
    throw invalidMessage('source_version', `${version.sourceVersion}`, `${sourceVersion}`);
  }
  const sizeBytes = version.contents.reduce((sum, content) => sum + content.sizeBytes, 0);
  if (notification.sizeBytes !== sizeBytes) {
    throw invalidMessage('size_bytes', `${sizeBytes}`, `${notification.sizeBytes}`);
  }
  const expected = version.contents.map(({ contentId }) => contentId).sort();
  const actual = notification.contents.map(({ contentId }) => contentId).sort();
  if (expected.join('\n') !== actual.join('\n')) {
    throw invalidMessage('contents', 'those of the package info bundle', actual.join(', '));
  }
}
