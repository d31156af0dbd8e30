import { access, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type FileOwner, writeSecretFile } from '../certificates/secret-files.ts';

/**
 * The word of an enrollment to the agent it was for: what its site told the identity before is over. The file
 * `enrolled-anew` beside the certificate, until the agent has obeyed; so a crash loses nothing of it.
 */
export class EnrolledAnew {
  readonly #path: string;

  /** @param directory where the identity is */
  constructor(directory: string) {
    this.#path = join(directory, 'enrolled-anew');
  }

  say(owner?: FileOwner): Promise<void> {
    return writeSecretFile(this.#path, '', owner);
  }

  isSaid(): Promise<boolean> {
    return access(this.#path).then(
      () => true,
      () => false,
    );
  }

  forget(): Promise<void> {
    return rm(this.#path, { force: true });
  }
}
