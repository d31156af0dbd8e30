import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';

/** Hashes of the package files that instructions which are not carried out yet need. */
export async function* receivedFileReferences(
  store: Pick<StateStore, 'records'>,
): AsyncGenerator<string> {
  for await (const [, { file }] of store.records(keySpaces.receivedInstructions).list()) {
    yield file.fileHash;
  }
}
