import assert from 'node:assert/strict';
import { cp, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { Level } from 'level';
import { isErrorWithCode } from '../domain/errors.ts';
import { CapturedLog } from '../testing/captured-log.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { joinKey, keySpaces } from './key-space.ts';
import { StateStore, type StateStoreDamage } from './state-store.ts';

const rowCount = 3_000;
const logger = new CapturedLog().logger;

type Damage = (file: string) => Promise<void>;

const damages: Record<string, Damage> = {
  deleted: (file) => rm(file),
  emptied: (file) => truncate(file, 0),
  'cut in half': async (file) => truncate(file, Math.floor((await readFile(file)).length / 2)),
  zeroed: async (file) => writeFile(file, Buffer.alloc((await readFile(file)).length)),
  'with one bit flipped': async (file) => {
    const bytes = await readFile(file);
    const offset = Math.floor(bytes.length / 3);
    bytes[offset] = (bytes[offset] ?? 0) ^ 1;
    await writeFile(file, bytes);
  },
};

/** What a crash alone can do to a log: its end is missing. That is no damage. */
const crashesOfLog = ['emptied', 'cut in half', 'zeroed'];

describe('A damaged StateStore', function () {
  this.timeout(20_000);
  let templates: TemporaryDirectory;
  let directory: TemporaryDirectory;
  let path: string;

  before(async () => {
    templates = await TemporaryDirectory.create();
    await writeTemplate(templates.join('state'));
  });
  after(() => templates[Symbol.asyncDispose]());
  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    path = directory.join('state');
    await cp(templates.join('state'), path, { recursive: true });
  });
  afterEach(() => directory[Symbol.asyncDispose]());

  for (const kind of ['CURRENT', 'MANIFEST', '.log', '.ldb']) {
    for (const [name, damage] of Object.entries(damages)) {
      if (kind === '.log' && crashesOfLog.includes(name)) continue;
      it(`is set aside whole and repaired: ${kind} ${name}`, async () => {
        await damage(join(path, await findFile(path, kind)));
        const damaged = await contentsOf(path);
        const opened = await open();
        assert.deepEqual(opened.damage?.setAsideAs, `${path}.damaged-1`);
        assert.equal(opened.damage.repaired, true);
        assert.deepEqual(await contentsOf(`${path}.damaged-1`, Object.keys(damaged)), damaged);
        // CURRENT and MANIFEST can be made anew without loss; a table or a log is lost at most.
        const lostMax = kind === '.ldb' ? rowCount / 2 + 200 : kind === '.log' ? rowCount / 2 : 0;
        assert(opened.rows.size >= rowCount - lostMax, `${opened.rows.size} rows are left`);
        for (const [key, value] of opened.rows) assert.equal(joinKey(value), key);
      });
    }
  }

  for (const name of crashesOfLog) {
    it(`is not damaged when only the end of the log is missing: ${name}`, async () => {
      await damages[name]?.(join(path, await findFile(path, '.log')));
      const { damage, rows } = await open();
      assert.equal(damage, undefined);
      assert(rows.size >= rowCount / 2);
    });
  }

  it('loses only the rows of the damaged block of a table', async () => {
    await damages['with one bit flipped']?.(join(path, await findFile(path, '.ldb')));
    const { rows } = await open();
    assert(rows.size < rowCount && rows.size > rowCount - 400, `${rows.size} rows are left`);
  });

  it('begins anew when nothing can be read', async () => {
    for (const name of await readdir(path)) await writeFile(join(path, name), 'nonsense');
    const { damage, rows } = await open();
    assert.equal(damage?.repaired, false);
    assert.equal(rows.size, 0);
    assert.deepEqual(await readFile(`${path}.damaged-1/CURRENT`, 'utf8'), 'nonsense');
  });

  it('never gives a wrong row, whichever byte was changed', async () => {
    const files = (await readdir(path)).filter((name) => !/^LO(CK|G)/.test(name));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files),
        fc.nat(2 ** 30),
        fc.integer({ min: 1, max: 255 }),
        async (name, at, mask) => {
          await rm(path, { recursive: true });
          await cp(templates.join('state'), path, { recursive: true });
          const bytes = await readFile(join(path, name));
          bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ mask;
          await writeFile(join(path, name), bytes);
          const { damage, rows } = await open();
          for (const [key, value] of rows) assert.equal(joinKey(value), key);
          // Nothing is silently missing, but for the last record: it looks like the end of a crash.
          if (!damage) assert(rows.size >= rowCount - 1);
        },
      ),
      { numRuns: 25 },
    );
  }).timeout(60_000);

  it('loses rows that are not JSON, and no others', async () => {
    const level = new Level(path);
    await level.put('counters:bad', '{"half":');
    await level.close();
    const { damage, rows } = await open();
    assert.match(damage?.reason ?? '', /1 rows are not JSON, the first counters:bad/);
    assert.equal(damage?.repaired, true);
    assert.equal(rows.size, rowCount);
  });

  it('tells of the damage at every open until that is handled', async () => {
    await damages.deleted?.(join(path, 'CURRENT'));
    const { damage } = await open();
    const again = await StateStore.open({ directory: path, logger });
    assert.deepEqual(again.damage, damage);
    await again.store.write([again.store.damageHandled()], { sync: true });
    await again.store.close();
    assert.equal((await open()).damage, undefined);
  });

  it('is set aside under a new name each time', async () => {
    for (const number of [1, 2]) {
      await damages.emptied?.(join(path, 'CURRENT'));
      assert.equal((await open()).damage?.setAsideAs, `${path}.damaged-${number}`);
    }
  });

  it('is repaired in the end, wherever a crash stopped the repair before', async () => {
    await damages.deleted?.(join(path, 'CURRENT'));
    await cp(path, directory.join('damaged'), { recursive: true });
    const { damage } = await open();
    const repaired = directory.join('whole');
    await cp(path, repaired, { recursive: true });
    const crashes: Record<string, () => Promise<void>> = {
      'while it copied': async () => {
        await cp(directory.join('damaged'), path, { recursive: true });
        await mkdir(`${path}.repairing`);
        await writeFile(join(`${path}.repairing`, 'CURRENT'), 'half');
      },
      'before the damaged one was renamed': async () => {
        await cp(directory.join('damaged'), path, { recursive: true });
        await cp(repaired, `${path}.repaired`, { recursive: true });
      },
      'between the two renames': () => cp(repaired, `${path}.repaired`, { recursive: true }),
    };
    for (const [moment, leave] of Object.entries(crashes)) {
      await rm(path, { recursive: true });
      await rm(`${path}.damaged-1`, { recursive: true });
      await leave();
      if (moment === 'between the two renames') {
        await cp(directory.join('damaged'), `${path}.damaged-1`, { recursive: true });
      }
      const opened = await open();
      assert.deepEqual(opened.damage, damage, moment);
      assert.equal(opened.rows.size, rowCount, moment);
      const left = (await readdir(directory.path)).filter((name) => name.startsWith('state'));
      assert.deepEqual(left.sort(), ['state', 'state.damaged-1', 'state.lock'], moment);
    }
  });

  it('is new, not damaged, when its first start was killed before it had a CURRENT', async () => {
    for (const name of await readdir(path)) {
      if (!name.startsWith('MANIFEST')) await rm(join(path, name));
    }
    assert.equal((await open()).damage, undefined);
  });

  it('of a newer program is refused, and not taken for damaged', async () => {
    const { store } = await StateStore.open({ directory: path, logger });
    const newer = store.records(keySpaces.storeState).put('layout', 1_000);
    await store.write([newer], { sync: true });
    await store.close();
    const level = new Level(path);
    await level.put('counters:new', 'perhaps no longer JSON');
    await level.close();
    for (const damage of [async () => {}, () => rm(join(path, 'CURRENT'))]) {
      await damage();
      await assert.rejects(StateStore.open({ directory: path, logger }), (error) =>
        isErrorWithCode(error, 'STATE_STORE_NEWER'),
      );
      const left = (await readdir(directory.path)).filter((name) => name.startsWith('state'));
      assert.deepEqual(left.sort(), ['state', 'state.lock']);
    }
  });

  async function open(): Promise<{ damage?: StateStoreDamage; rows: Map<string, number> }> {
    const { store, damage } = await StateStore.open({ directory: path, logger });
    const rows = new Map<string, number>();
    for await (const [key, value] of store.records(keySpaces.counters).list()) rows.set(key, value);
    await store.close();
    return { rows, ...(damage ? { damage } : {}) };
  }
});

/** A store with half of its rows in a table and half in the log. */
async function writeTemplate(path: string): Promise<void> {
  for (const half of [0, 1]) {
    const { store } = await StateStore.open({ directory: path, logger });
    const counters = store.records(keySpaces.counters);
    for (let index = 0; index < rowCount / 2; index++) {
      const number = index + (half * rowCount) / 2;
      await store.write([counters.put(joinKey(number), number)], { sync: false });
    }
    await store.close();
  }
}

async function findFile(directory: string, kind: string): Promise<string> {
  const names = (await readdir(directory)).filter((name) => name.includes(kind)).sort();
  return names.at(-1) ?? '';
}

/** Bytes of the files by name, but for LevelDB's own diary. */
async function contentsOf(directory: string, only?: string[]): Promise<Record<string, string>> {
  const names = (only ?? (await readdir(directory))).filter((name) => !/^LO(CK|G)/.test(name));
  const entries = names.map(async (name) => {
    return [name, (await readFile(join(directory, name))).toString('base64')] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}
