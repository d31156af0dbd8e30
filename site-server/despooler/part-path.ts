import { join } from 'node:path';

const partName = /^([0-9a-f]{64})\.part$/;

/** Where a package file lies while it arrives. */
export function partPathOf(directory: string, fileHash: string): string {
  return join(directory, `${fileHash}.part`);
}

/** The hash of the file that a name in the despool folder is a part of. */
export function fileHashOfPart(name: string): string | undefined {
  return partName.exec(name)?.[1];
}
