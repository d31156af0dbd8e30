import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { stringify } from 'yaml';
import {
  type FileOwner,
  makeSecretDirectory,
  writeWholeFile,
} from '../../shared/certificates/secret-files.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { whileActingAs } from '../../shared/runtime/acting-user.ts';
import { readAuthority } from '../certificate-authority/authority-files.ts';
import { makeTopAuthority } from '../certificate-authority/authority-making.ts';
import type { CertificateAuthority } from '../certificate-authority/certificate-authority.ts';
import { readPassphrase } from '../certificate-authority/root-keys.ts';
import { writeAdministratorConfig, writeAdministratorKey } from './administrator-files.ts';
import {
  type AuthorityAtRest,
  certifiedPair,
  isThere,
  openAuthorityAtRest,
} from './authority-at-rest.ts';
import type { CallingUser } from './calling-user.ts';
import { requireRoom } from './setup-checks.ts';
import { writeSetupMark } from './setup-mark.ts';
import {
  removalOf,
  type SetupPlaces,
  type SetupRequest,
  type SetupResult,
  setupPlacesOf,
} from './setup-places.ts';

/** What setting up needs. */
export interface SetupNeeds extends AuthorityAtRest {
  /** Who gets the first administrator's credentials. */
  readonly user: CallingUser;
}

/**
 * Sets up the top site of a new hierarchy: its root and authority, its own identity, a first full administrator
 * with a configuration for `waybill`, and, last of all, the configuration of the site server. Everything is looked
 * at before anything is written. Each step is whole or not done, and leaves what is there; so after a crash the
 * same command goes on. What is somebody else's is never overwritten.
 *
 * @throws AUTHORITY_CONFLICT when something is there that is not of this very setting up, or cannot be written
 * @throws CERTIFICATE_INVALID of the passphrase, or of what is there
 * @throws SETUP_UNFINISHED when it failed half way: it says how to begin again
 */
export async function setUpSite(needs: SetupNeeds, request: SetupRequest): Promise<SetupResult> {
  const places = setupPlacesOf(needs.user, request);
  const passphrase = await passphraseOf(request, needs.owner);
  await requireRoom(places, request, needs.owner);
  try {
    await makeSite(needs, { ...request, passphrase }, places);
  } catch (error) {
    throw await toUnfinished(error, places, needs.owner);
  }
  return places;
}

/** As whoever the files are of: the site server is to read it as well. */
async function passphraseOf(
  { rootPassphraseFile: path }: SetupRequest,
  owner: FileOwner | undefined,
): Promise<string | undefined> {
  return path === undefined ? undefined : whileActingAs(owner, () => readPassphrase(path));
}

type CheckedRequest = SetupRequest & { readonly passphrase: string | undefined };

async function makeSite(
  needs: SetupNeeds,
  request: CheckedRequest,
  places: SetupPlaces,
): Promise<void> {
  const { owner } = needs;
  const authority = await whileActingAs(owner, () => authorityAt(places, needs, request));
  const { administrator } = places;
  const identity = { kind: 'admin', role: 'full', name: request.adminName } as const;
  if (!(await isThere(administrator.agentFile))) {
    await writeAdministratorKey(administrator, () => certifiedPair(authority, identity, owner));
  }
  await writeAdministratorConfig(administrator, authority, request);
  await writeSiteConfig(places, request);
}

/** What is expected to fail, with how to begin again; of a site that has worked before nothing may be removed. */
async function toUnfinished(
  error: unknown,
  places: SetupPlaces,
  owner: FileOwner | undefined,
): Promise<unknown> {
  const isOfSystem = error instanceof Error && 'syscall' in error;
  if (!(error instanceof WaybillError) && !isOfSystem) return error;
  const reason = error.message;
  const isNew = !(await isThere(places.stateStore));
  const content = await whileActingAs(owner, () => readAuthority(places.authorityDirectory)).catch(
    () => undefined,
  );
  const removal = isNew ? await removalOf(places, { content, owner }) : '';
  return new WaybillError({ code: 'SETUP_UNFINISHED', reason, removal }, { cause: error });
}

/** The authority of the new hierarchy, and the site's own identity by it: made, unless they are there. */
async function authorityAt(
  places: SetupPlaces,
  needs: SetupNeeds,
  request: CheckedRequest,
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

async function writeSiteConfig(places: SetupPlaces, request: SetupRequest): Promise<void> {
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
