/** The list of a site's signing keys as it stands in its file. */
import type { SigningKey } from '../../shared/domain/site.ts';
import { isSigningKey, publicKeyOf } from '../../shared/site-identity/identity-check.ts';

/** The text of a list. */
export function signingKeyListText(keys: readonly SigningKey[]): string {
  return `${JSON.stringify(keys, null, 2)}\n`;
}

/**
 * The keys of a list, the one in use first, then as they stand there. What a failing disk, or somebody's editor,
 * has made of it is left out: a key that is not what its ID says, or that is there already. Of several that are in
 * use the first one is, and the others have retired when it was made.
 */
export function parseSigningKeyList(text: string): SigningKey[] {
  const known = new Map<string, SigningKey>();
  for (const key of listIn(text)) {
    if (!isSigningKey(key) || known.has(key.keyId) || !publicKeyOf(key)) continue;
    known.set(key.keyId, key);
  }
  const keys = [...known.values()];
  const inUse = keys.find(({ retiredAtMs }) => retiredAtMs === 0);
  if (!inUse) return keys;
  const others = keys.filter((one) => one !== inUse);
  return [
    inUse,
    ...others.map((one) =>
      one.retiredAtMs === 0 ? { ...one, retiredAtMs: inUse.createdAtMs } : one,
    ),
  ];
}

function listIn(text: string): readonly unknown[] {
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}
