import { z } from 'zod';
import { type ContentDescriptor, parseContentId, parseHash } from '../domain/content.ts';
import { type Priority, parsePackageId } from '../domain/package.ts';
import { ContentHash } from './content-hash.ts';
import type { LibraryPackage } from './package-library.ts';

const count = z.number().int().nonnegative();
const hash = z.string().refine((text) => parseHash(text) !== undefined, 'no BLAKE3-256');

/** A content's descriptor as it stands in a file of ours. */
export const contentSchema = z.strictObject({
  contentId: z.string().refine((text) => parseContentId(text) !== undefined, 'no content ID'),
  contentHash: hash,
  signatureHash: hash,
  manifestBytes: count,
  signatureBytes: count,
  entryCount: count,
  fileCount: count,
  sizeBytes: count,
});

const propertiesSchema = z.strictObject({
  name: z.string(),
  version: z.string(),
  manufacturer: z.string(),
  language: z.string(),
  description: z.string(),
  priority: z.number().pipe(z.custom<Priority>((value) => [1, 2, 3].includes(value as number))),
  programs: z.array(z.strictObject({ name: z.string(), commandLine: z.string() })),
  iconName: z.string(),
  iconBase64: z.string(),
});

const recordSchema = z.strictObject({
  format: z.literal(1),
  packageId: z.string().refine((text) => parsePackageId(text) !== undefined, 'no package ID'),
  sourceVersion: count,
  packageHash: hash,
  jobSerial: count,
  contents: z.array(contentSchema),
  properties: propertiesSchema,
});

/** The text of `pkg-lib/<PackageID>.json`. */
export function encodePackage(version: LibraryPackage): string {
  const { packageId, sourceVersion, packageHash, jobSerial, contents, properties } = version;
  const record = { packageId, sourceVersion, packageHash, jobSerial, contents, properties };
  return `${JSON.stringify({ format: 1, ...record }, undefined, 2)}\n`;
}

/** @throws with the reason, unless this is the record of that package and its hash fits */
export function decodePackage(text: string, packageId: string): LibraryPackage {
  const { format, ...version } = recordSchema.parse(JSON.parse(text));
  if (version.packageId !== packageId) throw new Error(`it is of package ${version.packageId}`);
  if (packageHashOf(version.contents) !== version.packageHash) {
    throw new Error('its hash does not fit its contents');
  }
  return version;
}

/**
 * The hash of a package: BLAKE3-256 over, for each content in order, the 32 bytes of its content
 * hash and the 32 bytes of its signature hash. Lower-case hexadecimal.
 */
export function packageHashOf(contents: readonly ContentDescriptor[]): string {
  const hash = new ContentHash();
  for (const { contentHash, signatureHash } of contents) {
    hash.update(Buffer.from(contentHash + signatureHash, 'hex'));
  }
  return hash.digest();
}
