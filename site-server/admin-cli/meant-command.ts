import { nearestWord } from '../../shared/runtime/nearest-word.ts';

/** Words that others say, and the commands of the same meaning, of which the first that there is counts. */
const meanings: readonly { readonly said: readonly string[]; readonly meant: readonly string[] }[] =
  [
    {
      said: ['remove', 'rm', 'del', 'delete', 'drop', 'unset'],
      meant: ['delete', 'remove', 'cancel', 'revoke', 'reset'],
    },
    { said: ['add', 'create', 'new', 'make'], meant: ['add', 'create', 'set'] },
    { said: ['list', 'ls'], meant: ['list', 'show'] },
    { said: ['show', 'info', 'get', 'view', 'describe'], meant: ['show', 'list'] },
    { said: ['set', 'edit', 'change', 'modify', 'update'], meant: ['set', 'update'] },
    { said: ['suspend', 'pause', 'stop', 'hold'], meant: ['suspend'] },
    { said: ['resume', 'continue', 'unpause'], meant: ['resume'] },
  ];

/** The command that was probably meant: one of the same meaning, else one written alike; undefined when none is. */
export function meantCommand(word: string, known: readonly string[]): string | undefined {
  const { meant = [] } = meanings.find(({ said }) => said.includes(word)) ?? {};
  return meant.find((command) => known.includes(command)) ?? nearestWord(word, known);
}
