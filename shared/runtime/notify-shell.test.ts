import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { NotifyShell } from './notify-shell.ts';

describe('NotifyShell', () => {
  let directory: TemporaryDirectory;
  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
  });
  afterEach(async () => directory[Symbol.asyncDispose]());

  /** A shell that finds this script as `systemd-notify`. */
  async function shellWith(script: string): Promise<NotifyShell> {
    await writeFile(directory.join('systemd-notify'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return new NotifyShell({
      PATH: `${directory.path}:/usr/bin:/bin`,
      NOTIFY_SOCKET: '/run/of-a-test',
      SAID: directory.join('said'),
    });
  }

  /** Resolves when so much was said. */
  async function saidIs(text: string): Promise<void> {
    while ((await readFile(directory.join('said'), 'utf8').catch(() => '')) !== text) {
      await nextTurn();
    }
  }

  it('hands each word to systemd-notify, in order, with the socket it is to speak to', async () => {
    const shell = await shellWith('echo "$#:$1 $NOTIFY_SOCKET" >> "$SAID"');
    for (const state of ['READY=1', 'STATUS=two words; $(no command) "quoted"', 'STOPPING=1']) {
      shell.say(state);
    }
    await saidIs(
      [
        '1:READY=1 /run/of-a-test',
        '1:STATUS=two words; $(no command) "quoted" /run/of-a-test',
        '1:STOPPING=1 /run/of-a-test',
        '',
      ].join('\n'),
    );
  });

  it('goes on when a word could not be said', async () => {
    const shell = await shellWith('echo "$1" >> "$SAID"; exit 1');
    shell.say('READY=1');
    shell.say('WATCHDOG=1');
    await saidIs('READY=1\nWATCHDOG=1\n');
  });

  it('starts anew when it was killed', async () => {
    const shell = await shellWith('echo "$PPID" >> "$SAID"');
    const said = () => readFile(directory.join('said'), 'utf8').catch(() => '');
    shell.say('READY=1');
    while (!(await said()).endsWith('\n')) await nextTurn();
    const first = await said();
    process.kill(Number(first), 'SIGKILL');
    while (isThere(Number(first))) await nextTurn();
    shell.say('WATCHDOG=1');
    while ((await said()) === first) await nextTurn();
    assert.notEqual(await said(), `${first}${first}`);
  });

  it('does no harm where there is no shell', async () => {
    const shell = new NotifyShell({ PATH: directory.path });
    for (const state of ['READY=1', 'STOPPING=1']) {
      shell.say(state);
      await nextTurn();
    }
  });
});

function isThere(processId: number): boolean {
  try {
    return process.kill(processId, 0);
  } catch {
    return false;
  }
}
