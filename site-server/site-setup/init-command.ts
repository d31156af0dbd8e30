import { readFile, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { resolve } from 'node:path';
import type { Argv } from 'yargs';
import type { FileOwner } from '../../shared/certificates/secret-files.ts';
import { addressForm, parseAddress } from '../../shared/domain/distribution-point.ts';
import { fromIdentityUri } from '../../shared/domain/peer-identity.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import { parseSiteCode } from '../../shared/domain/site.ts';
import { startedAsService } from '../../shared/enrollment/service-start.ts';
import { systemClock } from '../../shared/runtime/clock.ts';
import { authoritySettings } from '../certificate-authority/authority-config.ts';
import { enrollmentListenDefault } from '../enrollment/enrollment-config.ts';
import { type CallingUser, callingUserOf } from './calling-user.ts';
import type { SetupRequest, SetupResult } from './setup-places.ts';
import { setUpSite } from './site-setup.ts';

/** What a command of `waybill-site` needs of its process. */
export interface CommandSurroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly tell: (line: string) => void;
}

/** Where the service of the package looks. */
const usualConfigFile = '/etc/waybill/site.yaml';
const usualDataDirectory = '/var/lib/waybill-site';
const unit = 'waybill-site';

export const adminNameText = '1 to 63 letters, digits, dots, hyphens, underscores and @';
const kinds = ['central-administration', 'primary'] as const;

/** How the command is called: what is not in brackets must be given. */
export const initUsage =
  'waybill-site init --site CODE [--kind KIND] [--listen HOST:PORT] [--enrollment-listen HOST:PORT] [--data DIRECTORY --config FILE] [--admin NAME] [--root-passphrase-file FILE] [--no-start]';

/** Command lines that work as they stand: a service of the package, and a site of one's own to try it out. */
export const initExamples = [
  'sudo waybill-site init --site PS1',
  [
    'waybill-site init --site LAB --data /tmp/lab --config /tmp/lab.yaml \\',
    '  --listen 127.0.0.1:8630 --enrollment-listen 127.0.0.1:8632 --no-start',
  ].join('\n'),
] as const;

/** The options of `waybill-site init`. */
export function initOptions<T>(command: Argv<T>) {
  return command
    .usage(`${initUsage}\n\nSets up the first site of a new hierarchy.`)
    .option('site', {
      type: 'string',
      demandOption: true,
      describe: 'code of the site, such as CS1',
    })
    .option('kind', {
      choices: kinds,
      coerce: firstSiteKind,
      default: 'primary' as (typeof kinds)[number],
      describe: 'what the site is; a central administration site has no distribution points',
    })
    .option('listen', { type: 'string', default: '0.0.0.0:8530', describe: 'host:port' })
    .option('enrollment-listen', {
      type: 'string',
      defaultDescription: enrollmentListenDefault,
      describe: 'host:port for machines that enroll',
    })
    .option('data', {
      type: 'string',
      defaultDescription: usualDataDirectory,
      describe: 'data directory; only together with --config',
    })
    .option('config', {
      type: 'string',
      defaultDescription: usualConfigFile,
      describe: 'configuration file to write; only together with --data',
    })
    .option('admin', {
      type: 'string',
      defaultDescription: 'the user who calls this',
      describe: 'name of the first administrator, with the role full',
    })
    .option('root-passphrase-file', {
      type: 'string',
      describe: 'file with a passphrase that the key of the root is encrypted with',
    })
    .option('start', {
      type: 'boolean',
      default: true,
      describe: 'start the service, where the package is installed; --no-start leaves it',
    })
    .check(initProblems)
    .epilogue(`Examples:\n${initExamples.join('\n').replace(/^/gm, '  ')}`);
}

/** Every other kind of site is a choice that the parser refuses. */
function firstSiteKind(kind: (typeof kinds)[number]): (typeof kinds)[number] {
  if (String(kind) !== 'secondary') return kind;
  throw new Error(
    `--kind: expected ${kinds.join(' or ')}, got "secondary"; sites below another are made by "waybill site add" there and "waybill-site enroll" on their machine`,
  );
}

/** The options as they were given. */
export interface InitFlags {
  readonly site: string;
  readonly kind: (typeof kinds)[number];
  readonly listen: string;
  readonly enrollmentListen?: string | undefined;
  readonly data?: string | undefined;
  readonly config?: string | undefined;
  readonly admin?: string | undefined;
  readonly rootPassphraseFile?: string | undefined;
  readonly start: boolean;
}

