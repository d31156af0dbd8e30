import { nearestWord } from '../../shared/runtime/nearest-word.ts';
import { toTypedOption } from '../../shared/runtime/usage-failure.ts';
import { allCommands, commandGroups, singleCommands } from './commands.ts';
import { completionWord } from './completion-help.ts';
import { meantCommand } from './meant-command.ts';

/** Options of every command, in the parser's names. */
const globalOptionNames = [
  'json',
  'server',
  'server-site',
  'ca',
  'cert',
  'key',
  'config',
  'help',
  'version',
];

/** What the parser says, and what we say instead. */
const sentences: readonly (readonly [
  RegExp,
  (found: string, args: readonly string[]) => string,
])[] = [
  [/^Missing required arguments?: (.+)$/, (names) => `expected ${toOptions(names)}`],
  [/^Not enough arguments following: (.+)$/, (name) => `--${name}: expected a value`],
  [/^Not enough non-option arguments/, (_, args) => `expected ${positionalsOf(args)}`],
  [/^Unknown arguments?: (.+)$/, (words, args) => toUnknown(words, args)],
  [/^Unknown commands?: (.+)$/, (words, args) => toUnknownWord(words, args)],
  [
    /^Arguments (.+) are mutually exclusive$/,
    (names) => `--${names.replace(' and ', ' and --')} exclude each other`,
  ],
];

/** The parser's complaint in our words, naming the option, with where to read on. */
export function toUsageMessage(complaint: string, args: readonly string[]): string {
  for (const [pattern, toSentence] of sentences) {
    const match = pattern.exec(complaint);
    if (match) return `${toSentence(match[1] ?? '', args)}; see "${helpFor(args)}"`;
  }
  return `${complaint}; see "${helpFor(args)}"`;
}

function toOptions(names: string): string {
  return names
    .split(', ')
    .map((name) => `--${name}`)
    .join(' and ');
}

/** The parser leaves the dashes out. */
function toUnknown(words: string, args: readonly string[]): string {
  // The word before an option decides what the option means.
  const stray = strayWord(args);
  if (stray !== undefined) return toUnknownWord(stray, args);
  const unknown = words.split(', ').map((word) => {
    const option = toTypedOption(word, args);
    return option === undefined ? toUnknownWord(word, args) : toUnknownOption(option, args);
  });
  // What follows a word that is no command cannot be judged.
  const isLost = commandsAt(pathOf(args)).length > 0;
  return [...new Set(isLost ? unknown.slice(0, 1) : unknown)].join(', ');
}

function positionalsOf(args: readonly string[]): string {
  const path = pathOf(args);
  const command = allCommands.find((candidate) => candidate.path === path);
  return command ? `${command.positionals} after "waybill ${path}"` : 'more words';
}

/** A word where a command was expected, or one too many. */
function toUnknownWord(word: string, args: readonly string[]): string {
  const known = commandsAt(pathOf(args));
  if (known.length === 0) return `unexpected word "${word}"`;
  const meant = meantCommand(word, known);
  return `"${word}" is no command${meant === undefined ? '' : `; did you mean "${meant}"?`}`;
}

/** An option of the same command was probably meant, or one that every command has. */
function toUnknownOption(typed: string, args: readonly string[]): string {
  const path = pathOf(args);
  const own = allCommands.find((command) => command.path === path)?.optionNames() ?? [];
  const known = [...own, ...own.map((name) => `no-${name}`), ...globalOptionNames];
  const meant = nearestWord(typed.replace(/^-+/, ''), known);
  return `unknown option ${typed}${meant === undefined ? '' : `; did you mean --${meant}?`}`;
}

/** What may follow: at the beginning any command, after a group's word its commands. */
function commandsAt(path: string): string[] {
  if (path === '') {
    const singles = [...singleCommands.map((one) => one.path), completionWord];
    return [...commandGroups.map(({ word }) => word), ...singles];
  }
  const group = commandGroups.find(({ word }) => word === path);
  return group?.commands.map((command) => command.path.slice(path.length + 1)) ?? [];
}

/** A word where a command is expected after a group, and that is none. */
function strayWord(args: readonly string[]): string | undefined {
  const path = pathOf(args);
  const known = path === '' ? [] : commandsAt(path);
  const [, word] = wordsOf(args);
  return word !== undefined && known.length > 0 && !known.includes(word) ? word : undefined;
}

function helpFor(args: readonly string[]): string {
  return `waybill ${pathOf(args)} --help`.replace('  ', ' ');
}

/** The words that name a command or a group, as far as they do. */
function pathOf(args: readonly string[]): string {
  const [first = '', second = ''] = wordsOf(args);
  const known = [
    ...allCommands.map(({ path }) => path),
    ...commandGroups.map(({ word }) => word),
    completionWord,
  ];
  return [`${first} ${second}`, first].find((path) => known.includes(path)) ?? '';
}

function wordsOf(args: readonly string[]): string[] {
  return args.filter((arg) => !arg.startsWith('-'));
}
