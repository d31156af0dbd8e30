/** Tables of which every site keeps the rows it is to have, by their names on the wire. */
export type ReplicatedTable =
  | 'sites'
  | 'site-identities'
  | 'routes'
  | 'trust-bundles'
  | 'site-authorities'
  | 'hierarchy-distribution-points'
  | 'package-definitions'
  | 'package-requests'
  | 'package-assignments'
  | 'published-packages'
  | 'site-contents'
  | 'forwarding-failures'
  | 'site-package-status'
  | 'links'
  | 'distribution-point-groups'
  | 'group-members'
  | 'group-assignments'
  | 'group-wishes'
  | 'validation-requests'
  | 'validation-results'
  | 'audit-heads'
  | 'root-standings'
  | 'component-settings'
  | 'revocations';

/** Which sites a row travels to. */
export type ReplicationScope =
  | 'everywhere'
  /** To the parents of the site it is about, and to the source site of its package (REP-8). */
  | 'upward';

/** Which site's changes of a row are taken. */
export type ReplicationWriter =
  /** An administrator may change it at any site; the last writer wins. */
  | 'any site'
  /** The site named in this part of the key, from 0. */
  | { readonly siteInKeyPart: number }
  /** The site that the package ID in this part of the key begins with. */
  | { readonly packageInKeyPart: number };

export interface ReplicatedTableRule {
  readonly scope: ReplicationScope;
  readonly writer: ReplicationWriter;
}

/** The one register of what is replicated; keys are made by `joinKey`. */
export const replicatedTables = {
  /** siteCode */
  sites: { scope: 'everywhere', writer: 'any site' },
  /** siteCode */
  'site-identities': { scope: 'everywhere', writer: { siteInKeyPart: 0 } },
  /** from siteCode / to siteCode */
  routes: { scope: 'everywhere', writer: 'any site' },
  /** 'roots': what counts is who signed it */
  'trust-bundles': { scope: 'everywhere', writer: 'any site' },
  /** siteCode: the top writes it; what counts is that a root signed it */
  'site-authorities': { scope: 'everywhere', writer: 'any site' },
  /** dpId */
  'hierarchy-distribution-points': { scope: 'everywhere', writer: 'any site' },
  /** packageId */
  'package-definitions': { scope: 'everywhere', writer: 'any site' },
  /** packageId / siteCode */
  'package-requests': { scope: 'everywhere', writer: { siteInKeyPart: 1 } },
  /** packageId / dpId */
  'package-assignments': { scope: 'everywhere', writer: 'any site' },
  /** packageId: the package as its source site keeps it */
  'published-packages': { scope: 'everywhere', writer: { packageInKeyPart: 0 } },
  /** packageId / siteCode */
  'site-contents': { scope: 'upward', writer: { siteInKeyPart: 1 } },
  /** packageId / forwarding siteCode / final siteCode */
  'forwarding-failures': { scope: 'upward', writer: { siteInKeyPart: 1 } },
  /** packageId / siteCode / dpId, or '' for the site itself */
  'site-package-status': { scope: 'upward', writer: { siteInKeyPart: 1 } },
  /** linkName */
  links: { scope: 'everywhere', writer: 'any site' },
  /** groupName */
  'distribution-point-groups': { scope: 'everywhere', writer: 'any site' },
  /** groupName / dpId */
  'group-members': { scope: 'everywhere', writer: 'any site' },
  /** packageId / groupName */
  'group-assignments': { scope: 'everywhere', writer: 'any site' },
  /** packageId / dpId: the DP's site writes it, and a DP may move */
  'group-wishes': { scope: 'everywhere', writer: 'any site' },
  /** packageId / dpId */
  'validation-requests': { scope: 'everywhere', writer: 'any site' },
  /** packageId / siteCode / dpId, or '' for the site itself */
  'validation-results': { scope: 'upward', writer: { siteInKeyPart: 1 } },
  /** siteCode: the newest record of its audit trail */
  'audit-heads': { scope: 'upward', writer: { siteInKeyPart: 0 } },
  /** siteCode: who stands on an older root, of those it vouches for */
  'root-standings': { scope: 'upward', writer: { siteInKeyPart: 0 } },
  /** siteCode / settingName */
  'component-settings': { scope: 'everywhere', writer: 'any site' },
  /** siteCode where it was said / kind of holder / name */
  revocations: { scope: 'everywhere', writer: { siteInKeyPart: 0 } },
} as const satisfies Record<ReplicatedTable, ReplicatedTableRule>;
