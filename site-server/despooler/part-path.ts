import { join } from 'node:path';

const partName = /^([0-9A-Z]{3}-[0-9a-f]{64})\.part$/;

/** Of which site which file is a part: no site goes on with, or stands in the way of, another's. */
export function partKeyOf(siteCode: string, fileHash: string): string {
  return `${siteCode}-${fileHash}`;
}

/** Where a package file lies while it arrives. */
export function partPathOf(directory: string, key: string): string {
  return join(directory, `${key}.part`);
}

/** The part that a name in the despool folder is of. */
export function partKeyOfName(name: string): string | undefined {
  return partName.exec(name)?.[1];
}

/** The site that brings a part. */
export function siteOfPart(key: string): string {
  return key.slice(0, key.indexOf('-'));
}

/** The hash that a part is to have once it is whole. */
export function fileHashOfPart(key: string): string {
  return key.slice(key.indexOf('-') + 1);
}
