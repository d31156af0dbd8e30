/** A root's word on a trust bundle. */
export interface RootSignature {
  /** Which root: SHA-256 of the public key info of its certificate, hex. */
  readonly rootKeyId: string;
  /** ECDSA P-256 with SHA-256, DER, base64. */
  readonly signature: string;
}

/**
 * Which roots the hierarchy trusts: all there is to say of it, signed; the row of the replicated table
 * "trust bundles". Whoever trusts a root that signed it takes it, if its generation is higher than that of
 * what he has (docs/trust.md, 6).
 */
export interface TrustBundleRow {
  /** 1 for the first root of a hierarchy; one higher with each change. */
  readonly generation: number;
  /** PEM, the newest first: the one that signs site authorities. */
  readonly roots: readonly string[];
  readonly signedAtMs: number;
  readonly signatures: readonly RootSignature[];
}

/** The key of its only row. */
export const trustBundleKey = 'roots';

/** The newest certificate of a site's authority: the row of the replicated table "site authorities". */
export interface SiteAuthorityRow {
  readonly siteCode: string;
  /** PEM; believed only when a trusted root has signed it. */
  readonly certificate: string;
}
