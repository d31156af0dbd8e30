/** The text of a key that is asked with: PEM, PKCS #8, and before it, when it was made for a token, a line that says so. Pure. */
import { createPrivateKey } from 'node:crypto';

/** The line before a key that was made for a token; what renewals and older programs made has none. */
export function markOf(tokenId: string): string {
  return `token ${tokenId}\n`;
}

/** ID of the token that it was made for; undefined: for none. */
export function tokenIdOf(pending: string): string | undefined {
  return /^token ([0-9a-f]{16})\n/.exec(pending)?.[1];
}

/** PEM, without what stands before it. */
export function keyTextOf(pending: string): string {
  return pending.slice(Math.max(0, pending.indexOf('-----BEGIN ')));
}

/** Whether it is one: the disk may have spoilt it. */
export function isKey(pending: string): boolean {
  try {
    createPrivateKey(keyTextOf(pending));
    return true;
  } catch {
    return false;
  }
}
