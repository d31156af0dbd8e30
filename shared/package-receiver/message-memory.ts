/**
 * Most bytes of memory that messages of one connection may share: the transport hands out views of
 * what it read at once. Longer memory was put together for one message.
 */
export const sharedMemoryBytesMax = 256 * 1024;

/** Most bytes a message has around its files, and around the data of each: tags, lengths, hash. */
const framingBytesMax = 16;
const fileFramingBytesMax = 44;

/**
 * The memory of a message, if it is long and holds nothing but these views, so that it may be
 * handed to another thread; undefined when it may hold more, and what goes there must be copied.
 *
 * @param views the data of all files of one message
 */
export function ownMemoryOf(views: readonly Uint8Array[]): ArrayBuffer | undefined {
  const buffer = views[0]?.buffer;
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength <= sharedMemoryBytesMax) {
    return undefined;
  }
  let seenBytes = framingBytesMax;
  for (const view of views) {
    if (view.buffer !== buffer) return undefined;
    seenBytes += view.length + fileFramingBytesMax;
  }
  return seenBytes >= buffer.byteLength ? buffer : undefined;
}
