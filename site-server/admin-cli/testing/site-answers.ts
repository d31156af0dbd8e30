import type { DistributionPointRecord__Output } from '../../../shared/rpc/generated/waybill/v1/DistributionPointRecord.ts';
import type { GroupRecord__Output } from '../../../shared/rpc/generated/waybill/v1/GroupRecord.ts';
import type { Link__Output } from '../../../shared/rpc/generated/waybill/v1/Link.ts';
import type { Route__Output } from '../../../shared/rpc/generated/waybill/v1/Route.ts';
import type { Setting__Output } from '../../../shared/rpc/generated/waybill/v1/Setting.ts';
import type { Site__Output } from '../../../shared/rpc/generated/waybill/v1/Site.ts';
import type { SiteRecord__Output } from '../../../shared/rpc/generated/waybill/v1/SiteRecord.ts';
import { thenMs } from './fake-moment.ts';

/** A site. */
export const aSite: Site__Output = {
  siteCode: 'PS1',
  kind: 'SITE_KIND_PRIMARY',
  agentVersion: '0.1.0',
  startedAtMs: String(thenMs),
  parentSiteCode: '',
};

/** A site below a central administration site. */
export function aSiteRecord(changes: Partial<SiteRecord__Output> = {}): SiteRecord__Output {
  return {
    siteCode: 'PS1',
    kind: 'SITE_KIND_PRIMARY',
    parentSiteCode: '',
    address: 'site.example.org:8530',
    description: '',
    agentVersion: '0.1.0',
    signingKeyIds: [],
    replication: null,
    distributionPointCount: 1,
    ...changes,
  };
}

/** Another site, which is a little behind. */
export function aChildSite(changes: Partial<SiteRecord__Output> = {}): SiteRecord__Output {
  return aSiteRecord({
    siteCode: 'PS2',
    parentSiteCode: 'CS1',
    address: 'ps2.example.org:8530',
    description: 'Overseas',
    signingKeyIds: ['0123456789abcdef'],
    replication: {
      connected: true,
      reason: '',
      changesBehind: '12',
      behindMs: '2500',
      heardAtMs: String(thenMs),
    },
    distributionPointCount: 4,
    ...changes,
  });
}

/** A DP that is well. */
export function aDistributionPoint(
  changes: Partial<DistributionPointRecord__Output> = {},
): DistributionPointRecord__Output {
  return {
    dpId: 'PS1DP1',
    address: 'dp1.example.org:8531',
    kind: 'DISTRIBUTION_POINT_KIND_STANDARD',
    description: 'First floor',
    siteCode: 'PS1',
    priority: 200,
    reachability: 'DISTRIBUTION_POINT_REACHABILITY_REACHABLE',
    reason: '',
    checkedAtMs: String(thenMs),
    agentVersion: '0.1.0',
    isPriorityPinned: false,
    freeBytes: '53687091200',
    packageCount: 12,
    measuredBytesPerSecond: '45200000',
    pull: null,
    groupNames: [],
    controls: null,
    serveControls: null,
    validation: null,
    ...changes,
  };
}

/** A group of two DPs that has a package. */
export function aGroup(changes: Partial<GroupRecord__Output> = {}): GroupRecord__Output {
  return {
    groupName: 'Offices',
    description: 'Offices in the north',
    dpIds: ['PS1DP1', 'PS2DP1'],
    packageIds: ['PS100001'],
    ...changes,
  };
}

/** A setting that is as configured. */
export function aSetting(changes: Partial<Setting__Output> = {}): Setting__Output {
  return {
    ...{ name: 'packages-at-once', siteCode: 'PS1', setValue: '', configuredValue: '3' },
    ...{ minValue: '1', maxValue: '50', isTime: false },
    description: 'Packages processed and sent to DPs at once.',
    ...changes,
  };
}

/** A route. */
export function aRoute(changes: Partial<Route__Output> = {}): Route__Output {
  const addresses = ['ps2.example.org:8530', '192.0.2.9:8530'];
  return { fromSiteCode: 'CS1', toSiteCode: 'PS2', addresses, controls: null, ...changes };
}

/** A link that two DPs and the way to another site share. */
export function aLink(changes: Partial<Link__Output> = {}): Link__Output {
  return {
    linkName: 'madrid-line',
    siteCode: 'PS1',
    description: 'Rented',
    dpIds: ['PS1DP1', 'PS1DP2'],
    toSiteCodes: ['PS2'],
    controls: { schedule: null, limit: { kind: 'bytesPerSecond', bytesPerSecond: '20000000' } },
    ...changes,
  };
}
