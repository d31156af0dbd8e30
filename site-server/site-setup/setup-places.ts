import { join } from 'node:path';
import type { FileOwner } from '../../shared/certificates/secret-files.ts';
import { chainOf } from '../../shared/rpc/certificate-trust.ts';
import { whileActingAs } from '../../shared/runtime/acting-user.ts';
import type { AuthorityContent } from '../certificate-authority/authority-files.ts';
import {
  type AdministratorPlaces,
  administratorPlacesOf,
  filesVouchedBy,
} from './administrator-files.ts';
import { whichAreThere } from './authority-at-rest.ts';
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

/** What is there of a setting up that was not ended. */
export interface BegunSetup {
  /** Undefined when no authority has been made, or none that can be read. */
  readonly content: AuthorityContent | undefined;
  /** Whose the site's files are; undefined: of whoever runs this program. */
  readonly owner: FileOwner | undefined;
}

/**
 * What a setting up that was begun and not ended has left, as the command that removes it; empty when it has left
 * nothing. For a site that has never worked only: of any other one it would be the end. An administrator's files are
 * among it only when the authority that was begun has made him one: he may be another hierarchy's.
 */
export async function removalOf(
  { authorityDirectory, identityDirectory, administrator }: SetupPlaces,
  { content, owner }: BegunSetup,
): Promise<string> {
  const ofSite = await whileActingAs(owner, () =>
    whichAreThere([authorityDirectory, identityDirectory]),
  );
  const ofAdministrator = content
    ? await filesVouchedBy(administrator, chainOf(Buffer.from(content.authority.certificate))[0])
    : [];
  const left = [...ofSite, ...ofAdministrator];
  return left.length === 0 ? '' : ['rm -r', ...left.map(toShellWord)].join(' ');
}

/** So that it can be pasted into a shell. */
function toShellWord(path: string): string {
  return /^[\w./@+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
