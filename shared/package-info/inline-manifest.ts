import type { InlineManifest } from '../domain/content.ts';
import type { PackageVersion } from '../domain/package.ts';
import type { InlineManifest__Output } from '../rpc/generated/waybill/v1/InlineManifest.ts';
import { inlineManifestBytesMax } from '../rpc/rpc-limits.ts';
import { invalidMessage } from './package-version.ts';

/**
 * Manifests that came with a package version, checked as far as their lengths go.
 *
 * @throws MESSAGE_INVALID when one is too long, comes twice, or is of no content of the version
 */
export function requireManifests(
  manifests: readonly InlineManifest__Output[],
  version: PackageVersion,
): InlineManifest[] {
  const ids = new Set(manifests.map(({ contentId }) => contentId));
  if (ids.size !== manifests.length) {
    throw invalidMessage('manifests', 'different IDs', 'one twice');
  }
  return manifests.map((manifest, index) =>
    requireManifest(`manifests[${index}]`, manifest, version),
  );
}

function requireManifest(
  field: string,
  { contentId, manifest, signature }: InlineManifest__Output,
  { contents }: PackageVersion,
): InlineManifest {
  const content = contents.find((one) => one.contentId === contentId);
  if (!content) throw invalidMessage(`${field}.content_id`, 'a content of the package', contentId);
  const { manifestBytes, signatureBytes } = content;
  const isPromised = manifest.length === manifestBytes && signature.length === signatureBytes;
  if (isPromised && manifestBytes + signatureBytes <= inlineManifestBytesMax) {
    return { contentId, manifest, signature };
  }
  throw invalidMessage(
    field,
    `${manifestBytes} + ${signatureBytes} bytes, ${inlineManifestBytesMax} together at most`,
    `${manifest.length} + ${signature.length} bytes`,
  );
}
