import { WaybillError } from '../../shared/domain/errors.ts';
import type { PackageFileFacts } from '../../shared/domain/send-request.ts';

export function stillHashing(): WaybillError {
  return busy('unfinished file to hash before it can go on', 1);
}

export function busy(what: string, limit: number): WaybillError {
  return new WaybillError({ code: 'RECEIVER_BUSY', what, limit });
}

export function noRoom(
  path: string,
  bytes: { readonly freeBytes: number; readonly neededBytes: number },
): WaybillError {
  return new WaybillError({ code: 'DISK_FULL', path, ...bytes });
}

export function alreadyArriving(fileHash: string, siteCode: string): WaybillError {
  return new WaybillError({ code: 'FILE_ALREADY_ARRIVING', fileHash, siteCode });
}

export function offsetMismatch(
  { fileHash }: PackageFileFacts,
  heldBytes: number,
  offsetBytes: number,
): WaybillError {
  return new WaybillError({ code: 'FILE_OFFSET_MISMATCH', fileHash, heldBytes, offsetBytes });
}

export function invalid(field: string, expected: string, actual: string): WaybillError {
  return new WaybillError({ code: 'MESSAGE_INVALID', field, expected, actual });
}

/** @throws FILE_TOO_LARGE */
export function requireSize(file: PackageFileFacts, fileBytesMax: number): void {
  const { fileHash, fileBytes } = file;
  if (fileBytes <= fileBytesMax) return;
  throw new WaybillError({ code: 'FILE_TOO_LARGE', fileHash, fileBytes, fileBytesMax });
}
