import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import type { ArgumentsCamelCase, Argv } from 'yargs';
import type { Program } from '../../shared/domain/package.ts';
import { requestLimits as limits } from '../../shared/domain/request-limits.ts';
import { toSystemReason } from '../../shared/runtime/system-reason.ts';
import type { AdminRequest } from './admin-channel.ts';
import type { GlobalArguments } from './command.ts';
import { refusedWord, UsageError } from './command-failure.ts';
import {
  anyText,
  exclusiveFlag,
  option,
  packageIdText,
  positional,
  repeatedOption,
  sitePathText,
  someText,
  wordOption,
} from './options.ts';
import { toByteText } from './units.ts';

const priorities = ['high', 'normal', 'low'] as const;
const wirePriorities = {
  high: 'PRIORITY_HIGH',
  normal: 'PRIORITY_NORMAL',
  low: 'PRIORITY_LOW',
} as const;

const programText = {
  parse: (text: string): Program | undefined => {
    const [, name = '', commandLine = ''] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
    return name.trim() && commandLine.trim() ? { name: name.trim(), commandLine } : undefined;
  },
  expected: 'a name and a command line, such as "install=setup.sh --quiet"',
};

/** The positional that every command about one package has. */
export const packageIdPositional = positional('package-id', 'Package ID', packageIdText);

/** Options that both `create` and `set` take. */
function describingOptions(parser: Argv<GlobalArguments>) {
  return parser
    .option('version', option('version', "The software's own version, free text", anyText))
    .option('manufacturer', option('manufacturer', 'Who made the software', anyText))
    .option('language', option('language', 'Language of the software', anyText))
    .option('description', option('description', 'What the package is for', anyText))
    .option('priority', wordOption('priority', 'Its place among other packages', priorities))
    .option(
      'program',
      repeatedOption('program', "'name=command line' for clients; repeatable", programText),
    )
    .option('icon', option('icon', 'Image file on this machine for clients', someText));
}

/** What `package create` takes. */
export function createOptions(parser: Argv<GlobalArguments>) {
  return describingOptions(parser)
    .option('name', {
      ...option('name', 'Name of the package', someText),
      demandOption: true as const,
    })
    .option('source', {
      ...repeatedOption(
        'source',
        'Directory on the site server; several make an application',
        sitePathText,
      ),
      demandOption: true as const,
    });
}

/** What `package set` takes. */
export function setOptions(parser: Argv<GlobalArguments>) {
  return describingOptions(parser)
    .positional('package-id', packageIdPositional)
    .option('name', option('name', 'New name of the package', someText))
    .option(
      'source',
      repeatedOption('source', 'New source directories, one for one; read by update', sitePathText),
    )
    .option('remove-programs', exclusiveFlag('Take all programs away'))
    .option('remove-icon', exclusiveFlag('Take the icon away'))
    .conflicts('remove-programs', 'program')
    .conflicts('remove-icon', 'icon');
}

type ArgumentsOf<F extends (parser: Argv<GlobalArguments>) => unknown> =
  ReturnType<F> extends Argv<infer A> ? ArgumentsCamelCase<A> : never;

/** The request of `package create`. @throws UsageError when the icon cannot be read */
export async function toCreateRequest(
  args: ArgumentsOf<typeof createOptions>,
): Promise<AdminRequest<'createPackage'>> {
  const icon = args.icon === undefined ? undefined : await readIcon(args.icon);
  return {
    sourceDirectories: args.source,
    properties: {
      name: args.name,
      version: args.version ?? '',
      manufacturer: args.manufacturer ?? '',
      language: args.language ?? '',
      description: args.description ?? '',
      priority: wirePriorities[args.priority ?? 'normal'],
      programs: args.program ?? [],
      ...(icon ? { iconName: icon.name, icon: icon.bytes } : {}),
    },
  };
}

/** The request of `package set`. @throws UsageError when nothing would be set */
export async function toSetRequest(
  args: ArgumentsOf<typeof setOptions>,
): Promise<AdminRequest<'setPackage'>> {
  const noIcon = args.removeIcon ? { name: '', bytes: Buffer.alloc(0) } : undefined;
  const programs = args.removePrograms ? [] : args.program;
  const properties = withoutUndefined({
    name: args.name,
    version: args.version,
    manufacturer: args.manufacturer,
    language: args.language,
    description: args.description,
    priority: args.priority && wirePriorities[args.priority],
    programs: programs && { programs },
    icon: args.icon === undefined ? noIcon : await readIcon(args.icon),
  });
  const { packageId, source = [] } = args;
  const isDescribed = Object.keys(properties).length > 0;
  if (isDescribed || source.length > 0) {
    return { packageId, sourceDirectories: source, ...(isDescribed ? { properties } : {}) };
  }
  throw new UsageError('expected something to set, such as --name or --priority');
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function withoutUndefined<T extends object>(values: T): Present<T> {
  const present = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as Present<T>;
}

/** Reads no more than may be sent, whatever the file has grown to. */
async function readIcon(path: string): Promise<{ name: string; bytes: Buffer }> {
  try {
    await using file = await open(path);
    const buffer = Buffer.alloc(limits.iconBytesMax + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    if (bytesRead > 0 && bytesRead <= limits.iconBytesMax) {
      return { name: basename(path), bytes: buffer.subarray(0, bytesRead) };
    }
  } catch (error) {
    const actual = `${path}, which cannot be read: ${toSystemReason(error)}`;
    throw refusedWord('--icon', { expected: 'an image file', actual });
  }
  const expected = `1 byte to ${toByteText(limits.iconBytesMax)}`;
  throw refusedWord('--icon', { expected: `a file of ${expected}`, actual: path });
}
