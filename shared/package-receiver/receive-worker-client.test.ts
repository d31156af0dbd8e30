import assert from 'node:assert/strict';
import { isErrorWithCode } from '../domain/errors.ts';
import { isAbortError } from '../runtime/abort-error.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { ReceiveWorkerClient } from './receive-worker-client.ts';

const hash = 'a'.repeat(64);
const request = { kind: 'close-partial', hash } as const;

/** A thread that does this with each message. */
function programOf(body: string): URL {
  const text = `import { parentPort } from 'node:worker_threads';
    parentPort.on('message', ({ id, request }) => { ${body} });`;
  return new URL(`data:text/javascript,${encodeURIComponent(text)}`);
}

describe('receive worker client', () => {
  let directory: TemporaryDirectory;
  let lostCount: number;
  let client: ReceiveWorkerClient;

  const clientOf = (program?: URL) =>
    new ReceiveWorkerClient({
      directory: directory.path,
      onLost: () => {
        lostCount += 1;
      },
      ...(program && { program }),
    });

  beforeEach(async function () {
    this.timeout(10_000);
    directory = await TemporaryDirectory.create();
    lostCount = 0;
  });
  afterEach(async function () {
    this.timeout(10_000);
    await client.stop();
    await directory[Symbol.asyncDispose]();
  });

  for (const code of ['ENOSPC', 'EDQUOT']) {
    it(`says DISK_FULL, with what is free, for ${code}`, async () => {
      client = clientOf(
        programOf(`parentPort.postMessage({ id, failure: { code: '${code}', message: 'full' } })`),
      );
      await assert.rejects(client.ask(request), (error) => {
        assert.ok(isErrorWithCode(error, 'DISK_FULL'));
        const { details } = error;
        assert.ok(details.code === 'DISK_FULL' && details.path === directory.path);
        assert.ok(details.freeBytes > 0);
        return true;
      });
    });
  }

  it('passes other failures on as they are', async () => {
    client = clientOf(
      programOf(`parentPort.postMessage({ id, failure: { code: 'EIO', message: 'bad' } })`),
    );
    await assert.rejects(client.ask(request), { message: 'bad', code: 'EIO' });
  });

  it('fails what was asked of a thread that died, and starts another', async () => {
    client = clientOf(
      programOf(`if (request.hash.startsWith('b')) throw new Error('crash');
        if (request.hash.startsWith('a')) parentPort.postMessage({ id, result: { outcome: 'closed' } });`),
    );
    const unanswered = client.ask({ ...request, hash: 'c'.repeat(64) });
    const crashed = client.ask({ ...request, hash: 'b'.repeat(64) });
    await assert.rejects(unanswered, /crash/);
    await assert.rejects(crashed, /crash/);
    assert.equal(lostCount, 1);
    assert.deepEqual(await client.ask(request), { outcome: 'closed' });
  });

  it('fails what cannot be handed over, and only that', async () => {
    client = clientOf();
    const memory = new ArrayBuffer(8);
    await assert.rejects(client.ask(request, [memory, memory]), { name: 'DataCloneError' });
    assert.deepEqual(await client.ask(request), { outcome: 'closed' });
  });

  it('ends what it was asked when it stops, and starts no thread any more', async () => {
    client = clientOf(programOf(''));
    const unanswered = client.ask(request);
    const ended = assert.rejects(unanswered, isAbortError);
    await client.stop();
    await ended;
    await client.stop();
    await assert.rejects(client.ask(request), isAbortError);
    assert.equal(lostCount, 0);
  });
});
