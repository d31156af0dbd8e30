import { packBlock } from './block-packing.ts';

/** What the threads that pack blocks do. */
export const blockTasks = {
  /** @returns the same bytes when they do not compress */
  pack: ({ raw, level }: { readonly raw: Uint8Array; readonly level: number }): Uint8Array =>
    packBlock(raw, level),
};

export type BlockTasks = typeof blockTasks;
