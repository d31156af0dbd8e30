import { parseDistributionPointId } from './distribution-point.ts';
import { parseSiteCode } from './site.ts';

/** What an administrator's certificate lets its holder do. */
export type AdminRole = 'full' | 'operator' | 'read-only';

/** Who a certificate of the hierarchy speaks for: exactly one of these. */
export type PeerIdentity =
  | { readonly kind: 'site'; readonly siteCode: string }
  | { readonly kind: 'dp'; readonly dpId: string }
  | { readonly kind: 'admin'; readonly role: AdminRole; readonly name: string }
  | { readonly kind: 'client'; readonly name: string };

const adminRoles: readonly string[] = ['full', 'operator', 'read-only'] satisfies AdminRole[];
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$/;

/** The SAN URI that stands in the certificate, such as `waybill://dp/PS1DP1`. */
export function toIdentityUri(identity: PeerIdentity): string {
  switch (identity.kind) {
    case 'site':
      return `waybill://site/${identity.siteCode}`;
    case 'dp':
      return `waybill://dp/${identity.dpId}`;
    case 'admin':
      return `waybill://admin/${identity.role}/${identity.name}`;
    case 'client':
      return `waybill://client/${identity.name}`;
  }
}

/** The identity a SAN URI names, or undefined when it names none of ours. */
export function fromIdentityUri(uri: string): PeerIdentity | undefined {
  const [kind, ...rest] = uri.startsWith('waybill://')
    ? uri.slice('waybill://'.length).split('/')
    : [];
  const [first = '', second = ''] = rest;
  if (kind === 'site' && rest.length === 1 && parseSiteCode(first)) {
    return { kind, siteCode: first };
  }
  if (kind === 'dp' && rest.length === 1 && parseDistributionPointId(first)) {
    return { kind, dpId: first };
  }
  if (kind === 'admin' && rest.length === 2 && adminRoles.includes(first)) {
    return namePattern.test(second) ? { kind, role: first as AdminRole, name: second } : undefined;
  }
  if (kind === 'client' && rest.length === 1 && namePattern.test(first)) {
    return { kind, name: first };
  }
  return undefined;
}
