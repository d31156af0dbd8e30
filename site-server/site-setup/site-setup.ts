import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import {
  type FileOwner,
  makeSecretDirectory,
  writeWholeFile,
} from '../../shared/certificates/secret-files.ts';
import { authorityNameOf } from '../../shared/domain/certificate-authority.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { chainOf } from '../../shared/rpc/certificate-trust.ts';
import { whileActingAs } from '../../shared/runtime/acting-user.ts';
import { readAuthority } from '../certificate-authority/authority-files.ts';
import { makeTopAuthority } from '../certificate-authority/authority-making.ts';
import type { CertificateAuthority } from '../certificate-authority/certificate-authority.ts';
import { readPassphrase } from '../certificate-authority/root-keys.ts';
import {
  type AdministratorPlaces,
  administratorPlacesOf,
  requireNoAdministrator,
  requireNoOther,
  writeAdministratorConfig,
  writeAdministratorKey,
} from './administrator-files.ts';
import {
  type AuthorityAtRest,
  certifiedPair,
  isThere,
  openAuthorityAtRest,
} from './authority-at-rest.ts';
import type { CallingUser } from './calling-user.ts';
import { readSetupMark, writeSetupMark } from './setup-mark.ts';

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

/** What setting up needs. */
export interface SetupNeeds extends AuthorityAtRest {
  /** Who gets the first administrator's credentials. */
  readonly user: CallingUser;
}

/** Where everything is. */
export interface SetupResult {
  readonly authorityDirectory: string;
  readonly adminConfigFile: string;
}

/**
 * Sets up the top site of a new hierarchy: its root and authority, its own identity, a first full administrator
 * with a configuration for `waybill`, and, last of all, the configuration of the site server. Each step
 * is whole or not done, and leaves what is there; so after a crash the same command goes on. What is
 * somebody else's is never overwritten.
 *
 * @throws AUTHORITY_CONFLICT when something is there that is not of this very setting up; CERTIFICATE_INVALID
 */
export async function setUpSite(needs: SetupNeeds, request: SetupRequest): Promise<SetupResult> {
  const places = placesOf(needs, request);
  await requireNothingForeign(places, request, needs.owner);
  const { owner } = needs;
  const { rootPassphraseFile } = request;
  const passphrase =
    rootPassphraseFile === undefined ? undefined : await readPassphrase(rootPassphraseFile);
  const given = { ...request, passphrase };
  const authority = await whileActingAs(owner, () => authorityAt(places, needs, given));
  const { administrator } = places;
  const identity = { kind: 'admin', role: 'full', name: request.adminName } as const;
  if (!(await isThere(administrator.agentFile))) {
    await writeAdministratorKey(administrator, () => certifiedPair(authority, identity, owner));
  }
  await writeAdministratorConfig(administrator, authority, request);
  await writeSiteConfig(places, request);
  return places;
}

/** The authority of the new hierarchy, and the site's own identity by it: made, unless they are there. */
async function authorityAt(
  places: Places,
  needs: SetupNeeds,
  request: SetupRequest & { readonly passphrase: string | undefined },
): Promise<CertificateAuthority> {
  const { owner, clock, settings } = needs;
  const { siteCode, dataDirectory, passphrase } = request;
  await makeSecretDirectory(dataDirectory, owner);
  if (!(await isThere(places.authorityDirectory))) {
    const facts = { siteCode, nowMs: clock.nowMs(), settings, passphrase, owner };
    await makeTopAuthority(places.authorityDirectory, facts);
  }
  await writeSetupMark(places.authorityDirectory, request.configFile, owner);
  const authority = await openAuthorityAtRest(needs, { ...places, siteCode });
  if (!authority) throw new Error(`${places.authorityDirectory} was made and is not there`);
  return authority;
}

interface Places extends SetupResult {
  readonly configFile: string;
  readonly stateStore: string;
  readonly rootsFile: string;
  readonly agentFile: string;
  readonly administrator: AdministratorPlaces;
}

function placesOf({ user }: SetupNeeds, { dataDirectory, configFile }: SetupRequest): Places {
  const identityDirectory = join(dataDirectory, 'identity');
  const administrator = administratorPlacesOf(user);
  return {
    configFile,
    authorityDirectory: join(dataDirectory, 'authority'),
    stateStore: join(dataDirectory, 'state-store'),
    rootsFile: join(identityDirectory, 'roots.crt'),
    agentFile: join(identityDirectory, 'agent.pem'),
    administrator,
    adminConfigFile: administrator.configFile,
  };
}

/** Everything is looked at before anything is written. */
async function requireNothingForeign(
  places: Places,
  request: SetupRequest,
  owner: FileOwner | undefined,
): Promise<void> {
  const { siteCode, adminName } = request;
  if (await isThere(places.configFile)) {
    throw conflict(
      places.configFile,
      'there is a configuration already, so this site is set up; name another file with --config to set up another one',
    );
  }
  const content = await whileActingAs(owner, () => readAuthority(places.authorityDirectory));
  if (!content) {
    await whileActingAs(owner, () => requireNewData(places));
    return requireNoAdministrator(places.administrator);
  }
  const [authority] = chainOf(Buffer.from(content.authority.certificate));
  if (authority.subject !== `CN=${authorityNameOf(siteCode)}` || !content.bundle) {
    throw conflict(
      places.authorityDirectory,
      `there is an authority already, ${authority.subject}; name another directory with --data`,
    );
  }
  await whileActingAs(owner, () => requireThisSetup(places));
  // What a crash of this very command has left is gone on with.
  await requireNoOther(places.administrator, adminName, authority);
}

/**
 * Another configuration for the same data would make administrators beside those that the site knows of.
 *
 * @throws AUTHORITY_CONFLICT
 */
async function requireThisSetup({ authorityDirectory, configFile, stateStore }: Places) {
  const begunWith = await readSetupMark(authorityDirectory);
  if (begunWith === configFile) return;
  const whatToDo =
    'name another directory with --data to set up another site; "waybill-site admin" makes another administrator of this one';
  if (begunWith !== undefined) {
    throw conflict(
      authorityDirectory,
      `the site in this data directory is set up with the configuration ${begunWith}; ${whatToDo}`,
    );
  }
  // Set up by an older program: what has not run yet may have been cut short by a crash.
  if (await isThere(stateStore)) {
    throw conflict(authorityDirectory, `a site works in this data directory already; ${whatToDo}`);
  }
}

async function requireNewData({ stateStore }: Places): Promise<void> {
  if (!(await isThere(stateStore))) return;
  throw conflict(
    stateStore,
    'a site has worked in this data directory, with certificates of another CA; name another directory with --data',
  );
}

async function writeSiteConfig(places: Places, request: SetupRequest): Promise<void> {
  const { siteCode, kind, listen, enrollmentListen, dataDirectory, rootPassphraseFile } = request;
  const config = {
    ...{ siteCode, kind, listen, dataDirectory },
    ...(enrollmentListen !== undefined && { enrollment: { listen: enrollmentListen } }),
    certificates: {
      caFile: places.rootsFile,
      certificateFile: places.agentFile,
      keyFile: places.agentFile,
    },
    ...(rootPassphraseFile !== undefined && { authority: { rootPassphraseFile } }),
  };
  const heading = '# Made by "waybill-site init". Every key: docs/configuration.md\n';
  const mode = 0o644;
  await mkdir(dirname(places.configFile), { recursive: true });
  await writeWholeFile(places.configFile, heading + stringify(config), { mode });
}

function conflict(path: string, reason: string): WaybillError {
  return new WaybillError({ code: 'AUTHORITY_CONFLICT', path, reason });
}
