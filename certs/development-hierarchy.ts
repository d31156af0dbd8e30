import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type AdminRole, type PeerIdentity, toIdentityUri } from '../shared/domain/peer-identity.ts';
import type { PeerCredentialFiles } from '../shared/rpc/peer-credentials.ts';
import { type IssuedCertificate, issueAuthority, issueLeaf } from './certificate-issuing.ts';
import { readPair, writePair } from './key-pair-files.ts';

/** Certificates are valid from a little earlier, for machines whose clocks are behind. */
const clockSkewMs = 5 * 60_000;
const authorityDays = 3_650;
const dayMs = 24 * 60 * 60_000;

/** What is broken about a certificate that a test of trust needs. */
export type Flaw = 'expired' | 'not-yet-valid' | 'no-identity' | 'two-identities';

/** Who gets certificates, and where they go. */
export interface DevelopmentHierarchyRequest {
  /** Made when it is not there. What is in it already stays as it is. */
  readonly directory: string;
  readonly identities: readonly PeerIdentity[];
  /** How long certificates are valid. @default 30 */
  readonly days?: number;
  /** Makes every certificate that is issued now a broken one, for tests of trust. */
  readonly flaw?: Flaw;
}

/** One certificate of a hierarchy. */
export interface DevelopmentCertificate extends PeerCredentialFiles {
  readonly identity: PeerIdentity;
  /** False when it was there already. */
  readonly isNew: boolean;
}

/**
 * A hierarchy for development and tests: a CA and a certificate for each identity. Run again on the
 * same directory it uses the CA that is there, issues what is missing and changes nothing else. To
 * get certificates of a foreign CA, take another directory.
 *
 * @returns the certificates, in the order of `identities`
 * @throws CERTIFICATE_INVALID when the directory holds a certificate without its key
 */
export async function issueDevelopmentHierarchy(
  request: DevelopmentHierarchyRequest,
): Promise<DevelopmentCertificate[]> {
  const { directory, days = 30 } = request;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const authority = await openAuthority(directory);
  const issued: DevelopmentCertificate[] = [];
  for (const identity of request.identities) {
    const files = filesOf(directory, identity);
    const isNew = (await readPair(files)) === undefined;
    if (isNew) {
      const validity = validityOf(days, request.flaw);
      const commonName = nameOf(identity);
      const uris = urisOf(identity, request.flaw);
      await writePair(files, await issueLeaf(authority, { commonName, uris, ...validity }));
    }
    issued.push({ identity, isNew, ...files });
  }
  return issued;
}

/** Where the certificate of an identity lies in the directory of a development hierarchy. */
export function filesOf(directory: string, identity: PeerIdentity): PeerCredentialFiles {
  const name = nameOf(identity);
  return {
    caFile: join(directory, 'ca.crt'),
    certificateFile: join(directory, `${name}.crt`),
    keyFile: join(directory, `${name}.key`),
  };
}

/** Name of the files and of the subject: `site-PS1`, `dp-PS1DP1`, `admin-alice`. */
function nameOf(identity: PeerIdentity): string {
  switch (identity.kind) {
    case 'site':
      return `site-${identity.siteCode}`;
    case 'dp':
      return `dp-${identity.dpId}`;
    case 'admin':
    case 'client':
      return `${identity.kind}-${identity.name}`;
  }
}

async function openAuthority(directory: string): Promise<IssuedCertificate> {
  const files = { certificateFile: join(directory, 'ca.crt'), keyFile: join(directory, 'ca.key') };
  const existing = await readPair(files);
  if (existing) return existing;
  const made = await issueAuthority('Waybill development CA', validityOf(authorityDays, undefined));
  await writePair(files, made);
  return made;
}

function validityOf(days: number, flaw: Flaw | undefined): { notBefore: Date; notAfter: Date } {
  const nowMs = Date.now();
  if (flaw === 'expired') {
    return { notBefore: new Date(nowMs - 2 * dayMs), notAfter: new Date(nowMs - dayMs) };
  }
  const fromMs = flaw === 'not-yet-valid' ? nowMs + dayMs : nowMs - clockSkewMs;
  return { notBefore: new Date(fromMs), notAfter: new Date(nowMs + days * dayMs) };
}

function urisOf(identity: PeerIdentity, flaw: Flaw | undefined): string[] {
  const own = toIdentityUri(identity);
  if (flaw === 'no-identity') return [];
  return flaw === 'two-identities' ? [own, 'waybill://admin/full/mallory'] : [own];
}
