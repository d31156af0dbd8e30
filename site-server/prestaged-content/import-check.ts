import { WaybillError } from '../../shared/domain/errors.ts';
import { type PackageVersion, sourceSiteOf } from '../../shared/domain/package.ts';
import { isLeaving } from '../../shared/domain/package-processing.ts';
import { isWordOfSource, refusalOfBase } from '../../shared/domain/prestaged-content.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type {
  PrestagedBeginning,
  PrestagedHead,
} from '../../shared/prestaged-file/prestaged-file-format.ts';
import type { SignatureRefusal, SignedText } from '../site-identity/site-identity-keeper.ts';

/** What a site knows that a prestaged file is held against. */
export interface ImportGround {
  readonly siteCode: string;
  /** What the source site has published, as far as it is known here. */
  readonly published: SitePackage | undefined;
  /** What this site's library holds. */
  readonly held: PackageVersion | undefined;
  readonly signatureRefusal: (text: SignedText) => SignatureRefusal | undefined;
}

/** Why a file may not be imported: words that end a sentence, or a failure with a code of its own. */
export type ImportRefusal = string | WaybillError;

const signatureWords = {
  'key-unknown': 'the key it is signed with is none of a site that is known in this hierarchy',
  'key-retired':
    'the site that made it has retired the key it is signed with; expected a file that is exported anew',
  signature: 'its signature is not right: it was altered',
} as const satisfies Record<SignatureRefusal, string>;

/**
 * Why a prestaged file is not taken at this site, from its beginning alone: who signed it, whose package
 * it is, and whether its version can be stored on top of what is here. Undefined when it may be
 * read, each byte of which is checked then.
 */
export function refusalOfImport(
  beginning: PrestagedBeginning,
  ground: ImportGround,
): ImportRefusal | undefined {
  const { head, keyId, signedBytes: bytes, signature } = beginning;
  const { siteCode } = head.identity;
  const signed = { siteCode, keyId, bytes, signature, signedAtMs: head.madeAtMs };
  const refusal = ground.signatureRefusal(signed);
  if (refusal !== undefined) return `${signatureWords[refusal]} (site ${siteCode}, key ${keyId})`;
  return refusalOfSource(head, ground) ?? refusalOfVersion(head, ground.held);
}

function refusalOfSource(
  head: PrestagedHead,
  { siteCode, published }: ImportGround,
): ImportRefusal | undefined {
  const { packageId, sourceVersion, packageHash, identity } = head;
  const sourceSiteCode = sourceSiteOf(packageId);
  if (sourceSiteCode === siteCode) {
    return `package ${packageId} is made at site ${siteCode} itself; expected a package of another site`;
  }
  if (published && isLeaving(published)) {
    const { state } = published;
    const expected = 'not being deleted';
    return new WaybillError({ code: 'PACKAGE_STATE_CONFLICT', packageId, state, expected });
  }
  const version = { sourceVersion, packageHash, sourceSiteCode };
  const made = { ...version, exportingSiteCode: identity.siteCode };
  // Of a version that has not been heard of yet, the Despooler asks once it has been.
  const isAhead = (published?.sourceVersion ?? 0) < sourceVersion;
  if (isAhead || isWordOfSource(made, published)) return undefined;
  return published?.sourceVersion === sourceVersion
    ? `its version ${sourceVersion} is another one than site ${sourceSiteCode} has published`
    : `site ${identity.siteCode} cannot speak for version ${sourceVersion}; expected version ${published?.sourceVersion}, or a file made by site ${sourceSiteCode}`;
}

function refusalOfVersion(
  { packageId, sourceVersion: offered, baseVersion, packageHash }: PrestagedHead,
  held: PackageVersion | undefined,
): ImportRefusal | undefined {
  const heldVersion = held?.sourceVersion ?? 0;
  if (heldVersion > offered) {
    return new WaybillError({ code: 'VERSION_DOWNGRADE', packageId, offered, held: heldVersion });
  }
  if (heldVersion === offered) {
    return held?.packageHash === packageHash
      ? undefined
      : `other content of version ${offered} is stored here already`;
  }
  return refusalOfBase({ packageId, baseVersion, heldVersion });
}
