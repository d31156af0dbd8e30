import yargs, { type Argv } from 'yargs';
import type { Chosen, GlobalArguments } from './command.ts';
import { UsageError } from './command-failure.ts';
import { type CommandGroup, commandGroups, singleCommands } from './commands.ts';
import {
  completionHelp,
  completionSummary,
  completionWord,
  isCompletionHelp,
} from './completion-help.ts';
import { addressText, flag, option, siteCodeText, someText } from './options.ts';

/** What a command line asks for: a command, or a text such as the help. */
export type Parsed = { readonly chosen: Chosen } | { readonly text: string };

const widthMax = 100;

/**
 * Understands a command line; runs nothing.
 *
 * @param options.width columns for the help
 * @throws UsageError naming the option or word that cannot be
 */
export async function parseCommandLine(
  args: readonly string[],
  options: { version: string; width: number },
): Promise<Parsed> {
  let chosen: Chosen | undefined;
  let text = '';
  const parser = newParser(options, (choice) => {
    chosen = choice;
  });
  await parser.parseAsync(args, {}, (_error, _args, output) => {
    text = output;
  });
  if (isCompletionHelp(args)) return { text: completionHelp };
  return chosen && text === '' ? { chosen } : { text };
}

function newParser(
  options: { version: string; width: number },
  choose: (chosen: Chosen) => void,
): Argv<GlobalArguments> {
  const parser = withGlobalOptions(yargs([]).scriptName('waybill'))
    .usage('waybill: moves software packages to every distribution point, every byte verified')
    .version('version', 'Show the version', options.version)
    .help('help', 'Show this help')
    .wrap(Math.min(widthMax, options.width))
    .locale('en')
    .exitProcess(false)
    .parserConfiguration({
      'greedy-arrays': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
    })
    .strict()
    .demandCommand(1, 'expected a command')
    .example([['waybill status --failed', 'what failed, where, and why']])
    .epilogue('A command with --help says more. Every command takes --json.')
    .fail((message, error) => {
      throw error && error.name !== 'YError' ? error : new UsageError(message ?? error?.message);
    });
  for (const group of commandGroups) addGroup(parser, group, choose);
  for (const command of singleCommands) command.addTo(parser, choose);
  return parser.completion(completionWord, completionSummary);
}

function addGroup(
  parser: Argv<GlobalArguments>,
  group: CommandGroup,
  choose: (chosen: Chosen) => void,
): void {
  parser.command(group.word, group.summary, (inner: Argv<GlobalArguments>) => {
    // A package has a version too; the program's is asked with `waybill --version`.
    inner.version(false);
    for (const command of group.commands) command.addTo(inner, choose);
    if (group.commands.some((command) => command.isDefault)) return inner;
    return inner
      .example(group.commands.slice(0, 1).map(({ example }) => [example, '']))
      .demandCommand(1, `expected a word after "${group.word}"`);
  });
}

function withGlobalOptions(parser: Argv): Argv<GlobalArguments> {
  const file = (name: string, describe: string) => option(name, describe, someText);
  const given = parser
    .group(['json', 'help'], 'Options:')
    .option('json', flag('JSON for programs instead of text'))
    .option('server', option('server', 'host:port of the site server', addressText))
    .option('server-site', option('server-site', 'Site that must answer there', siteCodeText))
    .option('ca', file('ca', "Certificate of the hierarchy's CA"))
    .option('cert', file('cert', "The caller's certificate"))
    .option('key', file('key', 'Private key of the certificate'))
    .option('config', file('config', 'File with server, serverSite, ca, cert and key'))
    .group(['server', 'server-site', 'ca', 'cert', 'key', 'config'], 'Connection:');
  // The parser's types know no other spelling than the one on the command line.
  return given as unknown as Argv<GlobalArguments>;
}
