import type { TransferControls } from './transfer-controls.ts';

/** Place of a site in the hierarchy. */
export type SiteKind = 'central-administration' | 'primary' | 'secondary';

/** The text itself when it is a site code (three of A-Z and 0-9), else undefined. */
export function parseSiteCode(text: string): string | undefined {
  return /^[A-Z0-9]{3}$/.test(text) ? text : undefined;
}

/** A site as administrators define it: the row of the replicated table "sites". */
export interface SiteDefinition {
  readonly siteCode: string;
  readonly kind: SiteKind;
  /** Empty at the top. */
  readonly parentSiteCode: string;
  /** host:port of its server. */
  readonly address: string;
  readonly description: string;
}

/** A key a site signs its instructions with. */
export interface SigningKey {
  /** First 16 hex digits of the BLAKE3-256 of the public key. */
  readonly keyId: string;
  /** Ed25519, SPKI DER, base64. */
  readonly publicKey: string;
  readonly createdAtMs: number;
  /** From then on it signs nothing new; 0: the key in use. */
  readonly retiredAtMs: number;
}

/**
 * What a site says of itself: the row of the replicated table "site identities". Its signature is by
 * the key of the site's certificate, so nobody who passes it on can change it.
 */
export interface SiteIdentity {
  readonly siteCode: string;
  /** host:port by which others reach its server. */
  readonly address: string;
  readonly agentVersion: string;
  /** Newest first. */
  readonly signingKeys: readonly SigningKey[];
  readonly signedAtMs: number;
  /** PEM of the site's certificate. */
  readonly certificate: string;
  /** Over all of the above, base64. */
  readonly signature: string;
}

/** The ways from one site to another: the row of the replicated table "routes". */
export interface SiteRoute {
  readonly fromSiteCode: string;
  readonly toSiteCode: string;
  /** host:port each, tried in order; none: the address the site says it has. */
  readonly addresses: readonly string[];
  /** When and how fast content may go this way (REP-4); absent: always, with no limit. */
  readonly controls?: TransferControls;
}
