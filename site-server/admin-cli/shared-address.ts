import type { DistributionPointRecord } from './distribution-point-record.ts';
import { lookAfterwards } from './look-afterwards.ts';
import type { Session } from './session.ts';

/**
 * Sentences about other DPs of the site with the same address. It is no error: one may take the place of the
 * other, and their certificates tell them apart; but only one of them can be reached there.
 */
export async function sharedAddressWarnings(
  { admin, output }: Pick<Session, 'admin' | 'output'>,
  { dpId, siteCode, address }: Pick<DistributionPointRecord, 'dpId' | 'siteCode' | 'address'>,
): Promise<string[]> {
  const isSame = (other: string) => other.toLowerCase() === address.toLowerCase();
  const unknown = `whether another DP has the address ${address}`;
  const look = () => admin.list('listDistributionPoints', { siteCode });
  const all = (await lookAfterwards(output, unknown, look)) ?? [];
  return all
    .filter((other) => other.dpId !== dpId && other.siteCode === siteCode && isSame(other.address))
    .map(
      (other) =>
        `Distribution point ${other.dpId} has the address ${address} as well: only the one that runs there is reached.`,
    );
}
