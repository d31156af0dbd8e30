import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { addressRules, parseAddress } from '../../shared/domain/distribution-point.ts';
import { parseSiteCode } from '../../shared/domain/site.ts';
import { expectedSite, expectedSiteIfNamed } from '../../shared/rpc/expected-site.ts';
import { PeerConnection } from '../../shared/rpc/peer-connection.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import { RpcChannel } from '../../shared/rpc/rpc-channel.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { loadConfig } from '../../shared/runtime/load-config.ts';
import type { AdminChannel } from './admin-channel.ts';
import { UsageError } from './command-failure.ts';
import { isOnOldRoot, issuerSiteOf, ownCredentials } from './own-renewal.ts';
import type { PackageAccess } from './package-get/package-access.ts';
import { pinnedServerSite } from './server-site-pin.ts';
import type { TextStream } from './text-stream.ts';

/** Which site server to ask, and as whom, as far as the command line says. */
export interface ConnectionFlags {
  readonly server: string | undefined;
  /** Which site must answer there. */
  readonly serverSite: string | undefined;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly config: string | undefined;
}

/** When the command line says nothing. */
export const noConnectionFlags: ConnectionFlags = {
  ...{ server: undefined, serverSite: undefined, config: undefined },
  ...{ ca: undefined, cert: undefined, key: undefined },
};

/** What says the rest. */
export interface ConnectionSurroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly homeDirectory: string;
}

/** What connecting touches besides. */
export interface ConnectingSurroundings extends ConnectionSurroundings {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly stderr: Pick<TextStream, 'write'>;
}

/** A site server to ask. */
export interface Connection {
  readonly channel: AdminChannel;
  readonly address: string;
  /** PEM, absolute: the roots that are trusted. */
  readonly rootsFile?: string;
  /** Our certificate stands on an old root still, and is renewed by itself. @default false */
  readonly isOnOldRoot?: boolean;
  /** The way to content; nothing is sent yet. The caller closes it. */
  readonly openPackages: (clock: Clock) => Promise<PackageAccess>;
  /** A channel to another site, with the same certificate; it must be that very site. */
  readonly openSite: (site: { siteCode: string; address: string }) => AdminChannel;
}

/** What must be known to ask a site server. Files are PEM, paths absolute. */
export interface ConnectionConfig {
  readonly server: string;
  /**
   * The site that must answer there. Absent: any site of the hierarchy is believed, and so is one that was stolen,
   * for here nobody knows who is revoked.
   */
  readonly serverSite?: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** host:port where the certificate is renewed. */
  readonly renewal?: string;
}

const environmentPrefix = 'WAYBILL_';
const fileKeys = ['ca', 'cert', 'key'] as const;
const keys = ['server', ...fileKeys] as const;

const schema = z.strictObject({
  server: z
    .string()
    .refine(
      (text) => parseAddress(text) !== undefined,
      `host:port of a site server, ${addressRules}`,
    )
    .optional(),
  serverSite: z
    .string()
    .refine((text) => parseSiteCode(text) !== undefined, 'a site code such as PS1')
    .optional(),
  ca: z.string().min(1).optional(),
  cert: z.string().min(1).optional(),
  key: z.string().min(1).optional(),
  renewal: z
    .string()
    .refine(
      (text) => parseAddress(text) !== undefined,
      `host:port of an enrollment port, ${addressRules}`,
    )
    .optional(),
});

/**
 * Gets ready to ask a site server; nothing is sent yet.
 *
 * @throws CONFIG_INVALID, or UsageError when something is not set anywhere
 * @throws CERTIFICATE_INVALID naming the file
 */
export async function connect(
  flags: ConnectionFlags,
  surroundings: ConnectingSurroundings,
): Promise<Connection> {
  const config = await readConnectionConfig(flags, surroundings);
  const { clock, signal, stderr } = surroundings;
  const tell = (line: string) => stderr.write(`waybill: ${line}\n`);
  let renewedAt: string | undefined;
  const onRenewed = (address: string) => {
    renewedAt = address;
  };
  const credentials = await ownCredentials(
    {
      ...{ caFile: config.ca, certificateFile: config.cert, keyFile: config.key },
      renewalAddress: config.renewal,
    },
    { clock, signal, tell, onRenewed },
  );
  const isOfFile = flags.server === undefined && !surroundings.environment[toVariable('server')];
  const file = isOfFile ? configFileOf(flags, surroundings) : undefined;
  const issuerSiteCode = issuerSiteOf(credentials);
  const isShownBy = (siteCode: string) =>
    isSiteAt({ address: config.server, siteCode }, credentials, signal);
  const facts = { file, issuerSiteCode, renewedAt, isShownBy, tell };
  const serverSite = await pinnedServerSite(config, facts);
  const server = { address: config.server, ...expectedSiteIfNamed(serverSite) };
  const channel = new RpcChannel({ conversation: 'Admin', ...server, credentials });
  const openPackages = async (clock: Clock) => {
    // Loaded only now: it brings the content library with it.
    const { openPackageAccess } = await import('./package-get/open-package-access.ts');
    const { server } = config;
    return openPackageAccess({ server, serverSite, credentials, clock });
  };
  const openSite = ({ siteCode, address }: { siteCode: string; address: string }) =>
    new RpcChannel({ conversation: 'Admin', address, ...expectedSite(siteCode), credentials });
  return {
    ...{ channel, address: config.server, rootsFile: config.ca, openPackages, openSite },
    isOnOldRoot: config.renewal !== undefined && isOnOldRoot(credentials),
  };
}

