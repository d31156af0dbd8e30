import type { DistributionPoint } from '../domain/distribution-point.ts';

/** A standard distribution point of site PS1. */
export function testDistributionPoint(address = 'a:1', dpId = 'PS1DP1'): DistributionPoint {
  return { dpId, address, kind: 'standard', description: '', siteCode: 'PS1' };
}
