import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { toSentence } from './usage-failure.ts';

describe('a command line that cannot be', () => {
  for (const [complaint, sentence] of [
    ['Unknown arguments: bad-option, badOption', 'unknown option or word: bad-option'],
    ['Unknown argument: foo', 'unknown option or word: foo'],
    ['Missing required argument: config', 'expected --config'],
    ['Missing required arguments: config, out', 'expected --config and --out'],
    ['Not enough arguments following: source', '--source: expected a value'],
    ['Not enough non-option arguments: got 0, need at least 1', 'expected a further word'],
    [
      'Invalid values:\n  Argument: role, Given: "boss", Choices: "full", "operator", "read-only"',
      '--role: expected full or operator or read-only, got "boss"',
    ],
    [
      'Invalid values:\n  Argument: a, Given: "x", Choices: "b"\n  Argument: c, Given: "y", Choices: "d", "e"',
      '--a: expected b, got "x"; --c: expected d or e, got "y"',
    ],
    ['--dps: expected 1 to 20', '--dps: expected 1 to 20'],
  ] as const) {
    it(`is told as "${sentence}"`, () => assert.equal(toSentence(complaint), sentence));
  }

  it('repeats no token, and says where it belongs', () => {
    const token = `wbt1_${'Ab9-'.repeat(20)}`;
    const commands = { run: '', enroll: 'DP' };
    for (const [args, complaint] of [
      [['enroll', 'PS1DP1', token], `Unknown argument: ${token}`],
      [[token], 'Missing required argument: config'],
      [['enroll', token], 'Missing required argument: server'],
    ] as const) {
      const sentence = toSentence(complaint, { args, commands });
      assert.doesNotMatch(sentence, /b9/i);
      assert.match(sentence, /standard input/);
    }
    assert.doesNotMatch(toSentence(`Unknown argument: ${token}`), /b9/i);
  });

  for (const [args, complaint, sentence] of [
    [
      'bogus',
      'Missing required argument: config',
      '"bogus" is no command; expected run, extract or import',
    ],
    [
      '--config dp.yaml bogus',
      'Unknown argument: bogus',
      '"bogus" is no command; expected run, extract or import',
    ],
    [
      'import --config=dp.yaml',
      'Not enough non-option arguments: got 0, need at least 1',
      'expected FILE after "import"',
    ],
    ['--config dp.yaml --x', 'Unknown argument: x', 'unknown option or word: --x'],
  ] as const) {
    it(`of "${args}" is told as "${sentence}"`, () => {
      const commands = { run: '', extract: 'PACKAGE', import: 'FILE' };
      assert.equal(toSentence(complaint, { args: args.split(' '), commands }), sentence);
    });
  }

  for (const [args, complaint, sentence] of [
    ['init --no-strat', 'Unknown argument: strat', 'unknown option or word: --no-strat'],
    ['init --dry-rnu=1', 'Unknown arguments: dry-rnu, dryRnu', 'unknown option or word: --dry-rnu'],
    ['init --dryRnu', 'Unknown argument: dryRnu', 'unknown option or word: --dryRnu'],
    ['init -x more', 'Unknown arguments: x, more', 'unknown option or word: -x, more'],
  ] as const) {
    it(`of "${args}" is told as it was typed`, () =>
      assert.equal(toSentence(complaint, { args: args.split(' ') }), sentence));
  }

  for (const program of ['../../site-server/main.js', '../../dp-agent/main.js']) {
    it(`ends ${program} with 2, a sentence and its usage (ADM-6)`, (done) => {
      const path = new URL(program, import.meta.url).pathname;
      execFile(process.execPath, [path, '--bad-option'], (error, stdout, stderr) => {
        assert.equal(error?.code, 2);
        assert.equal(stdout, '');
        assert.match(
          stderr,
          /^waybill-(site|dp): expected --config\nUsage: .* --config FILE; more/,
        );
        done();
      });
    });
  }
});
