/** With which configuration a site is set up: a file beside its keys, so that no second one is begun over them. */
import { join } from 'node:path';
import {
  type FileOwner,
  readSecretFile,
  writeSecretFile,
} from '../../shared/certificates/secret-files.ts';

const fileName = 'set-up-with';

/** Says it, in one step; the same again changes nothing. */
export async function writeSetupMark(
  authorityDirectory: string,
  configFile: string,
  owner?: FileOwner,
): Promise<void> {
  if ((await readSetupMark(authorityDirectory)) === configFile) return;
  await writeSecretFile(join(authorityDirectory, fileName), `${configFile}\n`, owner);
}

/** The path; undefined: an older program has set it up, or nobody. */
export async function readSetupMark(authorityDirectory: string): Promise<string | undefined> {
  return (await readSecretFile(join(authorityDirectory, fileName)))?.trim();
}
