import type { Delta } from '../domain/delta.ts';
import { WaybillError } from '../domain/errors.ts';
import type { LibraryRooms } from './library-rooms.ts';

/** What is true between two steps of taking deltas; a crash can come at each. */
export type DeltaStep = 'deltas-listed' | 'delta-references-in';

/** The deltas of a content that can be given: listed, referenced by it, and their files here. */
export async function deltasOf(rooms: LibraryRooms, contentId: string): Promise<readonly Delta[]> {
  const listed = (await rooms.data.readDeltas(contentId)) ?? [];
  if (listed.length === 0) return [];
  const areHeld = await rooms.files.areHeld(listed.map(fileOf));
  const areUsed = await rooms.references.areUsedBy(hashesOf(listed), [contentId]);
  const given = listed.filter((_, index) => areHeld[index] && areUsed[index]);
  // One that makes the same file from the same base is as good.
  return [
    ...new Map(given.map((delta) => [`${delta.fileHash}/${delta.baseHash}`, delta])).values(),
  ];
}

/**
 * Lists deltas of a content, then references their files. What is listed and not referenced does
 * no harm: it is not told, and the sweep takes its file. So a crash in between costs the deltas. What
 * was listed stays listed, so that no reference is forgotten.
 *
 * @throws CONTENT_NOT_HELD when no package has the content
 * @throws FILE_NOT_HELD when the file of a delta is not here: nothing is changed
 * @throws DISK_FULL
 */
export async function addDeltas(
  rooms: LibraryRooms,
  { contentId, deltas }: { readonly contentId: string; readonly deltas: readonly Delta[] },
  onStep: (step: DeltaStep) => void,
): Promise<void> {
  if (!rooms.packages.contentOf(contentId)) {
    throw new WaybillError({ code: 'CONTENT_NOT_HELD', contentId });
  }
  if (deltas.length === 0) return;
  const areHeld = await rooms.files.areHeld(deltas.map(fileOf));
  const lost = deltas.find((_, index) => !areHeld[index]);
  if (lost) throw new WaybillError({ code: 'FILE_NOT_HELD', fileHash: lost.deltaHash });
  await rooms.files.syncRenames();
  const before = (await rooms.data.readDeltas(contentId)) ?? [];
  const all = new Map([...before, ...deltas].map((delta) => [keyOf(delta), delta]));
  const listed = await rooms.data.writeDeltas(contentId, [...all.values()]);
  onStep('deltas-listed');
  await rooms.references.add(contentId, hashesOf(listed));
  onStep('delta-references-in');
}

/** Notes in the index what the list of a content names; a list that is damaged names nothing. */
export async function addDeltaReferences(rooms: LibraryRooms, contentId: string): Promise<void> {
  const listed = (await rooms.data.readDeltas(contentId)) ?? [];
  await rooms.references.add(contentId, hashesOf(listed));
}

function fileOf({ deltaHash, deltaBytes }: Delta) {
  return { hash: deltaHash, sizeBytes: deltaBytes };
}

function hashesOf(deltas: readonly Delta[]): string[] {
  return deltas.map(({ deltaHash }) => deltaHash);
}

function keyOf({ fileHash, baseHash, deltaHash }: Delta): string {
  return `${fileHash}/${baseHash}/${deltaHash}`;
}
