import { WaybillError } from '../domain/errors.ts';
import { mapHeldContents } from './held-contents.ts';
import { keySpaces } from './key-space.ts';
import type { RecordStore } from './record-store.ts';
import type { StateStore } from './state-store.ts';

/** How rows become those of the next layout. */
export interface Migration {
  /** The layout they have then; one more than before. */
  readonly layout: number;
  /**
   * Changes all rows that need it. May be run again over rows it has already changed, after a crash,
   * and leaves those as they are.
   */
  migrate(store: StateStore): Promise<void>;
}

/** The layout a store begins with that says nothing of its own. */
const firstLayout = 1;

/** All migrations, newest on top. Layout 1 is the first. */
export const migrations: readonly Migration[] = [{ layout: 2, migrate: mapHeldContents }];

/** The row of "store state" that holds the layout. */
const layoutKey = 'layout';

/** @throws STATE_STORE_NEWER when a newer program wrote these rows: nothing is touched */
export async function requireKnownLayout(
  state: RecordStore<unknown>,
  options: { path: string; steps?: readonly Migration[] },
): Promise<void> {
  const layoutFound = (await readLayout(state)) ?? firstLayout;
  const layoutKnown = (options.steps ?? migrations)[0]?.layout ?? firstLayout;
  if (layoutFound <= layoutKnown) return;
  const { path } = options;
  throw new WaybillError({ code: 'STATE_STORE_NEWER', path, layoutFound, layoutKnown });
}

/** Brings the rows to the newest layout; after a crash it goes on where it was. */
export async function migrateRows(
  store: StateStore,
  steps: readonly Migration[] = migrations,
): Promise<void> {
  const found = await readLayout(store.records(keySpaces.storeState));
  if (found === undefined) await writeLayout(store, firstLayout);
  for (const step of steps.toReversed()) {
    if (step.layout <= (found ?? firstLayout)) continue;
    await step.migrate(store);
    await writeLayout(store, step.layout);
  }
}

async function readLayout(state: RecordStore<unknown>): Promise<number | undefined> {
  const layout = await state.get(layoutKey);
  return typeof layout === 'number' ? layout : undefined;
}

async function writeLayout(store: StateStore, layout: number): Promise<void> {
  await store.write([store.records(keySpaces.storeState).put(layoutKey, layout)], { sync: true });
}
