import assert from 'node:assert/strict';
import { SharedSyncs } from './shared-syncs.ts';
import type { SyncResult } from './sync-shell.ts';

const done = { exitCode: 0, errorText: '' };

describe('shared syncs', () => {
  let begun: { directory: string; end: (result: SyncResult) => void; fail: (e: Error) => void }[];
  let syncs: SharedSyncs;
  beforeEach(() => {
    begun = [];
    syncs = new SharedSyncs(
      (directory) =>
        new Promise((resolve, reject) => {
          begun.push({ directory, end: resolve, fail: reject });
        }),
    );
  });

  const turn = () => new Promise(setImmediate);

  it('begin at once, and anew for who comes after the beginning', async () => {
    const first = syncs.sync('/a');
    await turn();
    assert.equal(begun.length, 1);
    let isSecondOver = false;
    const second = syncs.sync('/a').then(() => {
      isSecondOver = true;
    });
    await turn();
    assert.equal(begun.length, 1, 'one at a time');
    begun[0]?.end(done);
    assert.deepEqual(await first, done);
    await turn();
    assert.equal(isSecondOver, false, 'what it wrote may have missed the first');
    assert.equal(begun.length, 2);
    begun[1]?.end(done);
    await second;
  });

  it('are one for all who come while one runs, and their failure is told to all', async () => {
    const first = syncs.sync('/a');
    await turn();
    const waiting = Array.from({ length: 5 }, () => syncs.sync('/a'));
    begun[0]?.fail(new Error('killed'));
    await assert.rejects(first, /killed/);
    await turn();
    assert.equal(begun.length, 2);
    begun[1]?.end({ exitCode: 1, errorText: 'Input/output error' });
    for (const { exitCode } of await Promise.all(waiting)) assert.equal(exitCode, 1);
    void syncs.sync('/a');
    await turn();
    assert.equal(begun.length, 3);
  });

  it('do not wait for those of another directory', async () => {
    void syncs.sync('/a');
    void syncs.sync('/b');
    await turn();
    assert.deepEqual(
      begun.map(({ directory }) => directory),
      ['/a', '/b'],
    );
  });
});
