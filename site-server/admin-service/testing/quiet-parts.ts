import assert from 'node:assert/strict';

/** A stream in which nothing comes. */
export async function* nothing(): AsyncGenerator<never> {}

/** A queue in which no job is. */
export const noSteering = {
  select: async () => [],
  move: async () => [],
  suspend: async () => [],
  resume: async () => [],
  runNow: async () => [],
  cancel: nothing,
};

/** For what a test does not do. */
export async function noWork(): Promise<never> {
  throw new Error('Nothing is exported or imported here');
}

/** All that a stream brings until its end. */
export async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

/** The first that is so, of a stream that must not end before. */
export async function until<T>(stream: AsyncIterator<T>, isIt: (item: T) => boolean): Promise<T> {
  for (;;) {
    const { value, done } = await stream.next();
    assert.ok(!done, 'the watch goes on');
    if (isIt(value)) return value;
  }
}
