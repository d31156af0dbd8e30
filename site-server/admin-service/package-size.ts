import type { PackageProperties } from '../../shared/domain/package.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import { requestLimits } from '../../shared/domain/request-limits.ts';

/**
 * What an administrator says of a package must fit into one row that is replicated, with what the site
 * adds to it.
 *
 * @throws REQUEST_INVALID
 */
export function requirePackageFits(
  properties: PackageProperties,
  directories: readonly string[],
): void {
  const byteCount = Buffer.byteLength(JSON.stringify({ properties, directories }));
  const { packageBytesMax } = requestLimits;
  if (byteCount <= packageBytesMax) return;
  const expected = `texts, icon and paths of at most ${packageBytesMax} bytes together`;
  throw requestInvalid('properties', { expected, actual: `${byteCount} bytes` });
}
