import { readFile, realpath, stat } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { parse } from 'yaml';
import { writeWholeFile } from '../../shared/certificates/secret-files.ts';

/** The configuration of whoever uses `waybill`, as far as it matters whom he believes. */
export interface PinnableConfig {
  readonly server: string;
  readonly serverSite?: string;
  readonly renewal?: string;
}

/** What is known of it besides. */
export interface PinFacts {
  /** Where `server` stands; undefined when it was said here and now. */
  readonly file: string | undefined;
  /** The site whose authority has issued his certificate; empty: none has. */
  readonly issuerSiteCode: string;
  /** Where that site, which has proven who it is, has just renewed it; undefined: it was not renewed now. */
  readonly renewedAt: string | undefined;
  /** Whether whoever is at `server` shows now that it is this site. */
  readonly isShownBy: (siteCode: string) => Promise<boolean>;
  /** Takes a line for the one who uses it. */
  readonly tell: (line: string) => void;
}

/**
 * The site that must answer where the configuration says. One that an older "waybill enroll" wrote names none: that is
 * told each time, and written in when the site that vouches for him has just renewed his certificate at the same host, and
 * shows itself at that very address, too: a host may have several sites.
 *
 * @returns undefined: any site of the hierarchy is believed
 */
export async function pinnedServerSite(
  config: PinnableConfig,
  { file, issuerSiteCode, renewedAt, isShownBy, tell }: PinFacts,
): Promise<string | undefined> {
  const { server, serverSite, renewal } = config;
  // Only an enrollment writes where it is renewed: others are whatever whoever wrote them wants.
  if (serverSite !== undefined || file === undefined || renewal === undefined) return serverSite;
  if (issuerSiteCode === '') return undefined;
  const isNear = renewedAt !== undefined && hostOf(renewedAt) === hostOf(server);
  if (isNear && (await isShownBy(issuerSiteCode)) && (await hasWritten(file, issuerSiteCode))) {
    tell(`${file} names site ${issuerSiteCode} from now on: no other one is believed at ${server}`);
    return issuerSiteCode;
  }
  tell(
    `${file} names no site: any of the hierarchy is believed at ${server}, also a stolen one. Write "serverSite: ${issuerSiteCode}" into it, if that is the site there`,
  );
  return undefined;
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':'));
}

/** Whole, or not at all; not where it would say anything else besides, or is somebody else's. */
async function hasWritten(file: string, siteCode: string): Promise<boolean> {
  try {
    const path = await realpath(file);
    const { mode, uid } = await stat(path);
    if (uid !== process.getuid?.()) return false;
    const text = await readFile(path, 'utf8');
    const next = `${text.trimEnd()}\nserverSite: ${siteCode}\n`;
    if (!isDeepStrictEqual(parse(next), { ...parse(text), serverSite: siteCode })) return false;
    await writeWholeFile(path, next, { mode: mode & 0o777 });
    return true;
  } catch {
    // A file that cannot be written, or to which no line can be added: it is told each time.
    return false;
  }
}
