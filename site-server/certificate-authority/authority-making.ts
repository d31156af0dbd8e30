import { X509Certificate } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  type IssuedCertificate,
  issueRoot,
  issueSiteAuthority,
  type Validity,
} from '../../shared/certificates/certificate-issuing.ts';
import { newPrivateKey, publicKeyInfoOf } from '../../shared/certificates/certificate-requests.ts';
import { type FileOwner, makeSecretDirectory } from '../../shared/certificates/secret-files.ts';
import { signTrustBundle } from '../../shared/certificates/trust-bundle.ts';
import { syncDirectories } from '../../shared/content-library/file-system-sync.ts';
import { rootNameOf } from '../../shared/domain/certificate-authority.ts';
import { lifeOf } from '../../shared/rpc/certificate-trust.ts';
import { type AuthoritySettings, beginsEarlyMs, daysToMs } from './authority-config.ts';
import { writeAuthority, writeBundle } from './authority-files.ts';
import { writeRootKey } from './root-keys.ts';

/** What a new hierarchy is made with. */
export interface NewAuthority {
  /** The site at the top. */
  readonly siteCode: string;
  readonly nowMs: number;
  readonly settings: AuthoritySettings;
  /** Of the root's key; none: it is not encrypted. */
  readonly passphrase?: string | undefined;
  readonly owner?: FileOwner | undefined;
}

/**
 * Makes the authority of a new hierarchy: its root, and the authority of the site at its top. The directory
 * appears whole, by one rename; a crash before that leaves `<directory>.new`, which the next try removes.
 */
export async function makeTopAuthority(directory: string, facts: NewAuthority): Promise<void> {
  const { siteCode, nowMs, settings, owner } = facts;
  const unfinished = `${directory}.new`;
  await rm(unfinished, { recursive: true, force: true });
  await makeSecretDirectory(unfinished, owner);
  const root = await newRoot(siteCode, 1, { nowMs, days: settings.rootDays });
  const roots = [root.certificate];
  const bundle = signTrustBundle({ generation: 1, roots, signedAtMs: nowMs }, [root]);
  await writeRootKey(unfinished, root, facts);
  await writeBundle(unfinished, bundle, owner);
  const authority = await newAuthority(root, siteCode, { nowMs, days: settings.siteAuthorityDays });
  await writeAuthority(unfinished, authority, owner);
  await rename(unfinished, directory);
  await syncDirectories(dirname(directory), [dirname(directory)]);
}

interface Life {
  readonly nowMs: number;
  readonly days: number;
}

/**
 * A root for the generation of trust bundles that it comes with. One that follows another begins when that one
 * began, and ends no earlier: where that counts, it does, also when it is made by a wrong clock. It may be the only
 * one from now on.
 *
 * @param beforePem the root before it
 */
export function newRoot(
  siteCode: string,
  generation: number,
  life: Life,
  beforePem?: string,
): Promise<IssuedCertificate> {
  const validity = beforePem === undefined ? validityOf(life) : validityAfter(beforePem, life);
  return issueRoot({ name: rootNameOf(siteCode, generation), ...validity });
}

function validityAfter(beforePem: string, { nowMs, days }: Life): Validity {
  const { notBeforeMs, notAfterMs } = lifeOf(new X509Certificate(beforePem));
  // By a clock that is far behind it would have ended long ago.
  const { notAfter } = validityOf({ nowMs, days });
  return {
    notBefore: new Date(notBeforeMs),
    notAfter: new Date(Math.max(notAfter.getTime(), notAfterMs)),
  };
}

async function newAuthority(
  root: IssuedCertificate,
  siteCode: string,
  life: Life,
): Promise<IssuedCertificate> {
  const key = await newPrivateKey();
  const request = { siteCode, publicKey: publicKeyInfoOf(key), ...validityOf(life) };
  return { certificate: await issueSiteAuthority(root, request), key };
}

function validityOf({ nowMs, days }: Life): Validity {
  return {
    notBefore: new Date(nowMs - beginsEarlyMs),
    notAfter: new Date(nowMs + daysToMs(days)),
  };
}
