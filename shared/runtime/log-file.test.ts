import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { defaultLogFileConfig, LogFile } from './log-file.ts';

describe('LogFile', () => {
  let directory: TemporaryDirectory;
  let nowMs = 0;
  const monotonicMs = () => nowMs;
  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
  });
  afterEach(() => directory[Symbol.asyncDispose]());

  it('has all lines once it is closed, and goes on where it was', async () => {
    for (const line of ['first\n', 'second\n']) {
      const file = new LogFile({ directory: directory.path, name: 'a.log', monotonicMs });
      file.write(line);
      await file.close();
      await file.close();
      file.write('too late\n');
    }
    assert.equal(await readFile(directory.join('a.log'), 'utf8'), 'first\nsecond\n');
  });

  it('rotates by size, keeps so many old files, and cuts no line', async () => {
    const config = { ...defaultLogFileConfig, fileBytesMax: 1_000, oldFilesMax: 2 };
    const file = new LogFile({ directory: directory.path, name: 'a.log', monotonicMs }, config);
    for (let number = 1000; number < 2000; number++) file.write(`line ${number}\n`);
    await file.close();
    const names = (await readdir(directory.path)).sort();
    assert.deepEqual(names, ['a.log', 'a.log.1', 'a.log.2']);
    const texts = await Promise.all(
      names.toReversed().map((name) => readFile(directory.join(name), 'utf8')),
    );
    for (const text of texts) assert(text.length < 1_100);
    // The newest lines, in order: those of the full old files and of the last one.
    const lines = texts.join('').trimEnd().split('\n');
    const newest = Array.from(lines, (_, index) => `line ${2000 - lines.length + index}`);
    assert.deepEqual(lines, newest);
    assert(lines.length > 180);
  });

  it('goes on after a failure, and says how many lines were lost', async () => {
    // Where the directory should be stands a file: nothing can be opened there.
    const place = directory.join('logs');
    await writeFile(place, '');
    const file = new LogFile({ directory: place, name: 'a.log', monotonicMs });
    let lineCount = 0;
    // Each failure is over when its delay is.
    for (; lineCount < 5; lineCount++) {
      file.write('lost\n');
      await nextTurn();
    }
    await rm(place);
    let text = '';
    while (!text.includes('written\n')) {
      nowMs += defaultLogFileConfig.reopenDelayMs;
      file.write('written\n');
      lineCount += 1;
      await nextTurn();
      text = await readFile(directory.join('logs', 'a.log'), 'utf8').catch(() => '');
    }
    await file.close();
    const lines = (await readFile(directory.join('logs', 'a.log'), 'utf8')).trimEnd().split('\n');
    const { lostCount, msg } = JSON.parse(lines[0] ?? '') as { lostCount: number; msg: string };
    assert.equal(msg, 'Log lines were lost');
    assert.equal(lostCount + lines.length - 1, lineCount);
  });

  it('loses lines rather than memory when the disk is too slow', async () => {
    const config = { ...defaultLogFileConfig, waitingBytesMax: 1_000 };
    const file = new LogFile({ directory: directory.path, name: 'a.log', monotonicMs }, config);
    for (let number = 0; number < 1_000; number++) file.write('0123456789\n');
    await nextTurn();
    let text = '';
    while (!text.includes('lost')) {
      file.write('next\n');
      await nextTurn();
      text = await readFile(directory.join('a.log'), 'utf8').catch(() => '');
    }
    await file.close();
    assert.match(text, /"lostCount":9\d\d,/);
  });
});
