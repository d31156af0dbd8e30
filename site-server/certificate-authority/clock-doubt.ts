import { X509Certificate } from 'node:crypto';
import type { TrustBundle } from '../../shared/certificates/trust-bundle.ts';
import { toMomentText } from '../../shared/domain/moment-text.ts';
import { lifeOf } from '../../shared/rpc/certificate-trust.ts';
import { readAuthority } from './authority-files.ts';

/**
 * Why the top's clock is wrong, or was when it signed what it has, as the end of a sentence; undefined when nothing
 * there says so. By a clock that is behind, sites would change to a new root before all have heard of it; by one that is
 * ahead, only when that time has come.
 *
 * @param place.directory `<data>/authority`
 * @throws CERTIFICATE_INVALID when the authority there cannot be read
 */
export async function clockDoubtOf(
  place: { readonly directory: string; readonly nowMs: number },
  { roots, signedAtMs }: TrustBundle,
): Promise<string | undefined> {
  const { directory, nowMs } = place;
  const isOfFuture = signedAtMs > nowMs;
  const beginsMs = isOfFuture ? 0 : await beginningOfAuthority(directory);
  if (!isOfFuture && beginsMs <= nowMs) return undefined;
  const what = isOfFuture
    ? `its roots were signed at ${toMomentText(signedAtMs)}`
    : `its authority begins at ${toMomentText(beginsMs)}`;
  const way =
    isOfFuture && roots.length > 1
      ? '"waybill-site rotate-root --force" signs both roots again, with the time of now'
      : '--force goes by it all the same';
  return `${what}, and by the clock it is ${toMomentText(nowMs)}; set the clock, or, if it is right now, ${way}`;
}

async function beginningOfAuthority(directory: string): Promise<number> {
  const content = await readAuthority(directory);
  return content ? lifeOf(new X509Certificate(content.authority.certificate)).notBeforeMs : 0;
}
