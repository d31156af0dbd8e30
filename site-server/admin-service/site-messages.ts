import { addressRules, parseAddress } from '../../shared/domain/distribution-point.ts';
import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import { requestLimits } from '../../shared/domain/request-limits.ts';
import type { SiteDefinition, SiteIdentity, SiteRoute } from '../../shared/domain/site.ts';
import { wholePatch } from '../../shared/domain/transfer-controls-patch.ts';
import type { Route as RouteMessage } from '../../shared/rpc/generated/waybill/v1/Route.ts';
import type { RouteSettings__Output } from '../../shared/rpc/generated/waybill/v1/RouteSettings.ts';
import type { SendRequest as SendRequestMessage } from '../../shared/rpc/generated/waybill/v1/SendRequest.ts';
import type { SendRequestFilter__Output } from '../../shared/rpc/generated/waybill/v1/SendRequestFilter.ts';
import type { SiteRecord } from '../../shared/rpc/generated/waybill/v1/SiteRecord.ts';
import type { SiteSettings__Output } from '../../shared/rpc/generated/waybill/v1/SiteSettings.ts';
import {
  toTransferControlsMessage,
  toTransferControlsPatch,
} from '../../shared/transfer-arbiter/transfer-controls-message.ts';
import { priorityNames, sendRequestStateNames, siteKindNames, toSiteKind } from './enum-tables.ts';
import type { NeighbourState, SeenSendRequest, SendRequestQuery } from './hierarchy-ports.ts';
import { requirePackageId, requireSiteCode } from './package-requests.ts';
import { checkedCount, checkedText } from './request-text.ts';
import type { RoutePatch, SitePatch } from './site-commands.ts';

const descriptionRule = { charsMax: requestLimits.descriptionCharsMax, isMultiline: true };

/** A site to add. @throws REQUEST_INVALID */
export function toNewSite(settings: SiteSettings__Output): SiteDefinition {
  const siteCode = requireSiteCode('site_code', settings.siteCode);
  const kind = toSiteKind(settings.kind);
  if (kind === undefined) {
    const expected = 'central administration, primary or secondary';
    throw requestInvalid('kind', { expected, actual: 'none' });
  }
  const { parentSiteCode: parent } = settings;
  return {
    siteCode,
    kind,
    parentSiteCode: parent === '' ? '' : requireSiteCode('parent_site_code', parent),
    address: requireAddress('address', settings.address),
    description: checkedText('description', settings.description ?? '', descriptionRule),
  };
}

/** What to change of a site; what is not said stays. @throws REQUEST_INVALID */
export function toSitePatch(settings: SiteSettings__Output): SitePatch {
  const { parentSiteCode: parent, address, description } = settings;
  const kind = toSiteKind(settings.kind);
  return {
    siteCode: requireSiteCode('site_code', settings.siteCode),
    ...(kind && { kind }),
    ...(parent !== '' && { parentSiteCode: requireSiteCode('parent_site_code', parent) }),
    ...(address !== '' && { address: requireAddress('address', address) }),
    ...(description !== undefined && {
      description: checkedText('description', description, descriptionRule),
    }),
  };
}

/** What a site's record says beyond its definition. */
export interface SiteExtras {
  readonly identity: SiteIdentity | undefined;
  readonly neighbour: NeighbourState | undefined;
  readonly distributionPointCount: number;
  /** The program of the site that answers; of others their identity says it. */
  readonly agentVersion?: string;
}

/** A site as administrators see it. */
export function toSiteRecord(site: SiteDefinition, extras: SiteExtras): SiteRecord {
  const { identity, neighbour, distributionPointCount, agentVersion } = extras;
  return {
    ...site,
    kind: siteKindNames[site.kind],
    address: site.address || (identity?.address ?? ''),
    agentVersion: agentVersion ?? identity?.agentVersion ?? '',
    signingKeyIds: identity?.signingKeys.map(({ keyId }) => keyId) ?? [],
    distributionPointCount,
    ...(neighbour && { replication: toLag(neighbour) }),
  };
}

/** What to change of a route. @throws REQUEST_INVALID */
export function toRoutePatch(message: RouteSettings__Output): RoutePatch {
  const { routeAddressCountMax } = requestLimits;
  const { controls, ownAddress } = message;
  if (message.addresses.length > routeAddressCountMax) {
    const expected = `at most ${routeAddressCountMax}`;
    throw requestInvalid('addresses', { expected, actual: `${message.addresses.length}` });
  }
  const addresses = message.addresses.map((text, index) =>
    requireAddress(`addresses[${index}]`, text),
  );
  if (ownAddress && addresses.length > 0) {
    throw requestInvalid('own_address', { expected: 'no addresses with it', actual: 'both' });
  }
  const isDeletion = addresses.length === 0 && !ownAddress && !controls;
  return {
    fromSiteCode: requireSiteCode('from_site_code', message.fromSiteCode),
    toSiteCode: requireSiteCode('to_site_code', message.toSiteCode),
    ...(isDeletion && { addresses, controls: wholePatch(undefined) }),
    ...((ownAddress || addresses.length > 0) && { addresses: [...new Set(addresses)] }),
    ...(controls && { controls: toTransferControlsPatch(controls, 'controls') }),
  };
}

export function toRouteMessage(route: SiteRoute): RouteMessage {
  const { fromSiteCode, toSiteCode, addresses, controls } = route;
  return {
    ...{ fromSiteCode, toSiteCode, addresses: [...addresses] },
    ...(controls && { controls: toTransferControlsMessage(controls) }),
  };
}

/** @throws REQUEST_INVALID */
export function toSendRequestQuery(filter: SendRequestFilter__Output): SendRequestQuery {
  const { packageId, destinationSiteCode: destination, history, limit } = filter;
  return {
    packageId: packageId === '' ? '' : requirePackageId(packageId),
    destinationSiteCode:
      destination === '' ? '' : requireSiteCode('destination_site_code', destination),
    history,
    limit: checkedCount('limit', limit, 0),
  };
}

/** A send request as administrators see it. */
export function toSendRequestMessage(request: SeenSendRequest): SendRequestMessage {
  const { file, priority, state, bytesPerSecond = 0, etaMs = 0, ...rest } = request;
  return {
    ...rest,
    priority: priorityNames[priority],
    state: sendRequestStateNames[state],
    totalBytes: file.fileBytes,
    bytesPerSecond,
    etaMs,
  };
}

function toLag({ siteCode: _, ...lag }: NeighbourState): NonNullable<SiteRecord['replication']> {
  return lag;
}

function requireAddress(field: string, text: string): string {
  const address = parseAddress(text);
  if (address !== undefined) return address;
  const expected = `host:port of a site server, ${addressRules}`;
  throw requestInvalid(field, { expected, actual: quoted(text) });
}
