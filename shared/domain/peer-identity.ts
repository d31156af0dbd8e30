import { parseDistributionPointId } from './distribution-point.ts';
import { parseObjectName } from './object-name.ts';
import { parseSiteCode } from './site.ts';

/** What an administrator's certificate lets its holder do. */
export type AdminRole = 'full' | 'operator' | 'read-only';

/** What an administrator may change; one who has none may change everything his role lets him. */
export interface AdminScope {
  /** DPs of these sites, and packages of which they are the source. Sorted. */
  readonly siteCodes: readonly string[];
  /** DPs in these groups. Sorted. */
  readonly groupNames: readonly string[];
}

/** Who a certificate of the hierarchy speaks for: exactly one of these. */
export type PeerIdentity =
  | { readonly kind: 'site'; readonly siteCode: string }
  | { readonly kind: 'dp'; readonly dpId: string }
  | {
      readonly kind: 'admin';
      readonly role: AdminRole;
      readonly name: string;
      readonly scope?: AdminScope;
    }
  | { readonly kind: 'client'; readonly name: string };

export const adminRoles: readonly AdminRole[] = ['full', 'operator', 'read-only'];
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$/;
/** Sites and groups of one scope, together; a certificate must stay small. */
export const scopePartsMax = 32;

/** The SAN URI that stands in the certificate, such as `waybill://dp/PS1DP1`. */
export function toIdentityUri(identity: PeerIdentity): string {
  switch (identity.kind) {
    case 'site':
      return `waybill://site/${identity.siteCode}`;
    case 'dp':
      return `waybill://dp/${identity.dpId}`;
    case 'admin':
      return `waybill://admin/${identity.role}/${identity.name}${toQuery(identity.scope)}`;
    case 'client':
      return `waybill://client/${identity.name}`;
  }
}

/** The identity a SAN URI names, or undefined when it names none of ours. */
export function fromIdentityUri(uri: string): PeerIdentity | undefined {
  if (!uri.startsWith('waybill://')) return undefined;
  const [path = '', query] = uri.slice('waybill://'.length).split('?', 2);
  const [kind, ...rest] = path.split('/');
  const [first = '', second = ''] = rest;
  if (kind === 'admin' && rest.length === 2) return toAdmin(uri, first, second, query);
  if (query !== undefined || rest.length !== 1) return undefined;
  if (kind === 'site' && parseSiteCode(first)) return { kind, siteCode: first };
  if (kind === 'dp' && parseDistributionPointId(first)) return { kind, dpId: first };
  if (kind === 'client' && namePattern.test(first)) return { kind, name: first };
  return undefined;
}

/**
 * Who somebody is whatever his role and scope: `dp/PS1DP1`, `site/PS1`, `admin/bob`, `client/pc1`.
 * What is revoked, and what enrollment is given to.
 */
export function holderOf(identity: PeerIdentity): string {
  switch (identity.kind) {
    case 'site':
      return `site/${identity.siteCode}`;
    case 'dp':
      return `dp/${identity.dpId}`;
    case 'admin':
    case 'client':
      return `${identity.kind}/${identity.name}`;
  }
}

function toAdmin(
  uri: string,
  role: string,
  name: string,
  query: string | undefined,
): PeerIdentity | undefined {
  const known = adminRoles.find((one) => one === role);
  if (!known || !namePattern.test(name)) return undefined;
  const scope = query === undefined ? undefined : toScope(query);
  const identity: PeerIdentity = { kind: 'admin', role: known, name, ...(scope && { scope }) };
  // One way to write each: what is written otherwise is not understood, and so nobody.
  return toIdentityUri(identity) === uri ? identity : undefined;
}

function toScope(query: string): AdminScope | undefined {
  const parts = query.split('&').map((part) => part.split('=', 2) as [string, string?]);
  const valuesOf = (key: string) =>
    parts.flatMap(([name, value]) => (name === key && value ? [value] : []));
  const scope = { siteCodes: valuesOf('site'), groupNames: valuesOf('group') };
  const count = scope.siteCodes.length + scope.groupNames.length;
  if (count !== parts.length || count > scopePartsMax) return undefined;
  const isRight =
    scope.siteCodes.every((code) => parseSiteCode(code)) &&
    scope.groupNames.every((name) => parseObjectName(name));
  return isRight ? scope : undefined;
}

function toQuery(scope: AdminScope | undefined): string {
  if (!scope) return '';
  const sites = [...new Set(scope.siteCodes)].sort().map((code) => `site=${code}`);
  const groups = [...new Set(scope.groupNames)].sort().map((name) => `group=${name}`);
  return `?${[...sites, ...groups].join('&')}`;
}
