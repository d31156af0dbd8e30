import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import type { ProcessConfig } from './run-process.ts';

/** As it is by itself; but a start that waits for room looks again soon. */
const defaultConfig = { stopMsMax: 5_000, roomDelayMs: 1, roomDelayMsMax: 10 };

/** A program whose component does as the text says; it prints "started" and "stopped". */
function programOf(
  component: { start?: string; stop?: string; open?: string },
  changes: Partial<ProcessConfig> = {},
): string {
  const config: ProcessConfig = { ...defaultConfig, ...changes };
  const url = (name: string) => JSON.stringify(new URL(name, import.meta.url));
  return `
    const { runProcess } = await import(${url('./run-process.js')});
    const { openLogging } = await import(${url('./logger.js')});
    const { WaybillError } = await import(${url('../domain/errors.js')});
    const print = (text) => process.stdout.write(text + '\\n');
    let tryCount = 0;
    const diskFull = () =>
      new WaybillError({ code: 'DISK_FULL', path: '/var', freeBytes: 7, neededBytes: 9 });
    const never = () => new Promise(() => setInterval(() => {}, 1_000));
    runProcess(async (begun) => {
      const logging = await openLogging({ directory: process.argv[1], level: 'info' });
      begun(logging.logger);
      ${component.open ?? ''}
      logging.logger.info('Opened');
      let cut = () => {};
      return {
        logging,
        component: {
          async start() { ${component.start ?? 'setInterval(() => {}, 1_000);'} print('started'); },
          async stop() { ${component.stop ?? ''} print('stopped'); cut(); },
        },
      };
    }, {
      notices: process.argv.includes('noticed') ? {
        starting: () => print('told: starting'),
        ready: () => print('told: ready'),
        stopping: () => print('told: stopping'),
        waiting: (why) => print('told: ' + why),
      } : undefined,
    }, ${JSON.stringify(config)});
  `;
}

interface Ending {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly log: { level: number; msg: string; err?: { message: string } }[];
}

