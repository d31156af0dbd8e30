import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  certificateRequestOf,
  newPrivateKey,
} from '../../shared/certificates/certificate-requests.ts';
import type { PairFile } from '../../shared/certificates/pair-file.ts';
import { type FileOwner, makeSecretDirectory } from '../../shared/certificates/secret-files.ts';
import { TrustedRoots, writeRootsFile } from '../../shared/certificates/trusted-roots.ts';
import type { PeerIdentity } from '../../shared/domain/peer-identity.ts';
import { whileActingAs } from '../../shared/runtime/acting-user.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { AuthoritySettings } from '../certificate-authority/authority-config.ts';
import { readAuthority } from '../certificate-authority/authority-files.ts';
import { CertificateAuthority } from '../certificate-authority/certificate-authority.ts';
import { IssuedEarlier } from '../certificate-authority/issued-earlier.ts';

/** What a command needs that works with the authority while no site server has it. */
export interface AuthorityAtRest {
  readonly clock: Pick<Clock, 'nowMs'>;
  /** Lifetimes, and where the passphrase is. */
  readonly settings: AuthoritySettings;
  /** Whom the site's files are given to. @default whoever runs this program */
  readonly owner?: FileOwner | undefined;
}

/** Where everything lies. */
export interface AuthorityPlaces {
  readonly siteCode: string;
  readonly authorityDirectory: string;
  readonly rootsFile: string;
  readonly agentFile: string;
}

/** A command that writes no log says what matters by itself. */
const logger = { warn: () => {} };

/**
 * Opens the authority of a site whose server does not run; undefined when it has none. The identity of the site
 * itself, its roots and its certificate, is made where it is missing or over, as far as the site can do that
 * alone. A crash leaves what is done, each file whole.
 */
export async function openAuthorityAtRest(
  { clock, settings, owner }: AuthorityAtRest,
  { siteCode, authorityDirectory: directory, rootsFile, agentFile }: AuthorityPlaces,
): Promise<CertificateAuthority | undefined> {
  const content = await readAuthority(directory);
  if (!content) return undefined;
  await makeSecretDirectory(dirname(agentFile), owner);
  if (content.bundle && !(await isThere(rootsFile))) {
    await writeRootsFile(rootsFile, content.bundle, owner);
  }
  const trustedRoots = await TrustedRoots.open(rootsFile, clock);
  const issued = new IssuedEarlier(directory, owner);
  return CertificateAuthority.open(
    { clock, logger, trustedRoots, issued, ...(owner && { owner }) },
    { ...settings, siteCode, directory, agentFile },
  );
}

/**
 * A new key with its certificate; the authority writes down that it issued one, as whom its directory belongs to.
 *
 * @param notBeforeMs when it begins at the earliest
 */
export async function certifiedPair(
  authority: CertificateAuthority,
  identity: PeerIdentity,
  owner: FileOwner | undefined,
  notBeforeMs = 0,
): Promise<PairFile> {
  const key = await newPrivateKey();
  const request = await certificateRequestOf(key);
  const options = { notBeforeMs };
  const leaf = await whileActingAs(owner, () => authority.issueLeaf(identity, request, options));
  return { key, certificates: [leaf, authority.authorityCertificate()] };
}

export async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

export async function whichAreThere(paths: readonly string[]): Promise<string[]> {
  const there = await Promise.all(paths.map(isThere));
  return paths.filter((_, at) => there[at]);
}
