import type { EnrollmentAnswer } from '../../shared/domain/enrollment.ts';
import type { PeerIdentity } from '../../shared/domain/peer-identity.ts';
import type { IssuedIdentity } from '../../shared/rpc/generated/waybill/v1/IssuedIdentity.ts';
import { siteKindNames } from '../admin-service/enum-tables.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { EnrolledHolders } from './enrolled-holders.ts';
import { type EnrollmentAuthority, toDer } from './enrollment-authority.ts';

/** What an answer is put together from. */
export interface IssuedIdentityComponents {
  readonly authority: EnrollmentAuthority;
  readonly holders: Pick<EnrolledHolders, 'addressOf'>;
  readonly sites: Pick<SiteDirectory, 'own' | 'tree'>;
  /** host:port by which others reach this site. */
  readonly siteAddress: () => string;
  /** host:port of its enrollment port. */
  readonly enrollmentAddress: () => string;
}

/** What somebody is told who was given a certificate: all it needs to begin. */
export async function toIssuedIdentity(
  components: IssuedIdentityComponents,
  identity: PeerIdentity,
  answer: EnrollmentAnswer,
): Promise<IssuedIdentity> {
  const { authority, holders } = components;
  const address = await holders.addressOf(identity);
  return {
    certificate: Buffer.from(answer.certificate, 'base64'),
    issuerCertificate: Buffer.from(answer.issuerCertificate, 'base64'),
    roots: authority.roots().map(toDer),
    rootsGeneration: authority.rootsGeneration,
    enrollmentAddress: components.enrollmentAddress(),
    address,
    ...placeOf(components, identity, address),
  };
}

function placeOf(
  { sites, siteAddress }: IssuedIdentityComponents,
  identity: PeerIdentity,
  address: string,
) {
  const { siteCode: own } = sites.own;
  if (identity.kind !== 'site') return { siteCode: own, siteAddress: siteAddress() };
  const { siteCode } = identity;
  const { parentSiteCode = '', kind = 'primary' } = sites.tree.get(siteCode) ?? {};
  const ofParent = sites.tree.get(parentSiteCode)?.address ?? '';
  const parentAddress = parentSiteCode === own ? siteAddress() : ofParent;
  const siteKind = siteKindNames[kind];
  return { siteCode, siteAddress: address, parentSiteCode, parentAddress, siteKind };
}
