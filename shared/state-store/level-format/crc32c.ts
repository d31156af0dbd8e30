/** Remainders of every byte under the Castagnoli polynomial, reflected. */
const remainders = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) {
    remainder = remainder & 1 ? (remainder >>> 1) ^ 0x82f63b78 : remainder >>> 1;
  }
  return remainder;
});

/** CRC-32C (RFC 3720, B.4) of the bytes. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (remainders[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

const maskDelta = 0xa282ead8;

/** How LevelDB stores a checksum, so that a file that holds checksums keeps a good one itself. */
export function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + maskDelta) >>> 0;
}

/** The checksum LevelDB has stored so. */
export function unmasked(maskedCrc: number): number {
  const rotated = (maskedCrc - maskDelta) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}
