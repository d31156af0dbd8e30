import type { Level } from 'level';

/** LevelDB's machine code is loaded with the first store: most commands of `waybill` open none. */
export async function loadLevel(): Promise<typeof Level> {
  return (await import('level')).Level;
}
