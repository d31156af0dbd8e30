import type { ContentDescriptor } from '../domain/content.ts';
import { mayHaveContent } from '../domain/content-location.ts';
import { WaybillError } from '../domain/errors.ts';
import type { PackageVersion } from '../domain/package.ts';
import { allEnded } from '../runtime/all-ended.ts';
import { type StagedContent, verifySignature } from './data-library.ts';
import type { LibraryRooms } from './library-rooms.ts';
import type { HeldFile } from './library-tasks.ts';
import { packageHashOf } from './package-record.ts';

/** A version that is to become the visible one. */
export interface PackageCommit {
  readonly version: PackageVersion;
  readonly jobSerial: number;
  /**
   * Contents whose manifests are not in the library yet; others must be there. Nobody else may touch
   * these files until the commit has ended.
   */
  readonly staged: readonly StagedContent[];
}

/** So many references share one write, which waits for the disk. */
const referencesPerWrite = 8_000;

/** What is true between two steps of a commit; a crash can come at each. */
export type CommitStep = 'checked' | 'manifests-in' | 'references-in' | 'published';

/**
 * Makes a version the visible one: checks all of it, then manifests, references, and one rename.
 * Every step can be done twice. What only the old version used is still to be let go.
 *
 * @param options.areVerified the files it does not share with the version before are hashed
 * @returns false when files are still to be hashed: nothing was changed
 * @throws VERSION_DOWNGRADE when a higher version is here
 * @throws CONTENT_INCOMPLETE when files are missing
 * @throws CONTENT_NOT_HELD, MANIFEST_INVALID, CONTENT_HASH_MISMATCH as reading manifests does
 */
export async function commitVersion(
  rooms: LibraryRooms,
  commit: PackageCommit,
  { areVerified, onStep }: { areVerified: boolean; onStep: (step: CommitStep) => void },
): Promise<boolean> {
  const { version, jobSerial } = commit;
  refuseVersion(rooms, version);
  const located = await locateContents(rooms, commit);
  const [found] = await allEnded([
    checkContents(rooms, version, located),
    rooms.files.syncRenames(),
    rooms.data.sync(located),
  ]);
  // Once more for what came while it was checked, and was counted as here: seldom anything.
  await rooms.files.syncRenames();
  if (found.hasUnverified && !areVerified) return false;
  if (found.missingFiles > 0) {
    const { packageId } = version;
    const { missingFiles } = found;
    throw new WaybillError({ code: 'CONTENT_INCOMPLETE', packageId, missingFiles });
  }
  onStep('checked');
  const record = { ...version, jobSerial };
  await allEnded([rooms.packages.prepare(record), takeIn(rooms, located, { version, onStep })]);
  await rooms.packages.publish(record);
  onStep('published');
  return true;
}

async function takeIn(
  rooms: LibraryRooms,
  located: readonly StagedContent[],
  { version, onStep }: { version: PackageVersion; onStep: (step: CommitStep) => void },
): Promise<void> {
  await rooms.data.adopt(located);
  onStep('manifests-in');
  await addReferences(rooms, version.contents, (content) => rooms.data.filesOf(content));
  onStep('references-in');
}

/**
 * The files of a version that are here and that nobody has hashed since this process began, except
 * those the visible version of the package uses: they were checked when that came, and an update
 * must not read again all that it leaves as it is.
 *
 * @throws CONTENT_NOT_HELD, MANIFEST_INVALID, CONTENT_HASH_MISMATCH as reading manifests does
 */
export async function* unverifiedFiles(
  rooms: LibraryRooms,
  commit: PackageCommit,
): AsyncGenerator<readonly HeldFile[]> {
  const before = rooms.packages.get(commit.version.packageId)?.contents ?? [];
  const located = await locateContents(rooms, commit);
  for (const [index, descriptor] of commit.version.contents.entries()) {
    const path = located[index]?.manifestPath;
    if (path === undefined) throw new Error('Every content was located');
    for await (const files of rooms.data.readFiles(descriptor, path)) {
      yield await unverifiedOf(rooms, files, before);
    }
  }
}

type Batch = readonly HeldFile[];

