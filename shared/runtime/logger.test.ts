import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { logFileNameOf, openLogging } from './logger.ts';
import { StandardOutput } from './standard-output.ts';

describe('openLogging (PTM-9)', () => {
  it('writes the lines of each component to the file named as in Configuration Manager', async () => {
    await using directory = await TemporaryDirectory.create();
    const path = directory.join('not', 'there', 'yet');
    const { logger, close } = await openLogging({ directory: path, level: 'info' });
    logger.info('Process line');
    const transfer = logger.child({ component: 'package-transfer-manager' });
    transfer.child({ jobSerial: 7 }).warn({ dpId: 'PS1DP1' }, 'Transfer line');
    logger.child({ component: 'content-server' }).info('Other line');
    logger.child({ component: '../escape' }).info('Not a file name');
    transfer.debug('Not at this level');
    await close();

    const lines = Object.fromEntries(
      await Promise.all(
        (await readdir(path)).map(async (name) => {
          const text = await readFile(directory.join('not', 'there', 'yet', name), 'utf8');
          const parsed = text
            .trimEnd()
            .split('\n')
            .map((line) => JSON.parse(line));
          return [name, parsed] as const;
        }),
      ),
    );
    const messages = Object.entries(lines).map(([name, parsed]) => {
      return [name, parsed.map((line: { msg: string }) => line.msg)];
    });
    assert.deepEqual(messages.sort(), [
      ['content-server.log', ['Other line']],
      ['pkgxfermgr.log', ['Transfer line']],
      ['process.log', ['Process line', 'Not a file name']],
    ]);
    const [line] = lines['pkgxfermgr.log'] ?? [];
    const { level, component, jobSerial, dpId } = line;
    assert.deepEqual(
      { level, component, jobSerial, dpId },
      { level: 40, component: 'package-transfer-manager', jobSerial: 7, dpId: 'PS1DP1' },
    );
  });

  it('knows the names of Configuration Manager', () => {
    assert.equal(logFileNameOf('distribution-manager'), 'distmgr.log');
    assert.equal(logFileNameOf('dp-provider'), 'smsdpprov.log');
    assert.equal(logFileNameOf('pull-dp'), 'pulldp.log');
    assert.equal(logFileNameOf('content-validation'), 'content-validation.log');
  });
});

describe('StandardOutput', () => {
  it('goes on when its reader is gone', async () => {
    const stream = new Writable({
      write(_chunk, _encoding, done) {
        done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
      },
    });
    const output = new StandardOutput(stream);
    output.write('one\n');
    await nextTurn();
    assert(stream.destroyed);
    output.write('two\n');
  });

  it('loses lines rather than memory when nobody reads', () => {
    let bytes = 0;
    const stream = new Writable({ write: () => {} });
    const write = stream.write.bind(stream);
    stream.write = (line: string) => {
      bytes += line.length;
      return write(line);
    };
    const output = new StandardOutput(stream);
    const line = `${'x'.repeat(1024 * 1024)}\n`;
    for (let count = 0; count < 20; count++) output.write(line);
    assert(bytes <= 6 * line.length);
  });
});
