import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { StateStore } from '../state-store/state-store.ts';
import { CapturedLog } from '../testing/captured-log.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { hashOf } from './content-hash.ts';
import { DataLibrary } from './data-library.ts';
import { FileLibrary } from './file-library.ts';
import { LibraryReferences, type ShardReferences } from './library-references.ts';
import type { LibraryTasks } from './library-tasks.ts';
import { PackageLibrary } from './package-library.ts';
import { Quarantine } from './quarantine.ts';
import { sweepShards } from './sweep-steps.ts';
import { WorkerPool } from './worker-pool.ts';

/** Lets something happen between reading the marks and deleting the files. */
class InterruptedReferences extends LibraryReferences {
  onRead: () => Promise<void> = async () => {};

  override async ofShards(first: string, last: string): Promise<ShardReferences> {
    const known = await super.ofShards(first, last);
    await this.onRead();
    return known;
  }
}

describe('a step of the sweep', () => {
  it('keeps a file that is taken in while it decides', async () => {
    await using directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    const { store } = await StateStore.open({ directory: directory.join('state'), logger });
    const pool = new WorkerPool<LibraryTasks>(new URL('./library-worker.js', import.meta.url), 1);
    try {
      await mkdir(directory.join('files'));
      const references = new InterruptedReferences(store);
      const quarantine = new Quarantine(directory.join('quarantine'), new FakeClock());
      const rooms = {
        files: new FileLibrary(directory.join('files'), pool, quarantine),
        data: new DataLibrary(directory.join('data')),
        packages: new PackageLibrary(directory.join('packages')),
        references,
      };
      const file = { hash: hashOf(Buffer.from('one')), sizeBytes: 3 };
      const adopt = async () => {
        const path = directory.join('staged');
        await writeFile(path, 'one');
        await rooms.files.adopt([{ ...file, path }], () => references.unmark([file.hash]));
      };
      await adopt();
      await references.mark([file.hash], 1);
      references.onRead = adopt;
      const shards = [file.hash.slice(0, 4)];
      const time = { nowMs: 100, graceMs: 10, workSinceMs: Number.POSITIVE_INFINITY };
      assert.deepEqual(await sweepShards(rooms, shards, time), { removedCount: 0 });
      assert.deepEqual(await rooms.files.areHeld([file]), [true]);

      references.onRead = async () => {};
      await references.mark([file.hash], 1);
      assert.deepEqual(await sweepShards(rooms, shards, time), { removedCount: 1 });
      assert.deepEqual(await rooms.files.areHeld([file]), [false]);
    } finally {
      await pool.stop();
      await store.close();
    }
  });
});
