import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { isErrorWithCode } from '../domain/errors.ts';
import { isAbortError } from '../runtime/abort-error.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { TaskThreads } from './task-threads.ts';
import { WorkerPool } from './worker-pool.ts';

type Tasks = { double(input: number): number; refuse(input: string): void; die(input: null): void };

describe('worker pool', function () {
  this.timeout(10_000);
  let directory: TemporaryDirectory;
  let pool: WorkerPool<Tasks>;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const program = directory.join('program.mjs');
    await writeFile(
      program,
      `import { parentPort } from 'node:worker_threads';
       parentPort.on('message', ({ id, task, input }) => {
         if (task === 'die') process.exit(1);
         if (task === 'double') parentPort.postMessage({ id, result: 2 * input });
         else parentPort.postMessage({ id, failure: { isAbort: false, message: '', stack: '',
           details: { code: 'FILE_NOT_HELD', fileHash: input } } });
       });`,
    );
    pool = new WorkerPool<Tasks>(pathToFileURL(program), 2);
  });
  afterEach(async () => {
    await pool.stop();
    await directory[Symbol.asyncDispose]();
  });

  it('runs more tasks than it has threads', async () => {
    const inputs = Array.from({ length: 50 }, (_, index) => index);
    const results = await Promise.all(inputs.map((input) => pool.run('double', input)));
    assert.deepEqual(
      results,
      inputs.map((input) => 2 * input),
    );
  });

  it('throws what a task throws, with its code', async () => {
    const failing = pool.run('refuse', 'aa');
    await assert.rejects(failing, (error) => isErrorWithCode(error, 'FILE_NOT_HELD'));
  });

  it('fails the task of a thread that dies, and goes on with another', async () => {
    const dying = [pool.run('die', null), pool.run('die', null)];
    const after = pool.run('double', 4);
    for (const ended of await Promise.allSettled(dying)) {
      assert.match(ended.status === 'rejected' ? String(ended.reason) : 'fine', /ended early/);
    }
    assert.equal(await after, 8);
  });

  it('fails what is left when it is stopped', async () => {
    const left = [1, 2, 3].map((input) => pool.run('double', input));
    const settled = Promise.allSettled(left);
    await pool.stop();
    assert.ok((await settled).some(({ status }) => status === 'rejected'));
    await assert.rejects(pool.run('double', 1), /stopped/);
  });
});

describe('task threads', function () {
  this.timeout(10_000);
  let directory: TemporaryDirectory;
  let program: URL;
  const threads = new TaskThreads();

  before(async () => {
    directory = await TemporaryDirectory.create();
    const path = directory.join('task.mjs');
    const served = new URL('./thread-task.js', import.meta.url).href;
    await writeFile(
      path,
      `import { threadId } from 'node:worker_threads';
       import { serveThreadTask } from '${served}';
       serveThreadTask(async ({ count, fail, exit }, context) => {
         for (let index = 0; index < count; index++) context.send(index);
         if (exit) process.exit(1);
         if (fail) throw Object.assign(new Error('no'), { code: 'EIO' });
         return threadId;
       });`,
    );
    program = pathToFileURL(path);
  });
  after(async () => {
    await threads.stop();
    await directory[Symbol.asyncDispose]();
  });

  it('hands on what a task sends, waits until all is handled, and uses the thread again', async () => {
    const received: number[] = [];
    let open = 0;
    let openMax = 0;
    const onMessage = async (index: number) => {
      openMax = Math.max(openMax, ++open);
      await new Promise((resolve) => setImmediate(resolve));
      received.push(index);
      open--;
    };
    const first = await threads.run<number, number>(program, { count: 20 }, { onMessage });
    assert.deepEqual(
      received,
      Array.from({ length: 20 }, (_, index) => index),
    );
    assert.ok(openMax <= 4, `${openMax} at once`);
    const second = await threads.run<number, number>(program, { count: 0 }, { onMessage });
    assert.equal(second, first);
  });

  it('fails as the task fails, as its messages are handled, or when the thread ends', async () => {
    const onMessage = () => {};
    await assert.rejects(threads.run(program, { count: 0, fail: true }, { onMessage }), {
      code: 'EIO',
    });
    await assert.rejects(
      threads.run(program, { count: 0, exit: true }, { onMessage }),
      /ended early/,
    );
    const refusing = () => Promise.reject(new Error('not this one'));
    await assert.rejects(
      threads.run(program, { count: 100 }, { onMessage: refusing }),
      /not this one/,
    );
    await threads.run(program, { count: 1 }, { onMessage });
  });

  it('aborts', async () => {
    const stop = new AbortController();
    const onMessage = (index: number) => {
      if (index === 3) stop.abort();
    };
    const running = threads.run<number, number>(
      program,
      { count: 1e9 },
      { onMessage, signal: stop.signal },
    );
    await assert.rejects(running, isAbortError);
    await assert.rejects(
      threads.run(program, { count: 0 }, { onMessage, signal: stop.signal }),
      isAbortError,
    );
  });
});
