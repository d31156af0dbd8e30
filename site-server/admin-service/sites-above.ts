import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import { holderKindOf } from '../../shared/domain/revocation.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';

/**
 * A site that revokes one above it does nothing to that, and cuts itself off from the hierarchy, with its
 * DPs and the sites below it; nothing takes it back.
 *
 * @throws REQUEST_INVALID when the holder is a site above the one that is asked
 */
export function requireNotAbove(
  { own, tree }: Pick<SiteDirectory, 'own' | 'tree'>,
  holder: string,
): void {
  if (holderKindOf(holder) !== 'site') return;
  const siteCode = holder.slice('site/'.length);
  if (siteCode === own.siteCode || !tree.isUnder(own.siteCode, siteCode)) return;
  const whom = tree.parentOf(siteCode);
  const asked = whom ? `Ask site ${whom}, or enroll` : 'Enroll';
  const expected = `no site above ${own.siteCode}, which is asked and would only cut itself off`;
  const remedy = `${asked} ${own.siteCode} anew`;
  throw requestInvalid('holder', { expected, actual: quoted(holder), remedy });
}
