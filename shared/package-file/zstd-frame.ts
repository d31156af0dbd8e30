const magic = 0xfd2fb528;

/** Bytes of the content size by the two bits that tell; without size when there is a window instead. */
const sizeFieldBytes = [1, 2, 4, 8] as const;
const blockTypes = { raw: 0, runLength: 1, reserved: 3 } as const;

/**
 * How many bytes one Zstandard frame becomes, by its header alone; undefined unless these bytes are
 * exactly one frame that says so and needs no dictionary. So memory is bounded before anything is
 * decompressed: several frames in a row, or one that says nothing, are not believed.
 *
 * @see https://www.rfc-editor.org/rfc/rfc8878 section 3.1.1
 */
export function frameContentBytes(packed: Uint8Array): number | undefined {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.length);
  if (bytes.length < 6 || bytes.readUInt32LE(0) !== magic) return undefined;
  const descriptor = bytes.readUInt8(4);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const hasChecksum = (descriptor & 0x04) !== 0;
  // A dictionary, or the bit that is reserved.
  if ((descriptor & 0x0b) !== 0) return undefined;
  const sizeFlag = descriptor >> 6;
  if (sizeFlag === 0 && !isSingleSegment) return undefined;
  const sizeStart = isSingleSegment ? 5 : 6;
  const headerEnd = sizeStart + (sizeFieldBytes[sizeFlag] ?? 0);
  if (headerEnd > bytes.length) return undefined;
  const blocksEnd = endOfBlocks(bytes, headerEnd);
  if (blocksEnd === undefined || blocksEnd + (hasChecksum ? 4 : 0) !== bytes.length)
    return undefined;
  return contentBytes(bytes, sizeStart, sizeFlag);
}

function contentBytes(bytes: Buffer, start: number, sizeFlag: number): number {
  if (sizeFlag === 0) return bytes.readUInt8(start);
  if (sizeFlag === 1) return bytes.readUInt16LE(start) + 256;
  if (sizeFlag === 2) return bytes.readUInt32LE(start);
  return Number(bytes.readBigUInt64LE(start));
}

/** The position behind the last block; undefined when the blocks do not end. */
function endOfBlocks(bytes: Buffer, start: number): number | undefined {
  for (let position = start; position + 3 <= bytes.length; ) {
    const header = bytes.readUIntLE(position, 3);
    const type = (header >> 1) & 3;
    if (type === blockTypes.reserved) return undefined;
    position += 3 + (type === blockTypes.runLength ? 1 : header >> 3);
    if ((header & 1) !== 0) return position;
  }
  return undefined;
}
