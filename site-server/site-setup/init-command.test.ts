import assert from 'node:assert/strict';
import yargs from 'yargs';
import { initExamples, initOptions, initUsage } from './init-command.ts';

/** What the parser says of a command line: what it shows, or why it cannot be. */
async function said(words: readonly string[]): Promise<{ shown: string; complaint: string }> {
  let complaint = '';
  let shown = '';
  await yargs()
    .scriptName('waybill-site')
    .command('init', 'sets up a site', initOptions, () => {})
    .strict()
    .exitProcess(false)
    .fail((message) => {
      complaint ||= message;
    })
    .parseAsync([...words], {}, (_error: unknown, _flags: unknown, output: string) => {
      shown = output;
    });
  return { shown, complaint };
}

const problemOf = async (line: string) => (await said(`init ${line}`.split(' '))).complaint;

describe('the command line of waybill-site init (ADM-6)', () => {
  it('says what must be given and what may be, each option of it, with examples', async () => {
    const { shown } = await said(['init', '--help']);
    const plain = shown.replace(/\s+/g, ' ');
    assert.ok(plain.startsWith(initUsage), shown);
    assert.match(initUsage, /^waybill-site init --site CODE \[/);
    const named = [...initUsage.matchAll(/--(?:no-)?([a-z-]+)/g)].map(([, name]) => name);
    const [options = ''] = shown.split('Examples:');
    const listed = [...options.matchAll(/^ {2}--([a-z-]+) /gm)].map(([, name]) => name);
    const own = listed.filter((name) => name !== 'help' && name !== 'version');
    assert.deepEqual(named.toSorted(), own.toSorted());
    // So that each can be copied as it stands.
    for (const line of initExamples.flatMap((one) => one.split('\n'))) {
      assert.ok(shown.split('\n').includes(`  ${line}`), shown);
    }
    assert.ok(
      shown.split('\n').every((line) => line.length <= 80),
      shown,
    );
  });

  it('has examples that can be', async () => {
    for (const line of initExamples) {
      const words = line
        .replace(/^(sudo )?waybill-site /, '')
        .replace('\\\n', '')
        .split(/ +/);
      assert.deepEqual(await said(words), { shown: '', complaint: '' }, line);
    }
  });

  for (const [line, complaint] of [
    ['', /Missing required argument: site/],
    ['--site CS1 --data /srv/x', /^--data \/srv\/x: expected --config as well, .*\/etc\/waybill/],
    ['--site CS1 --config /srv/x', /^--config \/srv\/x: expected --data as well, .*\/var\/lib/],
    ['--site CS1 --listen 0.0.0.0:8532', /^--listen .*: expected another port than/],
    ['--site CS1 --listen a:1 --enrollment-listen [::]:1', /^--listen a:1: expected another port/],
    ['--site CS1 --listen 8530', /^--listen 8530: expected host:port/],
    [
      '--site CS1 --kind secondary',
      /^--kind: .*"waybill site add" there and "waybill-site enroll"/,
    ],
    ['--site CS1 --kind other', /^Invalid values:/],
    ['--site CS1 --listen a:863000', /^--listen a:863000: .* the port from 1 to 65535/],
    ['--site cs', /^--site cs: expected three of A-Z and 0-9/],
    ['--site CS1 --admin a/b', /^--admin a\/b: expected 1 to 63 letters/],
  ] as const) {
    it(`refuses "${line}" before anything is looked at`, async () => {
      assert.match(await problemOf(line), complaint);
    });
  }

  it('takes two hosts with one port', async () => {
    const line = '--site CS1 --listen 10.0.0.1:8530 --enrollment-listen 10.0.0.2:8530';
    assert.equal(await problemOf(line), '');
  });
});
