import { packBlock } from './block-packing.ts';

/** What the threads that pack blocks do. */
export const blockTasks = {
  /** @returns undefined when it does not pay: nothing has to be carried back then */
  pack: ({ raw, level }: { readonly raw: Uint8Array; readonly level: number }) =>
    packBlock(raw, level),
};

export type BlockTasks = typeof blockTasks;
