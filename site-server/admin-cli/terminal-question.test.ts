import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import { askOnTerminal } from './terminal-question.ts';

describe('a question on the terminal (ADM-6)', () => {
  /** @param typed what comes, and then nothing more; undefined: the input stays open */
  function asked(typed: string | undefined, signal = new AbortController().signal) {
    const stdin = new PassThrough();
    if (typed !== undefined) stdin.end(typed);
    let said = '';
    const stdout = { write: (text: string) => (said += text) };
    const answer = askOnTerminal('Really? ', { stdin, stdout, signal });
    assert.equal(said, 'Really? ');
    return answer;
  }

  it('is answered by the line that is typed', async () => {
    assert.equal(await asked('PS1DP1\nmore\n'), 'PS1DP1');
    assert.equal(await asked('PS1DP1'), 'PS1DP1');
    assert.equal(await asked('\n'), '');
  });

  it('has no answer when the input has ended', async () => {
    assert.equal(await asked(''), undefined);
  });

  it('ends with Ctrl-C, also with one that came before', async () => {
    const interrupted = new AbortController();
    const answer = asked(undefined, interrupted.signal);
    interrupted.abort();
    await assert.rejects(answer, isAbortError);
    await assert.rejects(asked(undefined, interrupted.signal), isAbortError);
  });
});
