import type { Argv } from 'yargs';
import { isKeptByAgent } from '../../shared/certificates/pair-file.ts';
import type { FileOwner } from '../../shared/certificates/secret-files.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import {
  type AdminRole,
  adminRoles,
  type PeerIdentity,
} from '../../shared/domain/peer-identity.ts';
import { beginningOf } from '../../shared/domain/revocation.ts';
import { chainOf } from '../../shared/rpc/certificate-trust.ts';
import { whileActingAs } from '../../shared/runtime/acting-user.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { systemClock } from '../../shared/runtime/clock.ts';
import type { CertificateAuthority } from '../certificate-authority/certificate-authority.ts';
import type { SiteConfig } from '../site-config.ts';
import {
  administratorPlacesOf,
  requireNoOther,
  writeAdministratorConfig,
  writeAdministratorKey,
} from './administrator-files.ts';
import { certifiedPair, openAuthorityAtRest } from './authority-at-rest.ts';
import { authorityDirectoryOf } from './authority-commands.ts';
import type { CallingUser } from './calling-user.ts';
import {
  adminNameText,
  type CommandSurroundings,
  callingUser,
  isAdminName,
  ownerOf,
} from './init-command.ts';

/** Who is made an administrator. */
export interface AdministratorFlags {
  readonly name: string;
  readonly role: AdminRole;
}

/** The options of `waybill-site admin`, besides the configuration. */
export function administratorOptions<T>(command: Argv<T>) {
  return command
    .positional('name', {
      type: 'string',
      demandOption: true,
      describe: 'name of the administrator',
    })
    .option('role', { choices: adminRoles, default: 'full' as AdminRole, describe: 'what he may' })
    .check(({ name }) => isAdminName(name) || `${name}: expected ${adminNameText}`)
    .example('$0 admin alice --config /etc/waybill/site.yaml', '');
}

/** `waybill-site admin`. The site server may run. */
export async function makeAdministratorOf(
  config: SiteConfig,
  flags: AdministratorFlags,
  { environment, tell }: CommandSurroundings,
): Promise<void> {
  const user = await callingUser(environment);
  const configFile = await makeAdministrator({ clock: systemClock, user }, config, flags);
  tell(
    `${flags.name} (${flags.role}) is an administrator of site ${config.siteCode}: ${configFile}`,
  );
  tell('Next: waybill site list');
}

/**
 * Makes the calling user an administrator by the authority of the top site, without anybody's leave: for when all
 * have lost their keys. A crash leaves what is done; the same command goes on.
 *
 * The name may have been revoked or deleted a moment ago, and the site server, which may run, has the store that says
 * so. So the certificate begins after now, and it counts when this resolves, within a second.
 *
 * @returns the configuration of `waybill`
 * @throws AUTHORITY_CONFLICT when this is not the top, or the user has credentials of somebody else; CERTIFICATE_INVALID
 */
export async function makeAdministrator(
  { clock, user }: { readonly clock: Pick<Clock, 'nowMs' | 'sleep'>; readonly user: CallingUser },
  config: SiteConfig,
  { name, role }: AdministratorFlags,
): Promise<string> {
  const owner = await ownerOf(config.dataDirectory);
  const authority = await whileActingAs(owner, () => topAuthorityOf(config, clock, owner));
  const [certificate] = chainOf(Buffer.from(authority.authorityCertificate()));
  const places = administratorPlacesOf(user);
  await requireNoOther(places, name, certificate);
  const identity: PeerIdentity = { kind: 'admin', role, name };
  const nowMs = clock.nowMs();
  const beginMs = beginningOf(nowMs, 0, { revokedAtMs: nowMs });
  await writeAdministratorKey(places, () => certifiedPair(authority, identity, owner, beginMs));
  const { listen, enrollment } = config;
  const site = { listen, enrollmentListen: enrollment.listen };
  await writeAdministratorConfig(places, authority, site);
  await clock.sleep(Math.max(0, beginMs - clock.nowMs()));
  return places.configFile;
}

async function topAuthorityOf(
  config: SiteConfig,
  clock: Pick<Clock, 'nowMs'>,
  owner: FileOwner | undefined,
): Promise<CertificateAuthority> {
  const { siteCode, authority: settings, certificates } = config;
  const path = authorityDirectoryOf(config);
  const { caFile: rootsFile, certificateFile: agentFile } = certificates;
  const places = { siteCode, authorityDirectory: path, rootsFile, agentFile };
  const found = isKeptByAgent(certificates)
    ? await openAuthorityAtRest({ clock, settings, owner }, places)
    : undefined;
  if (found?.isTop) return found;
  const reason =
    'only the top site has the root, and this is none; have a token made by an administrator of a site above';
  throw new WaybillError({ code: 'AUTHORITY_CONFLICT', path, reason });
}