/** How long a command may be held up by a look at which site is there. */
const lookMsMax = 3_000;

/**
 * Whether this very site answers there, by the certificate it shows. Asks it nothing.
 *
 * @param place.connectDeadlineMs how long it may take. @default 3_000
 */
export async function isSiteAt(
  {
    siteCode,
    ...place
  }: {
    readonly address: string;
    readonly siteCode: string;
    readonly connectDeadlineMs?: number;
  },
  credentials: PeerCredentials,
  signal: AbortSignal,
): Promise<boolean> {
  const connection = new PeerConnection({
    ...{ connectDeadlineMs: lookMsMax, ...place },
    ...{ ...expectedSite(siteCode), credentials },
  });
  try {
    return await connection.isReadyInTime(signal);
  } finally {
    connection.close();
  }
}

/** The whole of it, from flags, environment and file, in this order. Asks no network. */
export async function readConnectionConfig(
  flags: ConnectionFlags,
  surroundings: ConnectionSurroundings,
): Promise<ConnectionConfig> {
  const { environment } = surroundings;
  const file = configFileOf(flags, surroundings);
  // Other programs of ours have variables that begin so too.
  const variables = [...keys, 'serverSite'].map(toVariable);
  const ours = variables.map((name) => [name, environment[name] || undefined]);
  const given = await loadConfig({
    schema,
    file,
    environment: fromHere(Object.fromEntries(ours)),
    environmentPrefix,
    flags: fromHere({
      ...{ server: flags.server, serverSite: flags.serverSite },
      ...{ ca: flags.ca, cert: flags.cert, key: flags.key },
    }),
  });
  const { serverSite, ...others } = requireAll(given, file);
  const isOther = serverSite === undefined || isOfOtherServer(flags, environment);
  return isOther ? others : { ...others, serverSite };
}

type Texts = Readonly<Record<string, string | undefined>>;

/** Paths given here and now are seen from here; those in a file are seen from the file. */
function fromHere(texts: Texts): Texts {
  const isFile = (name: string) => fileKeys.some((key) => name === key || name === toVariable(key));
  return Object.fromEntries(
    Object.entries(texts).map(([name, text]) => [
      name,
      text && isFile(name) ? resolve(text) : text,
    ]),
  );
}

/** Whether the site that is named last is that of a server which something that counts more has replaced. */
function isOfOtherServer(flags: ConnectionFlags, environment: Texts): boolean {
  if (flags.serverSite !== undefined) return false;
  if (flags.server !== undefined) return true;
  return Boolean(environment[toVariable('server')]) && !environment[toVariable('serverSite')];
}

function configFileOf(
  flags: ConnectionFlags,
  { environment, homeDirectory }: ConnectionSurroundings,
): string | undefined {
  const named = flags.config ?? (environment[`${environmentPrefix}CONFIG`] || undefined);
  if (named !== undefined) return resolve(named);
  const usual = join(homeDirectory, '.config', 'waybill', 'config.yaml');
  return existsSync(usual) ? usual : undefined;
}

/** For whoever has nothing yet. */
const howToBegin =
  'To begin: "waybill-site init" sets up a first site, "waybill enroll" makes you an administrator of one that is there';

function requireAll(given: z.output<typeof schema>, file: string | undefined): ConnectionConfig {
  const { server, serverSite, ca, cert, key, renewal } = given;
  if (server === undefined || ca === undefined || cert === undefined || key === undefined) {
    const missing = keys.filter((name) => given[name] === undefined);
    throw new UsageError(
      `expected ${missing.map((name) => `--${name}`).join(', ')}; or set ${missing.join(', ')} in ` +
        `${file ?? '~/.config/waybill/config.yaml'}, or ${missing.map(toVariable).join(', ')}` +
        (missing.length === keys.length ? `. ${howToBegin}` : ''),
    );
  }
  const directory = file === undefined ? '' : dirname(file);
  const fromFile = (path: string) => resolve(directory, path);
  const files = { ca: fromFile(ca), cert: fromFile(cert), key: fromFile(key) };
  return {
    ...{ server, ...files },
    ...(serverSite !== undefined && { serverSite }),
    ...(renewal !== undefined && { renewal }),
  };
}

function toVariable(key: string): string {
  return environmentPrefix + key.replace(/[A-Z]/g, '_$&').toUpperCase();
}
