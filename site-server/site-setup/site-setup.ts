import type { X509Certificate } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import {
  certificateRequestOf,
  newPrivateKey,
} from '../../shared/certificates/certificate-requests.ts';
import { type PairFile, readPairFile, writePairFile } from '../../shared/certificates/pair-file.ts';
import {
  makeSecretDirectory,
  writeSecretFile,
  writeWholeFile,
} from '../../shared/certificates/secret-files.ts';
import { writeRootsFile } from '../../shared/certificates/trusted-roots.ts';
import { authorityNameOf } from '../../shared/domain/certificate-authority.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { PeerIdentity } from '../../shared/domain/peer-identity.ts';
import { certifiedPeerOf } from '../../shared/rpc/certificate-identity.ts';
import { chainOf } from '../../shared/rpc/certificate-trust.ts';
import { readAuthority } from '../certificate-authority/authority-files.ts';
import { makeTopAuthority } from '../certificate-authority/authority-making.ts';
import type { CertificateAuthority } from '../certificate-authority/certificate-authority.ts';
import { readPassphrase } from '../certificate-authority/root-keys.ts';
import { enrollmentListenDefault } from '../enrollment/enrollment-config.ts';
import { type AuthorityAtRest, isThere, openAuthorityAtRest } from './authority-at-rest.ts';
import { adminDirectoryOf, type CallingUser } from './calling-user.ts';

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
  await requireNothingForeign(places, request);
  const { owner, clock, settings } = needs;
  const { siteCode, rootPassphraseFile, dataDirectory } = request;
  const passphrase =
    rootPassphraseFile === undefined ? undefined : await readPassphrase(rootPassphraseFile);
  await makeSecretDirectory(dataDirectory, owner);
  if (!(await isThere(places.authorityDirectory))) {
    const facts = { siteCode, nowMs: clock.nowMs(), settings, passphrase, owner };
    await makeTopAuthority(places.authorityDirectory, facts);
  }
  const authority = await openAuthorityAtRest(needs, { ...places, siteCode });
  if (!authority) throw new Error(`${places.authorityDirectory} was made and is not there`);
  await writeAdministrator(places, authority, needs, request);
  await writeSiteConfig(places, request);
  return places;
}

interface Places extends SetupResult {
  readonly configFile: string;
  readonly stateStore: string;
  readonly rootsFile: string;
  readonly agentFile: string;
  readonly adminDirectory: string;
  readonly adminAgentFile: string;
  readonly adminRootsFile: string;
}

function placesOf({ user }: SetupNeeds, { dataDirectory, configFile }: SetupRequest): Places {
  const identityDirectory = join(dataDirectory, 'identity');
  const adminDirectory = adminDirectoryOf(user);
  return {
    configFile,
    authorityDirectory: join(dataDirectory, 'authority'),
    stateStore: join(dataDirectory, 'state-store'),
    rootsFile: join(identityDirectory, 'roots.crt'),
    agentFile: join(identityDirectory, 'agent.pem'),
    adminDirectory,
    adminAgentFile: join(adminDirectory, 'agent.pem'),
    adminRootsFile: join(adminDirectory, 'roots.crt'),
    adminConfigFile: join(adminDirectory, 'config.yaml'),
  };
}

/** Everything is looked at before anything is written. */
async function requireNothingForeign(places: Places, request: SetupRequest): Promise<void> {
  const { siteCode, adminName } = request;
  if (await isThere(places.configFile)) {
    throw conflict(
      places.configFile,
      'there is a configuration already, so this site is set up; name another file with --config to set up another one',
    );
  }
  const content = await readAuthority(places.authorityDirectory);
  if (!content) {
    await requireNewData(places);
    return requireNoAdministrator(places);
  }
  const [authority] = chainOf(Buffer.from(content.authority.certificate));
  if (authority.subject !== `CN=${authorityNameOf(siteCode)}` || !content.bundle) {
    throw conflict(
      places.authorityDirectory,
      `there is an authority already, ${authority.subject}; name another directory with --data`,
    );
  }
  // What a crash of this very command has left is gone on with.
  const admin = await readPairFile(places.adminAgentFile);
  if (!admin || !isOf(adminName, admin, authority)) await requireNoAdministrator(places);
}

function isOf(adminName: string, { certificates }: PairFile, authority: X509Certificate): boolean {
  const [leaf] = chainOf(Buffer.from(certificates.join('\n')));
  const identity = certifiedPeerOf(leaf.toLegacyObject())?.identity;
  const isHis = identity?.kind === 'admin' && identity.name === adminName;
  return isHis && leaf.verify(authority.publicKey);
}

async function requireNewData({ stateStore }: Places): Promise<void> {
  if (!(await isThere(stateStore))) return;
  throw conflict(
    stateStore,
    'a site has worked in this data directory, with certificates of another CA; name another directory with --data',
  );
}

async function requireNoAdministrator(places: Places): Promise<void> {
  for (const path of [places.adminConfigFile, places.adminAgentFile]) {
    if (!(await isThere(path))) continue;
    throw conflict(
      path,
      'there is a configuration of waybill already, of another administrator or another hierarchy; move it away first, or call this as another user',
    );
  }
}

async function writeAdministrator(
  places: Places,
  authority: CertificateAuthority,
  { user }: SetupNeeds,
  request: Pick<SetupRequest, 'adminName' | 'listen' | 'enrollmentListen'>,
): Promise<void> {
  const { adminName, listen, enrollmentListen = enrollmentListenDefault } = request;
  const { owner } = user;
  await makeSecretDirectory(places.adminDirectory, owner);
  if (!(await isThere(places.adminAgentFile))) {
    const key = await newPrivateKey();
    const identity: PeerIdentity = { kind: 'admin', role: 'full', name: adminName };
    const leaf = await authority.issueLeaf(identity, await certificateRequestOf(key));
    const certificates = [leaf, authority.authorityCertificate()];
    await writePairFile(places.adminAgentFile, { key, certificates }, owner);
  }
  const held = { generation: authority.rootsGeneration, roots: authority.roots() };
  await writeRootsFile(places.adminRootsFile, held, owner);
  const config = {
    server: localAddressOf(listen),
    ...{ ca: 'roots.crt', cert: 'agent.pem', key: 'agent.pem' },
    renewal: localAddressOf(enrollmentListen),
  };
  await writeSecretFile(places.adminConfigFile, stringify(config), owner);
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

/** Where an administrator on the same machine finds the site. */
function localAddressOf(listen: string): string {
  return listen.replace(/^(0\.0\.0\.0|\[::\]):/, 'localhost:');
}

function conflict(path: string, reason: string): WaybillError {
  return new WaybillError({ code: 'AUTHORITY_CONFLICT', path, reason });
}
