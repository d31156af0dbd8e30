import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Level } from 'level';
import { isErrorWithCode } from '../domain/errors.ts';
import { CapturedLog } from '../testing/captured-log.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { keySpaces } from './key-space.ts';
import { type Change, StateStore } from './state-store.ts';

const logger = new CapturedLog().logger;

describe('StateStore', () => {
  let directory: TemporaryDirectory;
  let path: string;
  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    // Its parent is not there yet either.
    path = directory.join('agent', 'state');
  });
  afterEach(() => directory[Symbol.asyncDispose]());

  it('keeps rows over a restart', async () => {
    const { store } = await StateStore.open({ directory: path, logger });
    await store.write([store.records(keySpaces.counters).put('a', 1)], { sync: true });
    await store.close();
    await store.close();

    const again = await StateStore.open({ directory: path, logger });
    assert.equal(again.damage, undefined);
    assert.equal(await again.store.records(keySpaces.counters).get('a'), 1);
    await again.store.close();
  });

  it('writes all changes of a batch or, when one cannot be stored, none', async () => {
    const { store } = await StateStore.open({ directory: path, logger });
    const counters = store.records(keySpaces.counters);
    const unstorable: Change[] = [
      { ...counters.put('b', 1), value: undefined } as Change,
      counters.put('\ud800', 1),
      counters.put('\u{10ffff}', 1),
    ];
    for (const change of unstorable) {
      await assert.rejects(store.write([counters.put('a', 1), change], { sync: false }));
    }
    assert.equal(await counters.get('a'), undefined);
    await store.write([], { sync: true });
    await store.close();
  });

  it('tells listeners of every write, in order, once it is done', async () => {
    const { store } = await StateStore.open({ directory: path, logger });
    const counters = store.records(keySpaces.counters);
    const told: string[] = [];
    const end = store.onWritten((changes) => told.push(changes.map(({ key }) => key).join('+')));
    await Promise.all([
      store.write([counters.put('a', 1)], { sync: true }),
      store.write([counters.put('b', 1), counters.delete('c')], { sync: false }),
      store.write([counters.put('d', 1)], { sync: true }),
    ]);
    assert.deepEqual(told, ['a', 'b+c', 'd']);
    end();
    await store.write([counters.put('e', 1)], { sync: false });
    assert.equal(told.length, 3);
    await store.close();
  });

  it('writes what was asked for before it closes, and refuses what comes after', async () => {
    const { store } = await StateStore.open({ directory: path, logger });
    const counters = store.records(keySpaces.counters);
    const writes = ['a', 'b', 'c'].map((key) =>
      store.write([counters.put(key, 1)], { sync: false }),
    );
    await store.close();
    await Promise.all(writes);
    await assert.rejects(store.write([counters.put('d', 1)], { sync: false }));
    await assert.rejects(counters.get('a'));

    const again = await StateStore.open({ directory: path, logger });
    assert.deepEqual(await again.store.records(keySpaces.counters).getMany(['a', 'c', 'd']), [
      1,
      1,
      undefined,
    ]);
    await again.store.close();
  });

  it('begins anew where there is none, also when it was deleted', async () => {
    const first = await StateStore.open({ directory: path, logger });
    await first.store.close();
    await rm(path, { recursive: true });
    const second = await StateStore.open({ directory: path, logger });
    assert.equal(second.damage, undefined);
    await second.store.close();
    await rm(dirname(path), { recursive: true });
    const third = await StateStore.open({ directory: path, logger });
    assert.equal(third.damage, undefined);
    await third.store.close();
  });

  it('is in use while another process has it, and free once that was killed', async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', holdStore(path)]);
    await once(child.stdout, 'data');
    await assert.rejects(StateStore.open({ directory: path, logger }), (error) => {
      assert(isErrorWithCode(error, 'DATA_DIRECTORY_IN_USE'));
      assert.match(error.message, new RegExp(`in use by process ${child.pid};`));
      return true;
    });
    child.kill('SIGKILL');
    await once(child, 'exit');

    const { store, damage } = await StateStore.open({ directory: path, logger });
    assert.equal(damage, undefined);
    // What the killed process had synced, and what it had only written.
    const rows = await store.records(keySpaces.counters).getMany(['synced', 'written']);
    assert.deepEqual(rows, [1, 2]);
    await store.close();
  });

  it('is in use by whom nobody knows when the pid file is gone', async () => {
    const { store } = await StateStore.open({ directory: path, logger });
    await rm(`${path}.lock/pid`);
    await assert.rejects(
      StateStore.open({ directory: path, logger }),
      /in use by another process;/,
    );
    await store.close();
  });

  it('opens when only its lock is damaged', async () => {
    const first = await StateStore.open({ directory: path, logger });
    await first.store.close();
    for (const current of ['', 'nonsense\n', 'MANIFEST-999999\n']) {
      await writeFile(`${path}.lock/CURRENT`, current);
      const { store, damage } = await StateStore.open({ directory: path, logger });
      assert.equal(damage, undefined);
      await assert.rejects(StateStore.open({ directory: path, logger }), /in use by process/);
      await store.close();
    }
  });

  it('keeps its directory while it cannot be closed, and gives it up once it is', async () => {
    const { store } = await StateStore.open({ directory: path, logger });
    const level = Level.prototype as unknown as { _close(): Promise<void> };
    const { _close } = level;
    level._close = () => Promise.reject(new Error('it is busy'));
    try {
      await assert.rejects(store.close());
    } finally {
      level._close = _close;
    }
    await assert.rejects(StateStore.open({ directory: path, logger }), /in use by process/);
    await store.close();
    const again = await StateStore.open({ directory: path, logger });
    assert.equal(again.damage, undefined);
    await again.store.close();
  });

  it('leaves alone what it cannot open for other reasons than damage', async () => {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, 'a file, not a directory');
    await assert.rejects(StateStore.open({ directory: path, logger }), { code: 'ENOTDIR' });
    assert.deepEqual((await readdir(dirname(path))).sort(), ['state', 'state.lock']);
  });
});

function holdStore(path: string): string {
  return `
    const { StateStore } = await import(${JSON.stringify(new URL('./state-store.js', import.meta.url))});
    const { store } = await StateStore.open({ directory: ${JSON.stringify(path)}, logger: {} });
    const counters = store.records({ name: 'counters' });
    await store.write([counters.put('synced', 1)], { sync: true });
    await store.write([counters.put('written', 2)], { sync: false });
    process.stdout.write('open');
    setInterval(() => {}, 1_000);
  `;
}
