/** As much of it as is needed here: the types that come with TypeScript are those of browsers. */
declare const WebAssembly: {
  readonly Memory: new (pages: { initial: number; maximum: number }) => { buffer: ArrayBuffer };
};
const webAssemblyPageBytes = 65_536;

/** Bytes of which memory, position and length are multiples when a disk is used past the page cache. */
export const alignmentBytes = 4096;

/**
 * Memory that begins at a page, as reads and writes past the page cache want it: the only one of Node
 * that is sure to. @param sizeBytes a multiple of 64 KiB
 */
export function alignedMemory(sizeBytes: number): Uint8Array {
  const pages = sizeBytes / webAssemblyPageBytes;
  return new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer);
}