describe('runProcess', function () {
  this.timeout(20_000);
  let directory: TemporaryDirectory;
  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
  });
  afterEach(() => directory[Symbol.asyncDispose]());

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`stops on ${signal} and exits 0`, async () => {
      const { code, stdout, stderr, log } = await run(programOf({}), async (child) => {
        await printed(child, 'started');
        child.kill(signal);
      });
      assert.deepEqual(
        { code, stdout, stderr },
        { code: 0, stdout: 'started\nstopped\n', stderr: '' },
      );
      assert.deepEqual(
        log.map(({ msg }) => msg),
        [
          ...['Process started', 'Opened', 'Process is ready'],
          ...['Process was asked to stop', 'Process stopped'],
        ],
      );
    });
  }

  it('stops what is still starting, and what that start then began', async () => {
    const start = `print('starting'); await new Promise((resolve) => { cut = resolve; setInterval(() => {}, 1_000); });`;
    const { code, stdout } = await run(programOf({ start }), async (child) => {
      await printed(child, 'starting');
      child.kill('SIGTERM');
    });
    assert.deepEqual(
      { code, stdout },
      { code: 0, stdout: 'starting\nstopped\nstarted\nstopped\n' },
    );
  });

  it('exits 0 when a start that was cut short fails', async () => {
    const start = `print('starting'); await new Promise((_, reject) => { cut = () => reject(new Error('cut')); setInterval(() => {}, 1_000); });`;
    const { code, stderr } = await run(programOf({ start }), async (child) => {
      await printed(child, 'starting');
      child.kill('SIGTERM');
    });
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  });

  it('is ended after a while when it does not stop', async () => {
    const { code, stderr } = await run(
      programOf({ stop: 'await never();' }, { stopMsMax: 100 }),
      async (child) => {
        await printed(child, 'started');
        child.kill('SIGTERM');
      },
    );
    assert.deepEqual(
      { code, stderr },
      { code: 1, stderr: 'The program did not stop within 100 ms and was ended\n' },
    );
  });

  it('is ended at once by a second signal', async () => {
    const stop = `print('stopping'); await never();`;
    const { code, stderr } = await run(programOf({ stop }), async (child) => {
      await printed(child, 'started');
      child.kill('SIGTERM');
      await printed(child, 'stopping');
      child.kill('SIGINT');
    });
    assert.deepEqual({ code, stderr }, { code: 1, stderr: '' });
  });

  it('tells whoever started it when it is ready, and when it stops', async () => {
    const { stdout } = await run(
      programOf({}),
      async (child) => {
        await printed(child, 'told: ready');
        child.kill('SIGTERM');
      },
      ['noticed'],
    );
    const told = ['told: starting', 'started', 'told: ready', 'told: stopping', 'stopped'];
    assert.deepEqual(stdout.trim().split('\n'), told);
  });

  it('is never ready when it is stopped before, or cannot start', async () => {
    const start = `print('in it'); await new Promise((resolve) => { cut = resolve; setInterval(() => {}, 1_000); });`;
    const stopped = await run(
      programOf({ start }),
      async (child) => {
        await printed(child, 'in it');
        child.kill('SIGTERM');
      },
      ['noticed'],
    );
    assert.match(stopped.stdout, /told: stopping/);
    const failing = `throw new WaybillError({ code: 'ADDRESS_IN_USE', address: 'a:1' });`;
    const failed = await run(programOf({ start: failing }), undefined, ['noticed']);
    assert.match(failed.stdout, /told: starting/);
    for (const { stdout } of [stopped, failed]) assert.doesNotMatch(stdout, /told: ready/);
  });

  for (const moment of ['open', 'start'] as const) {
    it(`says what is wrong in one sentence when it cannot ${moment}`, async () => {
      const failing = `throw new WaybillError({ code: 'ADDRESS_IN_USE', address: 'a:1' });`;
      const { code, stderr } = await run(programOf({ [moment]: failing }));
      assert.deepEqual(
        { code, stderr },
        { code: 1, stderr: 'Address a:1 is in use by another program\n' },
      );
    });
  }

  describe('for a start that meets a full disk', () => {
    const inTheWay = {
      'as DISK_FULL': 'throw diskFull();',
      'in the words of the system': `throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });`,
      'as the cause of something': `throw new Error('not opened: ENOSPC', { cause: diskFull() });`,
    };
    for (const [name, failing] of Object.entries(inTheWay)) {
      for (const moment of ['open', 'start'] as const) {
        it(`waits for room, says so, and begins anew, met in ${moment} ${name}`, async () => {
          const work = `if (++tryCount < 3) { ${failing} } setInterval(() => {}, 1_000);`;
          const { code, stdout, stderr, log } = await run(
            programOf({ [moment]: work }),
            async (child) => {
              await printed(child, 'told: ready');
              child.kill('SIGTERM');
            },
            ['noticed'],
          );
          assert.equal(code, 0);
          const lines = stderr.trim().split('\n');
          assert.equal(lines.length, 2, stderr);
          for (const line of lines) assert.match(line, /^The start waits for room on the disk: /);
          assert.match(stdout, /told: The start waits for room on the disk: /);
          const begins = log.filter(({ msg }) => msg === 'Process started');
          assert.equal(begins.length, 1, 'the process is the same');
          // What had begun was stopped before the next start.
          const stops = stdout.split('\n').filter((line) => line === 'stopped').length;
          assert.equal(stops, moment === 'open' ? 1 : 3);
        });
      }
    }

    it('stops while it waits', async () => {
      const waitsLong = { roomDelayMs: 3_600_000, roomDelayMsMax: 3_600_000 };
      const { code, stdout } = await run(
        programOf({ start: 'throw diskFull();' }, waitsLong),
        async (child) => {
          await printed(child, 'told: The start waits');
          child.kill('SIGTERM');
        },
        ['noticed'],
      );
      assert.equal(code, 0);
      assert.doesNotMatch(stdout, /told: ready/);
    });
  });

  const bugs = {
    'an exception nobody caught': `setImmediate(() => { throw new Error('a bug'); });`,
    'a rejection nobody handled': `Promise.reject(new Error('a bug'));`,
    'a failure at start nobody expected': `throw new Error('a bug');`,
  };
  for (const [name, start] of Object.entries(bugs)) {
    it(`exits 1 with a fatal line after ${name}`, async () => {
      const { code, stderr, log } = await run(
        programOf({ start: `${start} setInterval(() => {}, 1_000);` }),
      );
      assert.equal(code, 1);
      assert.match(stderr, /^Error: a bug\n {4}at /);
      const { level, err } = log.at(-1) ?? {};
      assert.deepEqual({ level, message: err?.message }, { level: 60, message: 'a bug' });
    });
  }

  async function run(
    program: string,
    act: (child: ChildProcessWithoutNullStreams) => Promise<void> = async () => {},
    words: readonly string[] = [],
  ): Promise<Ending> {
    const args = ['--input-type=module', '-e', program, directory.path, ...words];
    const child = spawn(process.execPath, args);
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (text) => {
      stdout += text;
    });
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    const closed = once(child, 'close') as Promise<[number | null]>;
    await act(child);
    const [code] = await closed;
    const text = await readFile(directory.join('process.log'), 'utf8').catch(() => '');
    const log = text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
    return { code, stdout, stderr, log };
  }
});

/** Resolves once the child has printed this. */
function printed(child: ChildProcessWithoutNullStreams, text: string): Promise<void> {
  let seen = '';
  return new Promise((resolve) => {
    child.stdout.on('data', (chunk) => {
      seen += chunk;
      if (seen.includes(text)) resolve();
    });
  });
}
