import { hashOf } from '../content-library/content-hash.ts';
import type { PackageVersion } from '../domain/package.ts';
import type { PackageVersion__Output } from '../rpc/generated/waybill/v1/PackageVersion.ts';
import { packageVersionType } from '../rpc/service-definitions.ts';
import { invalidMessage, requirePackageVersion } from './package-version.ts';
import { toPackageVersionMessage } from './package-version-message.ts';

/** A package version as it travels by itself, with the hash that a notification names. */
export interface PackageInfoBundle {
  readonly bytes: Buffer;
  /** BLAKE3-256 of the bytes, lower-case hexadecimal. */
  readonly hash: string;
}

/** The package info bundle of a version. Equal versions give equal bytes. */
export function encodeBundle(version: PackageVersion): PackageInfoBundle {
  const bytes = packageVersionType().serialize(toPackageVersionMessage(version));
  return { bytes, hash: hashOf(bytes) };
}

/** Hash of a bundle as it came, lower-case hexadecimal. */
export function bundleHashOf(bytes: Uint8Array): string {
  return hashOf(bytes);
}

/**
 * The version in a bundle, checked as if it had come in a call.
 *
 * @throws MESSAGE_INVALID when it is of another package, or says what cannot be
 */
export function decodeBundle(bytes: Uint8Array, packageId: string): PackageVersion {
  return requirePackageVersion(decoded(bytes), packageId);
}

function decoded(bytes: Uint8Array): PackageVersion__Output {
  try {
    return packageVersionType().deserialize(Buffer.from(bytes));
  } catch {
    throw invalidMessage('bundle', 'an encoded package version', `${bytes.length} other bytes`);
  }
}