/** Notes all files of these contents in the index; durable when this resolves. */
export async function addReferences(
  rooms: LibraryRooms,
  contents: readonly ContentDescriptor[],
  filesOf: (content: ContentDescriptor) => Iterable<Batch> | AsyncIterable<Batch>,
): Promise<void> {
  for (const descriptor of contents) {
    const { contentId } = descriptor;
    let hashes: string[] = [];
    for await (const files of filesOf(descriptor)) {
      for (const { hash } of files) hashes.push(hash);
      if (hashes.length < referencesPerWrite) continue;
      await rooms.references.add(contentId, hashes);
      hashes = [];
    }
    await rooms.references.add(contentId, hashes);
  }
}

function refuseVersion(rooms: LibraryRooms, version: PackageVersion): void {
  const { packageId, sourceVersion: offered, packageHash: expectedHash, contents } = version;
  const held = rooms.packages.get(packageId)?.sourceVersion ?? 0;
  if (offered < held) {
    throw new WaybillError({ code: 'VERSION_DOWNGRADE', packageId, offered, held });
  }
  const actualHash = packageHashOf(contents);
  if (actualHash !== expectedHash) {
    const contentId = packageId;
    throw new WaybillError({ code: 'CONTENT_HASH_MISMATCH', contentId, expectedHash, actualHash });
  }
  const contentIds = new Set<string>();
  for (const descriptor of contents) {
    if (contentIds.has(descriptor.contentId)) refuseContent(descriptor, 'twice');
    contentIds.add(descriptor.contentId);
    refuseForeignContent(rooms, packageId, descriptor);
  }
}

/** A content ID is never used again for other bytes, nor by two packages; nor is one that names another. */
function refuseForeignContent(
  rooms: LibraryRooms,
  packageId: string,
  descriptor: ContentDescriptor,
): void {
  if (!mayHaveContent(packageId, descriptor.contentId)) refuseContent(descriptor, 'of another');
  const known = rooms.packages.contentOf(descriptor.contentId);
  if (known && known.packageId !== packageId) refuseContent(descriptor, `of ${known.packageId}`);
  if (known && known.descriptor.contentHash !== descriptor.contentHash) {
    const { contentId, contentHash: actualHash } = descriptor;
    const expectedHash = known.descriptor.contentHash;
    throw new WaybillError({ code: 'CONTENT_HASH_MISMATCH', contentId, expectedHash, actualHash });
  }
}

function refuseContent({ contentId }: ContentDescriptor, actual: string): never {
  throw new WaybillError({
    code: 'MESSAGE_INVALID',
    field: 'contents',
    expected: 'content IDs that are used once',
    actual: `${contentId}, ${actual}`,
  });
}

function locateContents(rooms: LibraryRooms, commit: PackageCommit): Promise<StagedContent[]> {
  return Promise.all(
    commit.version.contents.map((descriptor) => {
      const staged = commit.staged.find((one) => one.contentId === descriptor.contentId);
      return rooms.data.locate(descriptor, staged);
    }),
  );
}

/** What was found when a version was checked. */
interface Finding {
  missingFiles: number;
  hasUnverified: boolean;
}

async function checkContents(
  rooms: LibraryRooms,
  version: PackageVersion,
  located: readonly StagedContent[],
): Promise<Finding> {
  const before = rooms.packages.get(version.packageId)?.contents ?? [];
  const finding: Finding = { missingFiles: 0, hasUnverified: false };
  for (const [index, descriptor] of version.contents.entries()) {
    const paths = located[index];
    if (!paths) throw new Error('Every content was located');
    await verifySignature(paths.signaturePath, descriptor);
    for await (const files of rooms.data.readFiles(descriptor, paths.manifestPath)) {
      await checkFiles(rooms, files, { before, finding });
    }
  }
  return finding;
}

async function checkFiles(
  rooms: LibraryRooms,
  files: readonly HeldFile[],
  { before, finding }: { before: readonly ContentDescriptor[]; finding: Finding },
): Promise<void> {
  const areHeld = await rooms.files.areHeld(files);
  const held = files.filter((_, position) => areHeld[position]);
  finding.missingFiles += files.length - held.length;
  finding.hasUnverified ||= (await unverifiedOf(rooms, held, before)).length > 0;
}

async function unverifiedOf(
  rooms: LibraryRooms,
  files: readonly HeldFile[],
  before: readonly ContentDescriptor[],
): Promise<HeldFile[]> {
  const unknown = files.filter(({ hash }) => !rooms.files.verified.has(hash));
  const hashes = unknown.map(({ hash }) => hash);
  const contentIds = before.map(({ contentId }) => contentId);
  const isOfBefore = await rooms.references.areUsedBy(hashes, contentIds);
  return unknown.filter((_, index) => !isOfBefore[index]);
}
