import { WaybillError } from '../../shared/domain/errors.ts';
import type { Session } from './session.ts';
import { requireSite } from './site-record.ts';

/** What an administrator asked about; empty where everything is meant. */
interface AskedNames {
  readonly packageId: string;
  readonly dpId: string;
  readonly siteCode?: string;
}

/**
 * For an answer with nothing in it: "nothing" about what does not exist would sound as if all were
 * well.
 *
 * @throws PACKAGE_UNKNOWN, DISTRIBUTION_POINT_UNKNOWN, SITE_UNKNOWN
 */
export async function requireKnown(
  { admin }: Pick<Session, 'admin'>,
  { packageId, dpId, siteCode = '' }: AskedNames,
): Promise<void> {
  if (packageId !== '') await admin.ask('getPackage', { packageId });
  if (siteCode !== '') await requireSite(admin, siteCode);
  if (dpId === '') return;
  const all = await admin.list('listDistributionPoints', {});
  if (all.some((one) => one.dpId === dpId)) return;
  throw new WaybillError({ code: 'DISTRIBUTION_POINT_UNKNOWN', dpId });
}
