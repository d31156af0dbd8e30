import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';

/** Hashes of the package files that open mini-jobs and send requests need; some come twice. */
export async function* packageFileReferences(
  store: Pick<StateStore, 'records'>,
): AsyncGenerator<string> {
  for await (const [, { file }] of store.records(keySpaces.sendRequests).list()) {
    if (file.fileHash !== '') yield file.fileHash;
  }
  // A job that is forwarded has its file before it has a request.
  for await (const [, { file }] of store.records(keySpaces.miniJobs).list()) {
    if (file) yield file.fileHash;
  }
}
