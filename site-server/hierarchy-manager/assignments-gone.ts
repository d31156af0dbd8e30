import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** Nothing is wanted of the DP any more, of any package. Reads the whole table. */
export async function assignmentsGone(
  store: Pick<StateStore, 'records'>,
  dpId: string,
): Promise<Change[]> {
  const assignments = store.records(keySpaces.packageAssignments);
  const changes: Change[] = [];
  for await (const [key, assignment] of assignments.list()) {
    if (assignment.dpId === dpId) changes.push(assignments.delete(key));
  }
  const validations = store.records(keySpaces.validationRequests);
  for await (const [key, request] of validations.list()) {
    if (request.dpId === dpId) changes.push(validations.delete(key));
  }
  return changes;
}
