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
  it('is given the token that it asks for', () => {
    const output = (...command: string[]) =>
      ['Added. On it run:', '', ...command, '', 'It asks:', '', 'wbt1_AbC-_9', ''].join('\n');
    const given = "sudo waybill-dp enroll X --server a:1 <<'END'\nwbt1_AbC-_9\nEND";
    assert.equal(printedCommand(output('  sudo waybill-dp enroll X --server a:1')), given);
    const broken = output('  sudo waybill-dp enroll X \\', '    --server a:1');
    assert.equal(printedCommand(broken), given);
  });

  it('has to be there', () => {
    for (const output of ['nothing\n', '  waybill enroll bob\n', 'wbt1_AbC-_9\n']) {
      assert.throws(() => printedCommand(output), /no command was printed/);
    }
  });
});
