import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import type { DistributionPointHealth } from '../../shared/domain/distribution-point-health.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { AskedHoldings, type AskedHoldingsNeeds } from './asked-holdings.ts';
import { type InstalledPackage, KnownHoldings, type KnownHoldingsNeeds } from './known-holdings.ts';
import { lackingBytesOf } from './lacking-bytes.ts';
import type { ReckonedBytes } from './preview-parts.ts';
import type { PreviewedVersion } from './previewed-version.ts';

/** What finding out needs. */
export interface DpLacksNeeds extends KnownHoldingsNeeds, AskedHoldingsNeeds {}

/** A DP, as far as this site knows it. */
export interface LackingDp {
  readonly dpId: string;
  /** A DP of this site; undefined: of another one, which cannot be asked from here. */
  readonly own:
    | { readonly dp: DistributionPoint; readonly health: DistributionPointHealth }
    | undefined;
  readonly installed: readonly InstalledPackage[];
}

/** What a DP lacks, and why it was not asked when it could have been. */
export interface DpLacks extends ReckonedBytes {
  readonly note: string;
}

/**
 * What a DP lacks of a version: by its own word, where it is of this site and answers; else reckoned from
 * the packages that are known to be installed there.
 *
 * @throws AbortError
 */
export async function lacksOf(
  needs: DpLacksNeeds,
  previewed: PreviewedVersion,
  { dpId, own, installed }: LackingDp,
  signal: AbortSignal,
): Promise<DpLacks> {
  using known = await KnownHoldings.of(needs, previewed.version.packageId, installed);
  let note = '';
  if (own?.health.reachability === 'unreachable') note = `${dpId} is unreachable`;
  else if (own) {
    const { contentIds } = known;
    const asked = new AskedHoldings(needs, { dp: own.dp, contentIds, signal });
    try {
      return { ...(await lackingBytesOf(previewed, asked, signal)), basis: 'asked', note };
    } catch (error) {
      if (!(error instanceof WaybillError)) throw error;
      note = `${dpId} could not be asked: ${error.message}`;
    }
  }
  const lacking = await lackingBytesOf(previewed, known, signal);
  return { ...lacking, basis: known.isEmpty ? 'whole-package' : 'installed-packages', note };
}
