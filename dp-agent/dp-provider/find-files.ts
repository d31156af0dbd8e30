import type { HeldFile } from '../../shared/content-library/library-tasks.ts';
import { PieceSet } from '../../shared/domain/piece-set.ts';
import { invalidMessage, requireHash } from '../../shared/package-info/package-version.ts';
import type { FindFilesRequest__Output } from '../../shared/rpc/generated/waybill/v1/FindFilesRequest.ts';
import type { FindFilesResponse } from '../../shared/rpc/generated/waybill/v1/FindFilesResponse.ts';

const hashBytes = 32;
/** Files asked about in one call. */
const filesMax = 8_192;

/** Says which files are here. @throws MESSAGE_INVALID */
export async function findFiles(
  library: { areHeld(files: readonly HeldFile[]): Promise<boolean[]> },
  request: FindFilesRequest__Output,
): Promise<FindFilesResponse> {
  const files = requireFiles(request);
  const held = new PieceSet(files.length);
  for (const [index, isHeld] of (await library.areHeld(files)).entries()) {
    if (isHeld) held.add(index);
  }
  return { held: Buffer.from(held.toBytes()) };
}

function requireFiles({ hashes, sizeBytes }: FindFilesRequest__Output): HeldFile[] {
  const count = sizeBytes.length;
  if (count > filesMax) throw invalidMessage('size_bytes', `at most ${filesMax}`, `${count}`);
  if (hashes.length !== count * hashBytes) {
    const expected = `${hashBytes} bytes for each of ${count} sizes`;
    throw invalidMessage('hashes', expected, `${hashes.length} bytes`);
  }
  return sizeBytes.map((text, index) => {
    const size = Number(text);
    if (!Number.isSafeInteger(size)) throw invalidMessage('size_bytes', 'up to 2^53', text);
    const at = index * hashBytes;
    return { hash: requireHash('hashes', hashes.subarray(at, at + hashBytes)), sizeBytes: size };
  });
}
