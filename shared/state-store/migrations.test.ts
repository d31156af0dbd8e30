import assert from 'node:assert/strict';
import { isErrorWithCode } from '../domain/errors.ts';
import { CapturedLog } from '../testing/captured-log.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { keySpaces } from './key-space.ts';
import { type Migration, migrateRows, migrations, requireKnownLayout } from './migrations.ts';
import { StateStore } from './state-store.ts';

describe('Migrations', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const logger = new CapturedLog().logger;
    ({ store } = await StateStore.open({ directory: directory.path, logger }));
  });
  afterEach(async () => {
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  it('are numbered without a gap, newest on top', () => {
    assert.deepEqual(
      migrations.toReversed().map(({ layout }) => layout),
      migrations.map((_, index) => index + 2),
    );
  });

  it('run oldest first, each once', async () => {
    const ran: number[] = [];
    const steps = [4, 3].map((layout): Migration => {
      return { layout, migrate: async () => void ran.push(layout) };
    });
    await migrateRows(store, steps);
    await migrateRows(store, steps);
    assert.deepEqual(ran, [3, 4]);
  });

  it('go on after a crash where they were', async () => {
    const ran: string[] = [];
    let isCrashing = true;
    const steps: Migration[] = [
      {
        layout: 4,
        migrate: async () => {
          ran.push('4');
          if (isCrashing) throw new Error('killed');
        },
      },
      { layout: 3, migrate: async () => void ran.push('3') },
    ];
    await assert.rejects(migrateRows(store, steps), /killed/);
    isCrashing = false;
    await migrateRows(store, steps);
    assert.deepEqual(ran, ['3', '4', '4']);
  });

  it('refuse rows of a newer program', async () => {
    const state = store.records(keySpaces.storeState);
    await migrateRows(store, [{ layout: 2, migrate: async () => {} }]);
    await requireKnownLayout(state, { path: 'p', steps: [{ layout: 2, migrate: async () => {} }] });
    await assert.rejects(requireKnownLayout(state, { path: 'p', steps: [] }), (error) => {
      assert(isErrorWithCode(error, 'STATE_STORE_NEWER'));
      assert.match(error.message, /has layout 2; this program knows 1/);
      return true;
    });
  });
});
