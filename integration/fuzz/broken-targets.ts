/** Parsers that are broken on purpose, one way each: by them tests see that the watch finds it. */
import type { FuzzTarget } from './fuzz-target.ts';

/** The input on which each of them breaks; its seed is the same bytes, whatever is made of them. */
export const brokenFrom = 5;

const held: Buffer[] = [];
let parsedCount = 0;

function broken(name: string, breaks: () => Promise<void> | void): FuzzTarget {
  return {
    name,
    form: 'bytes',
    seeds: () => [Buffer.from('as good as any')],
    parse: () => {
      parsedCount += 1;
      return parsedCount > brokenFrom ? breaks() : undefined;
    },
  };
}

export const brokenTargets: readonly FuzzTarget[] = [
  broken('hangs', () => {
    for (;;);
  }),
  broken('holds memory', () => {
    // Written, so that it is there.
    held.push(Buffer.alloc(1024 * 1024, 1));
  }),
  broken('holds objects', () => {
    for (let count = 0; count < 100_000; count++) held.push([count] as never);
  }),
  broken('never settles', () => new Promise<void>(() => {})),
  broken('throws', () => {
    throw new TypeError('this is not what it says');
  }),
];
