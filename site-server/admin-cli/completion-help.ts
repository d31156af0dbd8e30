/** The command that the parser brings along, and what it lacks: its help. */
export const completionWord = 'completion';

export const completionSummary = 'Print a completion script for $SHELL: bash, zsh or fish';

export const completionHelp = `waybill completion

${completionSummary}

Examples:
  waybill completion >> ~/.bashrc
  SHELL=fish waybill completion > ~/.config/fish/completions/waybill.fish`;

/** The parser prints the script, whatever stands behind the word. */
export const isCompletionHelp = (args: readonly string[]): boolean =>
  args.find((arg) => !arg.startsWith('-')) === completionWord && args.includes('--help');
