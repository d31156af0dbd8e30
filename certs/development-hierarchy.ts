import { X509Certificate } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type IssuedCertificate,
  issueLeafWithKey,
  issueRoot,
} from '../shared/certificates/certificate-issuing.ts';
import { WaybillError } from '../shared/domain/errors.ts';
import { type PeerIdentity, toIdentityUri } from '../shared/domain/peer-identity.ts';
import type { PeerCredentialFiles } from '../shared/rpc/peer-credentials.ts';
import { readPair, writePair } from './key-pair-files.ts';

const dayMs = 24 * 60 * 60_000;
const authorityDays = 3_650;

/** What is broken about a certificate that a test of trust needs. */
export type Flaw = 'expired' | 'not-yet-valid' | 'no-identity' | 'two-identities';

/** Who gets certificates, and where they go. */
export interface DevelopmentHierarchyRequest {
  /** Made when it is not there. What is in it already stays as it is. */
  readonly directory: string;
  readonly identities: readonly PeerIdentity[];
  /** How long certificates are valid. @default 30 */
  readonly days?: number;
  /** Makes broken certificates, beside the sound ones of the same identities. For tests of trust. */
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
 * @throws CERTIFICATE_INVALID when the directory holds a certificate without its key, or one of the
 * same name for another identity (an administrator's other role)
 */
export async function issueDevelopmentHierarchy(
  request: DevelopmentHierarchyRequest,
): Promise<DevelopmentCertificate[]> {
  await mkdir(request.directory, { recursive: true, mode: 0o700 });
  const authority = await openAuthority(request.directory);
  const issued: DevelopmentCertificate[] = [];
  for (const identity of request.identities) {
    issued.push(await openLeaf(request, authority, identity));
  }
  return issued;
}

async function openAuthority(directory: string): Promise<IssuedCertificate> {
  const files = { certificateFile: join(directory, 'ca.crt'), keyFile: join(directory, 'ca.key') };
  const existing = await readPair(files);
  if (existing) return existing;
  const made = await issueRoot({
    ...{ name: 'Waybill development CA', pathLength: 0 },
    ...toValidity(authorityDays),
  });
  await writePair(files, made);
  return made;
}

async function openLeaf(
  { directory, days = 30, flaw }: DevelopmentHierarchyRequest,
  authority: IssuedCertificate,
  identity: PeerIdentity,
): Promise<DevelopmentCertificate> {
  const commonName = nameOf(identity);
  const path = join(directory, flaw ? `${commonName}.${flaw}` : commonName);
  const files = { certificateFile: `${path}.crt`, keyFile: `${path}.key` };
  const uris = urisOf(identity, flaw);
  const existing = await readPair(files);
  if (existing) checkNames(files.certificateFile, existing.certificate, uris);
  else {
    const validity = toValidity(days, flaw);
    await writePair(files, await issueLeafWithKey(authority, { commonName, uris, ...validity }));
  }
  return { identity, isNew: !existing, caFile: join(directory, 'ca.crt'), ...files };
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

/** What is there already stays; so it must be what was asked for. */
function checkNames(path: string, pem: string, uris: readonly string[]): void {
  const names = new X509Certificate(pem).subjectAltName?.split(', ') ?? [];
  const found = names.filter((name) => name.startsWith('URI:')).map((name) => name.slice(4));
  if (found.join() === uris.join()) return;
  const reason = `it is there already, for ${found.join()}; remove it to have one for ${uris.join()}`;
  throw new WaybillError({ code: 'CERTIFICATE_INVALID', path, reason });
}

function toValidity(days: number, flaw?: Flaw): { notBefore: Date; notAfter: Date } {
  const nowMs = Date.now();
  if (flaw === 'expired') {
    return { notBefore: new Date(nowMs - 2 * dayMs), notAfter: new Date(nowMs - dayMs) };
  }
  // One that is made after its holder was revoked counts: it begins in this second.
  const fromMs = flaw === 'not-yet-valid' ? nowMs + dayMs : nowMs;
  return { notBefore: new Date(fromMs), notAfter: new Date(nowMs + days * dayMs) };
}

function urisOf(identity: PeerIdentity, flaw: Flaw | undefined): string[] {
  const own = toIdentityUri(identity);
  if (flaw === 'no-identity') return [];
  return flaw === 'two-identities' ? [own, 'waybill://admin/full/mallory'] : [own];
}
