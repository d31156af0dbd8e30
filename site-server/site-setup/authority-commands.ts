import { join, resolve } from 'node:path';
import { isKeptByAgent } from '../../shared/certificates/pair-file.ts';
import type { FileOwner } from '../../shared/certificates/secret-files.ts';
import { whileActingAs } from '../../shared/runtime/acting-user.ts';
import { systemClock } from '../../shared/runtime/clock.ts';
import { backUpAuthority, restoreAuthority } from '../certificate-authority/authority-backup.ts';
import { readPassphrase } from '../certificate-authority/root-keys.ts';
import { type RootChange, retireRoot, rotateRoot } from '../certificate-authority/root-rotation.ts';
import type { SiteConfig } from '../site-config.ts';
import { openAuthorityAtRest } from './authority-at-rest.ts';
import { type CommandSurroundings, ownerOf } from './init-command.ts';

/** `waybill-site rotate-root`. The site server may run. */
export async function rotateRootOf(
  config: SiteConfig,
  options: { readonly isForced: boolean; readonly configFile: string },
  tell: CommandSurroundings['tell'],
) {
  const { configFile } = options;
  const { generation } = await asOwnerOf(config, () => rotateRoot(rootChangeOf(config), options));
  const hours = config.authority.rootOverlapHours;
  tell(`The new root and the one before it both count, in generation ${generation} of the roots.`);
  tell('The site server tells everybody of it by itself. A machine that is off until then needs a');
  tell(`new token: ${hours} hours from now all sites stand on the new root.`);
  tell('See "waybill certs" until nobody stands on the old one, then:');
  tell(`  waybill-site retire-root --config ${configFile}`);
  tellBackup(configFile, tell);
}

/** `waybill-site retire-root`. The site server may run. */
export async function retireRootOf(
  config: SiteConfig,
  options: { readonly isForced: boolean; readonly configFile: string },
  tell: CommandSurroundings['tell'],
) {
  const { bundle, standing } = await asOwnerOf(config, () =>
    retireRoot(rootChangeOf(config), options),
  );
  const { generation } = bundle;
  tell(
    `Only the newest root counts, in generation ${generation} of the roots. The old key is deleted.`,
  );
  for (const line of standing) tell(line);
  tellBackup(options.configFile, tell);
}

/** The backup that was made before has another root. */
function tellBackup(configFile: string, tell: CommandSurroundings['tell']): void {
  tell('Make a new backup now:');
  tell(`  waybill-site backup-authority --config ${configFile} --out FILE`);
}

/** Files that a backup command is told. */
export interface BackupFlags {
  readonly file: string;
  readonly passphraseFile?: string | undefined;
}

/** `waybill-site backup-authority`. The site server may run. */
export async function backUpAuthorityOf(
  config: SiteConfig,
  flags: BackupFlags,
  tell: CommandSurroundings['tell'],
) {
  const { siteCode } = config;
  const path = resolve(flags.file);
  const passphrase = await passphraseOf(flags);
  const directory = authorityDirectoryOf(config);
  const owner = await ownerOf(config.dataDirectory);
  const nowMs = systemClock.nowMs();
  await backUpAuthority({ directory, siteCode, path, passphrase, nowMs, owner });
  tell(`The keys of the hierarchy are in ${path}${passphrase === undefined ? '' : ', encrypted'}.`);
  tell('Keep it where nobody else has it: who has these keys is whoever he wants to be.');
}

/** `waybill-site restore-authority`. The site server does not run. */
export async function restoreAuthorityOf(
  config: SiteConfig,
  flags: BackupFlags,
  tell: CommandSurroundings['tell'],
) {
  const { siteCode } = config;
  const authorityDirectory = authorityDirectoryOf(config);
  const owner = await ownerOf(config.dataDirectory);
  const path = resolve(flags.file);
  const passphrase = await passphraseOf(flags);
  const request = { directory: authorityDirectory, siteCode, path, passphrase, owner };
  await restoreAuthority(request);
  await alignOwnIdentity(config, owner);
  tell(`The keys of the hierarchy are in ${authorityDirectory} again. Start the site server.`);
}

/**
 * Before a site server starts: makes its own certificate where it is missing or over, which it can without
 * anybody, if it has an authority and keeps its identity itself.
 */
export async function alignOwnIdentity(config: SiteConfig, owner?: FileOwner): Promise<void> {
  const { siteCode, authority: settings, certificates } = config;
  if (!isKeptByAgent(certificates)) return;
  const places = {
    siteCode,
    authorityDirectory: authorityDirectoryOf(config),
    rootsFile: certificates.caFile,
    agentFile: certificates.certificateFile,
  };
  const atRest = { clock: systemClock, settings, owner };
  await whileActingAs(owner, () => openAuthorityAtRest(atRest, places));
}

/** Where a site keeps its authority. */
export function authorityDirectoryOf({ dataDirectory }: Pick<SiteConfig, 'dataDirectory'>): string {
  return join(dataDirectory, 'authority');
}

/** Root is the user of the service while it works in its directory: what lies there is his doing. */
async function asOwnerOf<T>({ dataDirectory }: SiteConfig, work: () => Promise<T>): Promise<T> {
  return whileActingAs(await ownerOf(dataDirectory), work);
}

function rootChangeOf(config: SiteConfig): RootChange {
  const { siteCode, authority: settings, certificates } = config;
  const directory = authorityDirectoryOf(config);
  const { caFile: rootsFile, certificateFile } = certificates;
  const agentFile = isKeptByAgent(certificates) ? certificateFile : undefined;
  return { siteCode, settings, directory, rootsFile, agentFile, nowMs: systemClock.nowMs() };
}

async function passphraseOf({ passphraseFile }: BackupFlags): Promise<string | undefined> {
  return passphraseFile === undefined ? undefined : readPassphrase(resolve(passphraseFile));
}
