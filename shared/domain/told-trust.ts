import type { RevokedAt } from './revocation.ts';
import type { SiteDefinition } from './site.ts';

/** What a site tells its DPs of whom to trust. */
export interface ToldTrust {
  /** The sites of the hierarchy, and who is above whom. */
  readonly sites: readonly Pick<SiteDefinition, 'siteCode' | 'parentSiteCode'>[];
  readonly revocations: readonly RevokedAt[];
  /** The roots, as the top site has signed them; absent where certificates are for development. */
  readonly bundle?: ToldBundle;
}

/** A trust bundle as it travels. */
export interface ToldBundle {
  readonly generation: number;
  readonly base64: string;
}

/** Revocations a DP keeps; of more, those that were said last. */
export const toldRevocationCountMax = 50_000;

/** Longest trust bundle, in bytes: some roots. */
export const trustBundleBytesMax = 64 * 1024;

/**
 * What a DP keeps once its site has told it something: the newest of what both know, for a site whose store was
 * lost or is an older copy takes no revocation back.
 *
 * @param told its bundle is one that counts: by its number alone nobody knows which is newer
 * @param forgetBeforeMs what was revoked longer ago is dropped: no certificate lives so long
 */
export function withTold(
  before: ToldTrust | undefined,
  told: ToldTrust,
  forgetBeforeMs: number,
): ToldTrust {
  const newest = new Map<string, RevokedAt>();
  for (const one of [...(before?.revocations ?? []), ...told.revocations]) {
    const key = `${one.siteCode}/${one.holder}`;
    const known = newest.get(key);
    if (!known || known.revokedAtMs < one.revokedAtMs) newest.set(key, one);
  }
  const revocations = [...newest.values()]
    .filter(({ revokedAtMs }) => revokedAtMs >= forgetBeforeMs)
    .sort((a, b) => b.revokedAtMs - a.revokedAtMs)
    .slice(0, toldRevocationCountMax);
  const bundle = told.bundle ?? before?.bundle;
  return { sites: told.sites, revocations, ...(bundle && { bundle }) };
}