/** What cannot be, as texts for the parser. */
function initProblems(flags: Readonly<Record<string, unknown>>): true | string {
  const { site, admin, data, config } = flags;
  if (parseSiteCode(String(site)) === undefined) {
    return `--site ${site}: expected three of A-Z and 0-9`;
  }
  for (const name of ['listen', 'enrollment-listen']) {
    const value = flags[name];
    if (value !== undefined && parseAddress(String(value)) === undefined) {
      return `--${name} ${value}: expected ${addressForm}`;
    }
  }
  const { listen, 'enrollment-listen': enrollmentListen = enrollmentListenDefault } = flags;
  if (isSamePort(String(listen), String(enrollmentListen))) {
    return `--listen ${listen}: expected another port than that of --enrollment-listen, ${enrollmentListen}`;
  }
  if (admin !== undefined && !isAdminName(String(admin))) {
    return `--admin ${admin}: expected ${adminNameText}`;
  }
  return halfOfPlaces({ data, config }) ?? true;
}

/** Whether only one of two can listen. */
function isSamePort(one: string, other: string): boolean {
  const [a, b] = [one, other].map((address) => /^(.*):(\d+)$/.exec(address));
  if (!a || !b || a[2] !== b[2]) return false;
  return a[1] === b[1] || [a[1], b[1]].some((host) => host === '0.0.0.0' || host === '[::]');
}

/** A site of another directory would take the place of the service's, or the service's site be configured elsewhere. */
function halfOfPlaces({ data, config }: { data: unknown; config: unknown }): string | undefined {
  if ((data === undefined) === (config === undefined)) return undefined;
  return data === undefined
    ? `--config ${config}: expected --data as well, which would be ${usualDataDirectory}`
    : `--data ${data}: expected --config as well, which would be ${usualConfigFile}`;
}

/** Sets up the first site of a hierarchy, starts its service if there is one, and tells what is next. */
export async function initSite(flags: InitFlags, surroundings: CommandSurroundings): Promise<void> {
  const { environment, tell } = surroundings;
  const user = await callingUser(environment);
  const request = toRequest(flags, user);
  const owner = await ownerOf(request.dataDirectory);
  const settings = authoritySettings.parse({});
  const result = await setUpSite({ clock: systemClock, settings, user, owner }, request);
  for (const line of whatThereIs(request, result)) tell(line);
  const isOfService =
    request.configFile === usualConfigFile && request.dataDirectory === usualDataDirectory;
  const isStarted =
    flags.start && isOfService && (await startedAsService(unit, { isRestarted: false }));
  for (const line of whatIsNext(request, isStarted)) tell(line);
}

function toRequest(flags: InitFlags, user: CallingUser): SetupRequest {
  const { site: siteCode, kind, listen, enrollmentListen, admin, rootPassphraseFile } = flags;
  const adminName = admin ?? user.name;
  if (!isAdminName(adminName)) {
    throw requestInvalid('--admin', { expected: adminNameText, actual: adminName });
  }
  return {
    ...{ siteCode, kind, listen, enrollmentListen, adminName },
    dataDirectory: resolve(flags.data ?? usualDataDirectory),
    configFile: resolve(flags.config ?? usualConfigFile),
    ...(rootPassphraseFile !== undefined && { rootPassphraseFile: resolve(rootPassphraseFile) }),
  };
}

function whatThereIs(request: SetupRequest, result: SetupResult): string[] {
  const { siteCode, configFile, adminName } = request;
  return [
    `Site ${siteCode} is set up, at the top of a new hierarchy.`,
    '',
    `  keys of the hierarchy  ${result.authorityDirectory}`,
    `  configuration          ${configFile}`,
    `  administrator          ${adminName} (full), ${result.adminConfigFile}`,
    '',
  ];
}

function whatIsNext({ configFile }: SetupRequest, isStarted: boolean): string[] {
  return [
    ...(isStarted ? [`Service ${unit} is running, and starts with the machine.`, ''] : []),
    'Next:',
    ...(isStarted ? [] : [`  waybill-site --config ${configFile}`]),
    '  waybill site list',
    `  waybill-site backup-authority --config ${configFile} --out FILE`,
    '',
    'Keep the backup where nobody else has it: without these keys no machine can ever join again.',
  ];
}

/** Whom this process works for. */
export async function callingUser(
  environment: CommandSurroundings['environment'],
): Promise<CallingUser> {
  const { uid, username, homedir } = userInfo();
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '');
  const homeDirectory = environment.HOME || homedir;
  return callingUserOf({ environment, uid, name: username, homeDirectory, passwd });
}

/** Files in a data directory that was made for a service belong to that service, whoever makes them. */
export async function ownerOf(dataDirectory: string): Promise<FileOwner | undefined> {
  if (userInfo().uid !== 0) return undefined;
  const found = await stat(dataDirectory).catch(() => undefined);
  return found && { uid: found.uid, gid: found.gid };
}

export function isAdminName(name: string): boolean {
  return fromIdentityUri(`waybill://admin/full/${name}`) !== undefined;
}
