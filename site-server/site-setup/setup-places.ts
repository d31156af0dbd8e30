import { join } from 'node:path';
import { type AdministratorPlaces, administratorPlacesOf } from './administrator-files.ts';
import { isThere } from './authority-at-rest.ts';
import type { CallingUser } from './calling-user.ts';

/** What the first site of a hierarchy is to be. Paths are absolute. */
export interface SetupRequest {
  readonly siteCode: string;
  readonly kind: 'central-administration' | 'primary';
  readonly listen: string;
  readonly enrollmentListen?: string | undefined;
  readonly dataDirectory: string;
  readonly configFile: string;
  /** Name of the first administrator. */
  readonly adminName: string;
  readonly rootPassphraseFile?: string | undefined;
}

/** Where everything is. */
export interface SetupResult {
  readonly authorityDirectory: string;
  readonly adminConfigFile: string;
}

/** Where everything is, and will be. */
export interface SetupPlaces extends SetupResult {
  readonly dataDirectory: string;
  readonly configFile: string;
  readonly stateStore: string;
  readonly identityDirectory: string;
  readonly rootsFile: string;
  readonly agentFile: string;
  readonly administrator: AdministratorPlaces;
}

export function setupPlacesOf(
  user: CallingUser,
  { dataDirectory, configFile }: Pick<SetupRequest, 'dataDirectory' | 'configFile'>,
): SetupPlaces {
  const identityDirectory = join(dataDirectory, 'identity');
  const administrator = administratorPlacesOf(user);
  return {
    ...{ dataDirectory, configFile, identityDirectory, administrator },
    authorityDirectory: join(dataDirectory, 'authority'),
    stateStore: join(dataDirectory, 'state-store'),
    rootsFile: join(identityDirectory, 'roots.crt'),
    agentFile: join(identityDirectory, 'agent.pem'),
    adminConfigFile: administrator.configFile,
  };
}

/**
 * What a setting up that was begun and not ended has left, as the command that removes it; empty when it has left
 * nothing. For a site that has never worked only: of any other one it would be the end.
 */
export async function removalOf(places: SetupPlaces): Promise<string> {
  const { authorityDirectory, identityDirectory, administrator } = places;
  const { agentFile, rootsFile, configFile } = administrator;
  const made = [authorityDirectory, identityDirectory, agentFile, rootsFile, configFile];
  const there = await Promise.all(made.map(isThere));
  const left = made.filter((_, at) => there[at]);
  return left.length === 0 ? '' : ['rm -r', ...left.map(toShellWord)].join(' ');
}

/** So that it can be pasted into a shell. */
function toShellWord(path: string): string {
  return /^[\w./@+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
