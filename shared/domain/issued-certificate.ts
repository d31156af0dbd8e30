/** A certificate that the authority of this site has issued. */
export interface IssuedCertificateRecord {
  /** Of an agent or a person, or the authority of a site below. */
  readonly kind: 'leaf' | 'authority';
  /** Hex, as X.509 has it. */
  readonly serialNumber: string;
  /** Such as `dp/PS1DP1`, see `holderOf`; of an authority its site. */
  readonly holder: string;
  /** Role and scope included. */
  readonly identityUri: string;
  readonly issuedAtMs: number;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** The revocation of the holder that was known when it was issued; 0: none; absent: issued by an older program. */
  readonly knownRevokedAtMs?: number;
  /** SHA-256 of the public key info of the root it stands on, hex. */
  readonly rootKeyId: string;
}
