import type { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type PairFile, readPairFile, writePairFile } from '../../shared/certificates/pair-file.ts';
import {
  type FileOwner,
  makeSecretDirectory,
  writeSecretFile,
} from '../../shared/certificates/secret-files.ts';
import { writeRootsFile } from '../../shared/certificates/trusted-roots.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { identityOfSubjectAltName } from '../../shared/rpc/certificate-identity.ts';
import { chainOf } from '../../shared/rpc/certificate-trust.ts';
import { whileActingAs } from '../../shared/runtime/acting-user.ts';
import type { CertificateAuthority } from '../certificate-authority/certificate-authority.ts';
import { enrollmentListenDefault } from '../enrollment/enrollment-config.ts';
import { isThere, whichAreThere } from './authority-at-rest.ts';
import { adminDirectoryOf, type CallingUser } from './calling-user.ts';

/** Where `waybill` finds whose credentials it uses, and which site it asks. */
export interface AdministratorPlaces {
  readonly directory: string;
  readonly agentFile: string;
  readonly rootsFile: string;
  readonly configFile: string;
  /** Who writes there; none: whoever runs this program. */
  readonly owner?: FileOwner | undefined;
}

export function administratorPlacesOf(user: CallingUser): AdministratorPlaces {
  const directory = adminDirectoryOf(user);
  return {
    directory,
    agentFile: join(directory, 'agent.pem'),
    rootsFile: join(directory, 'roots.crt'),
    configFile: join(directory, 'config.yaml'),
    owner: user.owner,
  };
}

/** @throws AUTHORITY_CONFLICT when credentials are there, other than of this name by this authority */
export async function requireNoOther(
  places: AdministratorPlaces,
  name: string,
  authority: X509Certificate,
): Promise<void> {
  const pair = await whileActingAs(places.owner, () => readPairFile(places.agentFile));
  if (!pair || administratorBy(authority, pair) !== name) await requireNoAdministrator(places);
}

/** @throws AUTHORITY_CONFLICT */
export async function requireNoAdministrator(places: AdministratorPlaces): Promise<void> {
  for (const path of [places.configFile, places.agentFile]) {
    if (!(await whileActingAs(places.owner, () => isThere(path)))) continue;
    const reason =
      'there is a configuration of waybill already, of another administrator or another hierarchy; move it away first, or call this as another user';
    throw new WaybillError({ code: 'AUTHORITY_CONFLICT', path, reason });
  }
}

/**
 * What an administrator's files are, when this very authority has made him one: empty when the key there is by another
 * one, or by nobody who can be told. Looked at as whoever may see them.
 */
export async function filesVouchedBy(
  { agentFile, rootsFile, configFile, owner }: AdministratorPlaces,
  authority: X509Certificate,
): Promise<string[]> {
  return whileActingAs(owner, async () => {
    const isVouched = await readPairFile(agentFile)
      .then((pair) => pair !== undefined && administratorBy(authority, pair) !== undefined)
      // What cannot be read may be anybody's.
      .catch(() => false);
    return isVouched ? whichAreThere([agentFile, rootsFile, configFile]) : [];
  });
}

/** A new key with its certificate, in one step. */
export async function writeAdministratorKey(
  { directory, agentFile, owner }: AdministratorPlaces,
  certify: () => Promise<PairFile>,
): Promise<void> {
  await whileActingAs(owner, () => makeSecretDirectory(directory, owner));
  const pair = await certify();
  await whileActingAs(owner, () => writePairFile(agentFile, pair, owner));
}

/** The roots that count, then where the site on this machine is asked. */
export async function writeAdministratorConfig(
  { rootsFile, configFile, owner }: AdministratorPlaces,
  authority: CertificateAuthority,
  site: { readonly listen: string; readonly enrollmentListen?: string | undefined },
): Promise<void> {
  const { listen, enrollmentListen = enrollmentListenDefault } = site;
  const held = { generation: authority.rootsGeneration, roots: authority.roots() };
  const config = {
    ...{ server: localAddressOf(listen), serverSite: authority.siteCode },
    ...{ ca: 'roots.crt', cert: 'agent.pem', key: 'agent.pem' },
    renewal: localAddressOf(enrollmentListen),
  };
  await whileActingAs(owner, async () => {
    await writeRootsFile(rootsFile, held, owner);
    await writeSecretFile(configFile, stringify(config), owner);
  });
}

/** His name, when it is an administrator's certificate by this authority; undefined for what is no certificate, too. */
function administratorBy(
  authority: X509Certificate,
  { certificates }: PairFile,
): string | undefined {
  const leaf = leafOf(certificates);
  if (!leaf) return undefined;
  const identity = identityOfSubjectAltName(leaf.subjectAltName);
  if (identity?.kind !== 'admin' || !leaf.verify(authority.publicKey)) return undefined;
  return identity.name;
}

/** Undefined when it is spoilt inside its frame. */
function leafOf(certificates: readonly string[]): X509Certificate | undefined {
  try {
    return chainOf(Buffer.from(certificates.join('\n')))[0];
  } catch {
    return undefined;
  }
}

/** Where an administrator on the same machine finds the site. */
function localAddressOf(listen: string): string {
  return listen.replace(/^(0\.0\.0\.0|\[::\]):/, 'localhost:');
}
