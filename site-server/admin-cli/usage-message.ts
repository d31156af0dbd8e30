import { allCommands, commandGroups } from './commands.ts';

/** What the parser says, and what we say instead. */
const sentences: readonly (readonly [
  RegExp,
  (found: string, args: readonly string[]) => string,
])[] = [
  [/^Missing required arguments?: (.+)$/, (names) => `expected ${toOptions(names)}`],
  [/^Not enough arguments following: (.+)$/, (name) => `--${name}: expected a value`],
  [/^Not enough non-option arguments/, (_, args) => `expected ${positionalsOf(args)}`],
  [/^Unknown arguments?: (.+)$/, (words, args) => toUnknown(words, args)],
  [/^Unknown commands?: (.+)$/, (words) => `"${words}" is no command`],
  [
    /^Did you mean (.+)\?$/,
    (name, args) => `"${unknownWordOf(args)}" is no command; did you mean "${name}"?`,
  ],
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
  const unknown = words.split(', ').map((word) => {
    const isOption = args.some(
      (arg) => arg.replace(/^-+/, '').split('=')[0] === word && arg.startsWith('-'),
    );
    return isOption ? `unknown option --${word}` : `unexpected word "${word}"`;
  });
  return [...new Set(unknown)].join(', ');
}

function positionalsOf(args: readonly string[]): string {
  const path = pathOf(args);
  const command = allCommands.find((candidate) => candidate.path === path);
  return command ? `${command.positionals} after "waybill ${path}"` : 'more words';
}

/** The word where a command was expected: the first, or the one after a group's. */
function unknownWordOf(args: readonly string[]): string {
  return wordsOf(args)[pathOf(args) === '' ? 0 : 1] ?? '';
}

function helpFor(args: readonly string[]): string {
  return `waybill ${pathOf(args)} --help`.replace('  ', ' ');
}

/** The words that name a command or a group, as far as they do. */
function pathOf(args: readonly string[]): string {
  const [first = '', second = ''] = wordsOf(args);
  const known = [...allCommands.map(({ path }) => path), ...commandGroups.map(({ word }) => word)];
  return [`${first} ${second}`, first].find((path) => known.includes(path)) ?? '';
}

function wordsOf(args: readonly string[]): string[] {
  return args.filter((arg) => !arg.startsWith('-'));
}
