/** What is looked at before anything of a site is set up, so that it is set up whole, or nothing is changed. */
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { parse } from 'yaml';
import type { FileOwner } from '../../shared/certificates/secret-files.ts';
import { authorityNameOf } from '../../shared/domain/certificate-authority.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { parseSiteCode } from '../../shared/domain/site.ts';
import { chainOf } from '../../shared/rpc/certificate-trust.ts';
import { whileActingAs } from '../../shared/runtime/acting-user.ts';
import { type AuthorityContent, readAuthority } from '../certificate-authority/authority-files.ts';
import { isRootKeyEncrypted } from '../certificate-authority/root-keys.ts';
import { requireNoAdministrator, requireNoOther } from './administrator-files.ts';
import { isThere } from './authority-at-rest.ts';
import { readSetupMark } from './setup-mark.ts';
import { type BegunSetup, removalOf, type SetupPlaces, type SetupRequest } from './setup-places.ts';
import { requireWritable, type WantedDirectory } from './writable-directory.ts';

const elsewhere = 'name another directory with --data';

/**
 * Makes sure that nothing is there which is not of this very setting up, and that all of it can be written.
 *
 * @param owner whose the site's files are; undefined: of whoever runs this program
 * @throws AUTHORITY_CONFLICT; CERTIFICATE_INVALID when what is there cannot be used
 */
export async function requireRoom(
  places: SetupPlaces,
  request: SetupRequest,
  owner: FileOwner | undefined,
): Promise<void> {
  await requireNothingForeign(places, request, owner);
  for (const wanted of wantedDirectories(places, owner)) await requireWritable(wanted);
}

function wantedDirectories(places: SetupPlaces, owner: FileOwner | undefined): WantedDirectory[] {
  const { dataDirectory, configFile, administrator } = places;
  const withRights = 'call this with sudo, or';
  return [
    { path: dataDirectory, owner, whatElse: `${withRights} ${elsewhere}` },
    { path: dirname(configFile), whatElse: `${withRights} name another file with --config` },
    {
      ...{ path: administrator.directory, owner: administrator.owner },
      whatElse: 'call this as a user who has a home directory, for he becomes the administrator',
    },
  ];
}

async function requireNothingForeign(
  places: SetupPlaces,
  request: SetupRequest,
  owner: FileOwner | undefined,
): Promise<void> {
  const { administrator, authorityDirectory, configFile } = places;
  if (await isThere(configFile)) {
    const siteCode = await configuredSite(configFile);
    throw conflict(
      configFile,
      `there is a configuration already, ${siteCode === undefined ? 'so this site' : `that of site ${siteCode}, so it`} is set up; name another file with --config to set up another one`,
    );
  }
  const content = await whileActingAs(owner, () => readAuthority(authorityDirectory));
  if (!content) {
    await whileActingAs(owner, () => requireNewData(places));
    return requireNoAdministrator(administrator);
  }
  await requireThisSetup(places, request, { content, owner });
  // What a crash of this very command has left is gone on with.
  const [authority] = chainOf(Buffer.from(content.authority.certificate));
  await requireNoOther(administrator, request.adminName, authority);
}

/** Whose configuration it is; undefined when it cannot be read, or does not say. */
async function configuredSite(configFile: string): Promise<string | undefined> {
  try {
    const config: unknown = parse(await readFile(configFile, 'utf8'));
    const isSaid = typeof config === 'object' && config !== null && 'siteCode' in config;
    return isSaid ? parseSiteCode(String(config.siteCode)) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Another configuration for the same data would make administrators beside those that the site knows of.
 *
 * @throws AUTHORITY_CONFLICT
 */
async function requireThisSetup(
  places: SetupPlaces,
  request: SetupRequest,
  { content, owner }: BegunSetup & { readonly content: AuthorityContent },
): Promise<void> {
  const { authorityDirectory, configFile } = places;
  const { begunWith, hasWorked, difference } = await whileActingAs(owner, async () => ({
    begunWith: await readSetupMark(authorityDirectory),
    hasWorked: await isThere(places.stateStore),
    difference: await differenceOf(places, request, content),
  }));
  // Not as the owner: it is written by whoever runs this, where he alone may look.
  const isUnended = begunWith !== undefined && !hasWorked && !(await isThere(begunWith));
  if (isUnended && (difference || begunWith !== configFile)) {
    const what = difference?.what ?? `this was begun with --config ${begunWith}`;
    const goOn = 'it was not ended: call that again to go on, or, to begin anew, first';
    throw conflict(
      authorityDirectory,
      `${what}; ${goOn}: ${await removalOf(places, { content, owner })}`,
    );
  }
  if (difference) throw conflict(authorityDirectory, `${difference.what}; ${difference.whatElse}`);
  if (begunWith === configFile) return;
  const whatToDo = `${elsewhere} to set up another site; "waybill-site admin" makes another administrator of this one`;
  if (begunWith !== undefined) {
    throw conflict(
      authorityDirectory,
      `the site in this data directory is set up with the configuration ${begunWith}; ${whatToDo}`,
    );
  }
  // Set up by an older program: what has not run yet may have been cut short by a crash.
  if (hasWorked) {
    throw conflict(authorityDirectory, `a site works in this data directory already; ${whatToDo}`);
  }
}

/** What is another thing in the keys that are there than what is asked for; undefined when nothing is. */
async function differenceOf(
  { authorityDirectory }: SetupPlaces,
  { siteCode, rootPassphraseFile }: SetupRequest,
  { authority, bundle }: AuthorityContent,
): Promise<{ readonly what: string; readonly whatElse: string } | undefined> {
  const { subject } = chainOf(Buffer.from(authority.certificate))[0];
  if (subject !== `CN=${authorityNameOf(siteCode)}` || !bundle) {
    return { what: `there is an authority already, ${subject}`, whatElse: elsewhere };
  }
  const isEncrypted = await isRootKeyEncrypted(authorityDirectory, bundle.roots[0] ?? '');
  if (isEncrypted === undefined || isEncrypted === (rootPassphraseFile !== undefined)) {
    return undefined;
  }
  const how = isEncrypted ? 'with' : 'without';
  const what = `the key of the root was made ${how} --root-passphrase-file`;
  return { what, whatElse: `call this ${how} it` };
}

async function requireNewData({ stateStore }: SetupPlaces): Promise<void> {
  if (!(await isThere(stateStore))) return;
  throw conflict(
    stateStore,
    `a site has worked in this data directory, with certificates of another CA; ${elsewhere}`,
  );
}

function conflict(path: string, reason: string): WaybillError {
  return new WaybillError({ code: 'AUTHORITY_CONFLICT', path, reason });
}
