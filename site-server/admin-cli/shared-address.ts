import type { Admin } from './admin.ts';
import type { DistributionPointRecord } from './distribution-point-record.ts';

/**
 * Sentences about other DPs of the site with the same address. It is no error: one may take the place of the
 * other, and their certificates tell them apart; but only one of them can be reached there.
 */
export async function sharedAddressWarnings(
  admin: Admin,
  { dpId, siteCode, address }: Pick<DistributionPointRecord, 'dpId' | 'siteCode' | 'address'>,
): Promise<string[]> {
  const isSame = (other: string) => other.toLowerCase() === address.toLowerCase();
  const all = await admin.list('listDistributionPoints', { siteCode });
  return all
    .filter((other) => other.dpId !== dpId && other.siteCode === siteCode && isSame(other.address))
    .map(
      (other) =>
        `Distribution point ${other.dpId} has the address ${address} as well: only the one that runs there is reached.`,
    );
}
