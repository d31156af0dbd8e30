import { open } from 'node:fs/promises';
import { deltaCountMax } from '../content-library/delta-list.ts';
import { packageHashOf } from '../content-library/package-record.ts';
import { contentNameOf } from '../domain/content-location.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import { type PackageVersion, parsePackageId } from '../domain/package.ts';
import { decodeBundle } from '../package-info/package-info-bundle.ts';
import { invalidPackageFile } from './package-file-failure.ts';
import {
  bundleBytesMax,
  decodeHead,
  headBytes,
  type PackageFileHead,
} from './package-file-format.ts';

/** What a package file has to carry: from the signed instruction. */
export interface ExpectedPackage {
  readonly packageId: string;
  readonly sourceVersion: number;
  /** 0: a full file. */
  readonly baseVersion: number;
  readonly packageHash: string;
}

/** What a package file says before its blocks. */
export interface PackageFileBeginning {
  readonly head: PackageFileHead;
  readonly version: PackageVersion;
  /** Where the file ends in which it stands. */
  readonly endBytes: number;
}

/**
 * Reads what stands before the blocks, and believes nothing: it is of the package and version that
 * are expected, and its sums are within what the version, whose hash is expected too, can need.
 *
 * @param startBytes where the package file begins in that file; it goes on to its end
 * @throws PACKAGE_FILE_INVALID
 */
export async function readBeginning(
  path: string,
  expected: ExpectedPackage,
  startBytes = 0,
): Promise<PackageFileBeginning> {
  const { packageId } = expected;
  await using file = await open(path, 'r');
  const { size: endBytes } = await file.stat();
  const head = decodeHead(await read(headBytes, startBytes));
  if (!head) throw invalidPackageFile(packageId, 'it does not begin as a package file does');
  const refusal = refusalOfHead(head, expected);
  if (refusal !== undefined) throw invalidPackageFile(packageId, refusal);
  const version = versionIn(await read(head.bundleBytes, startBytes + headBytes), expected);
  const excess = refusalOfSums(head, version);
  if (excess !== undefined) throw invalidPackageFile(packageId, excess);
  return { head, version, endBytes };

  async function read(count: number, position: number): Promise<Buffer> {
    const bytes = Buffer.alloc(count);
    const { bytesRead } = await file.read(bytes, 0, count, position);
    if (bytesRead !== count) throw invalidPackageFile(packageId, 'it is cut off');
    return bytes;
  }
}

function refusalOfHead(head: PackageFileHead, expected: ExpectedPackage): string | undefined {
  for (const field of ['packageId', 'sourceVersion', 'baseVersion'] as const) {
    if (head[field] !== expected[field]) {
      return `${field} is ${head[field]}, expected ${expected[field]}`;
    }
  }
  if (head.bundleBytes > bundleBytesMax) return `its bundle is over ${bundleBytesMax} bytes`;
  return undefined;
}

function versionIn(bundle: Uint8Array, expected: ExpectedPackage): PackageVersion {
  const { packageId } = expected;
  const version = decoded(bundle, packageId);
  const isExpected =
    version.sourceVersion === expected.sourceVersion &&
    version.packageHash === expected.packageHash &&
    packageHashOf(version.contents) === expected.packageHash;
  if (!isExpected) throw invalidPackageFile(packageId, 'it carries another version');
  const foreign = version.contents.find(({ contentId }) => isOfOther(contentId, packageId));
  if (!foreign) return version;
  throw invalidPackageFile(packageId, `${foreign.contentId} is a content of another package`);
}

/** The library takes an ID once: whoever took that of another package would keep its content out. */
function isOfOther(contentId: string, packageId: string): boolean {
  const name = contentNameOf(contentId);
  return name !== packageId && parsePackageId(name) !== undefined;
}

function decoded(bundle: Uint8Array, packageId: string): PackageVersion {
  try {
    return decodeBundle(bundle, packageId);
  } catch (error) {
    if (!isErrorWithCode(error, 'MESSAGE_INVALID')) throw error;
    throw invalidPackageFile(packageId, `its bundle is not valid: ${error.message}`);
  }
}

/** What the contents of a version can need at most is known: more is refused before it is written. */
function refusalOfSums(head: PackageFileHead, { contents }: PackageVersion): string | undefined {
  const sum = (of: (content: PackageVersion['contents'][number]) => number) =>
    contents.reduce((total, content) => total + of(content), 0);
  const sizeBytes = sum((content) => content.sizeBytes);
  const { fileCount, fileBytes, deltaCount, deltaBytes, patchCount, patchBytes, madeBytes } = head;
  const inAll = fileCount + deltaCount + patchCount;
  if (inAll > sum((content) => content.fileCount)) return 'it has too many files';
  if (deltaCount > deltaCountMax * contents.length) return 'it has too many deltas';
  // A delta is shorter than its file.
  const isTooLong = fileBytes + madeBytes > sizeBytes || deltaBytes + patchBytes > madeBytes;
  if (isTooLong) return 'it has too many bytes';
  return undefined;
}
