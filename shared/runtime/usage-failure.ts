/** Exit code of a program whose command line cannot be (ADM-6). */
const usageExitCode = 2;

/**
 * Ends a program whose command line cannot be: one sentence, and how it is to be called. For the
 * parser's `fail`.
 */
export function usageFailure(
  program: string,
  usage: string,
): (complaint: string | undefined, error: unknown) => never {
  return (complaint, error) => {
    // A refusal of ours comes as a text; any other error is a fault of the program.
    if (error instanceof Error && error.name !== 'YError') throw error;
    const sentence = toSentence(complaint ?? String(error));
    process.stderr.write(`${program}: ${sentence}\nUsage: ${usage}; more with --help\n`);
    process.exit(usageExitCode);
  };
}

/** The parser's complaint in our words. */
export function toSentence(complaint: string): string {
  const unknown = /^Unknown arguments?: (.+)$/.exec(complaint)?.[1];
  if (unknown !== undefined) return `unknown option or word: ${toNames(unknown).join(', ')}`;
  const missing = /^Missing required arguments?: (.+)$/.exec(complaint)?.[1];
  if (missing !== undefined) return `expected ${toOptions(missing).join(' and ')}`;
  if (complaint.startsWith('Not enough non-option arguments')) return 'expected a further word';
  const valueless = /^Not enough arguments following: (.+)$/.exec(complaint)?.[1];
  return valueless === undefined ? complaint : `--${valueless}: expected a value`;
}

function toOptions(names: string): string[] {
  return names.split(', ').map((name) => `--${name}`);
}

/** The parser names an option of several words once more, as it names it itself: `dryRun`. */
function toNames(names: string): string[] {
  const dashed = names.split(', ').map((name) => name.replace(/[A-Z]/g, '-$&').toLowerCase());
  return [...new Set(dashed)];
}
