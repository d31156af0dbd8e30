import { typedTokenAdvice, withoutTokens } from '../domain/enrollment-token.ts';

/** Exit code of a program whose command line cannot be (ADM-6). */
const usageExitCode = 2;

/**
 * Ends a program whose command line cannot be: one sentence, and how it is to be called. For the
 * parser's `fail`.
 */
export function usageFailure(
  program: string,
  usage: string,
  typed?: TypedWords,
): (complaint: string | undefined, error: unknown) => never {
  return (complaint, error) => {
    // A refusal of ours comes as a text; any other error is a fault of the program.
    if (error instanceof Error && error.name !== 'YError') throw error;
    const sentence = toSentence(complaint ?? String(error), typed);
    process.stderr.write(`${program}: ${sentence}\nUsage: ${usage}; more with --help\n`);
    process.exit(usageExitCode);
  };
}

/** What was typed, and which commands there are. */
export interface TypedWords {
  readonly args: readonly string[];
  /** What each command needs behind it, such as FILE; empty: nothing. Undefined: words are not judged. */
  readonly commands?: Readonly<Record<string, string>>;
}

/** The parser's complaint in our words; of a command that is none, that instead of all else. */
export function toSentence(complaint: string, typed?: TypedWords): string {
  const told = withoutTokens(complaint);
  const args = typed?.args.map(withoutTokens);
  const sentence = toPlainSentence(told, typed && { ...typed, args: args ?? [] });
  const isTyped = told !== complaint || args?.some((arg, at) => arg !== typed?.args[at]);
  return isTyped ? `${sentence}; ${typedTokenAdvice}` : sentence;
}

function toPlainSentence(complaint: string, typed?: TypedWords): string {
  const commands = typed?.commands;
  const word = commands && firstWordOf(typed.args);
  const needed = word === undefined ? undefined : commands?.[word];
  if (commands && word !== undefined && needed === undefined) {
    const names = Object.keys(commands);
    return `"${word}" is no command; expected ${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;
  }
  const isTooShort = complaint.startsWith('Not enough non-option arguments');
  if (isTooShort && needed) return `expected ${needed} after "${word}"`;
  const unknown = /^Unknown arguments?: (.+)$/.exec(complaint)?.[1];
  if (unknown !== undefined) return toUnknown(unknown, typed?.args ?? []);
  const missing = /^Missing required arguments?: (.+)$/.exec(complaint)?.[1];
  if (missing !== undefined) return `expected ${toOptions(missing).join(' and ')}`;
  if (isTooShort) return 'expected a further word';
  const valueless = /^Not enough arguments following: (.+)$/.exec(complaint)?.[1];
  if (valueless !== undefined) return `--${valueless}: expected a value`;
  return complaint.startsWith('Invalid values:') ? toChoices(complaint) : complaint;
}

/** The parser lists options with a value that is none of a few words, each on a line of its own. */
function toChoices(complaint: string): string {
  const wrong = [...complaint.matchAll(/^ *Argument: (.+?), Given: (.*), Choices: (.+)$/gm)];
  const sentences = wrong.map(([, name, given, choices]) => {
    const words = [...(choices ?? '').matchAll(/"([^"]*)"/g)].map(([, word]) => word);
    return `--${name}: expected ${words.join(' or ')}, got ${given}`;
  });
  return sentences.join('; ');
}

/** The first word that is neither an option nor the value of one. */
function firstWordOf(args: readonly string[]): string | undefined {
  const isOption = (arg: string | undefined) => arg?.startsWith('-') ?? false;
  return args.find((arg, at) => {
    const before = args[at - 1];
    return !isOption(arg) && (!isOption(before) || before?.includes('='));
  });
}

function toOptions(names: string): string[] {
  return names.split(', ').map((name) => `--${name}`);
}

/** What the parser does not know, as it was typed. */
function toUnknown(names: string, args: readonly string[]): string {
  // The parser names an option of several words once more, as it names it itself: `dryRun`.
  const unknown = [...new Set(names.split(', ').map(toDashed))];
  return `unknown option or word: ${unknown.map((name) => toTypedOption(name, args) ?? name).join(', ')}`;
}

/**
 * The option that the parser means, which it names without its dashes and without the `no-` of a negation: as
 * it was typed, without its value. Undefined when it was no option.
 */
export function toTypedOption(name: string, args: readonly string[]): string | undefined {
  const options = args.filter((arg) => arg.startsWith('-')).map((arg) => arg.split('=', 1)[0]);
  const isCalled = (wanted: string) => (option: string | undefined) =>
    toDashed(option?.replace(/^-+/, '') ?? '') === toDashed(wanted);
  return options.find(isCalled(name)) ?? options.find(isCalled(`no-${name}`));
}

function toDashed(name: string): string {
  return name.replace(/[A-Z]/g, '-$&').toLowerCase();
}
