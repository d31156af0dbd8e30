import { verify, type X509Certificate } from 'node:crypto';
import { publicKeyOf, refusalOfIdentity } from '../site-identity/identity-check.ts';
import type { PrestagedBeginning } from './prestaged-file-format.ts';

/**
 * Why a prestaged file is not believed by one who knows the hierarchy's CA and nothing else; undefined
 * when a site with a certificate by that CA, valid now, signed these very bytes with a key it had then.
 * That the key was retired, or the site left, since the file was made, it cannot know.
 */
export function refusalOfPrestagedFile(
  { head, signedBytes, signature, keyId }: PrestagedBeginning,
  trust: { readonly authorities: readonly X509Certificate[]; readonly nowMs: number },
): string | undefined {
  const { identity, madeAtMs } = head;
  const refusal = refusalOfIdentity(identity, { ...trust, siteCode: identity.siteCode });
  if (refusal !== undefined) {
    return `it is not of a site of this hierarchy: of the identity of site ${identity.siteCode}, ${refusal}`;
  }
  const key = identity.signingKeys.find((one) => one.keyId === keyId);
  const publicKey = key && publicKeyOf(key);
  if (!key || !publicKey) return `site ${identity.siteCode} has no signing key ${keyId}`;
  if (key.retiredAtMs > 0 && madeAtMs > key.retiredAtMs) {
    return `site ${identity.siteCode} had retired the signing key ${keyId} when it was made`;
  }
  if (verify(null, signedBytes, publicKey, signature)) return undefined;
  return `the signature of site ${identity.siteCode} is not right: it was altered`;
}
