import assert from 'node:assert/strict';
import { pageCommands, printedCommand } from './page-commands.ts';

describe('pageCommands', () => {
  it('are blocks that say where, in order, with what is to be run of what was printed', () => {
    const page = [
      'Text.',
      '```sh',
      '# on ps1',
      'one',
      'two \\',
      '  three',
      '```',
      '```sh',
      'an example only',
      '```',
      '<!-- the printed line, on ps1dp1 -->',
      '```text',
      'output',
      '```',
      '```sh',
      '# on ps1, as alice: a package',
      'four',
      '```',
    ].join('\n');
    assert.deepEqual(pageCommands(page), [
      { machine: 'ps1', user: 'root', commands: 'one\ntwo \\\n  three', line: 2 },
      { machine: 'ps1dp1', user: 'root', commands: undefined, line: 11 },
      { machine: 'ps1', user: 'alice', commands: 'four', line: 15 },
    ]);
  });
});

describe('printedCommand', () => {
  it('is the line with a token', () => {
    const output = 'Added.\nOn the machine run:\n\n  echo wbt1_AbC-_9 | sudo waybill-dp enroll X\n';
    assert.equal(printedCommand(output), 'echo wbt1_AbC-_9 | sudo waybill-dp enroll X');
  });

  it('has to be there', () => {
    assert.throws(() => printedCommand('nothing\n'), /no command was printed/);
  });
});
