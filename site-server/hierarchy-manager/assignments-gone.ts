import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import { GroupRows } from './group-rows.ts';

/** Nothing is wanted of the DP any more, of any package, and it is in no group. Reads the whole tables. */
export async function assignmentsGone(
  store: Pick<StateStore, 'records'>,
  dpId: string,
): Promise<Change[]> {
  const assignments = store.records(keySpaces.packageAssignments);
  const changes: Change[] = [];
  for await (const [key, assignment] of assignments.list()) {
    if (assignment.dpId === dpId) changes.push(assignments.delete(key));
  }
  changes.push(...(await new GroupRows(store).distributionPointsGone((id) => id === dpId)));
  const validations = store.records(keySpaces.validationRequests);
  for await (const [key, request] of validations.list()) {
    if (request.dpId === dpId) changes.push(validations.delete(key));
  }
  return changes;
}
