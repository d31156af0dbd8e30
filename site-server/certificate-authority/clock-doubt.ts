import { X509Certificate } from 'node:crypto';
import { readPairFile } from '../../shared/certificates/pair-file.ts';
import type { TrustBundle } from '../../shared/certificates/trust-bundle.ts';
import { toMomentText } from '../../shared/domain/moment-text.ts';
import { lifeOf } from '../../shared/rpc/certificate-trust.ts';
import { readAuthority } from './authority-files.ts';

/** Where the top keeps what it has signed, and the time by its clock. */
interface ClockPlace {
  /** `<data>/authority`. */
  readonly directory: string;
  /** Its own key and certificate; of somebody else's files none is looked at. */
  readonly agentFile: string | undefined;
  readonly nowMs: number;
}

/**
 * Why the top's clock is wrong, or was when it signed what it has, as the end of a sentence; undefined when nothing
 * there says so. By a clock that is behind, sites would change to a new root before all have heard of it; by one that is
 * ahead, only when that time has come.
 *
 * @throws CERTIFICATE_INVALID when the authority, or its own certificate, cannot be read
 */
export async function clockDoubtOf(
  { directory, agentFile, nowMs }: ClockPlace,
  { roots, signedAtMs }: TrustBundle,
): Promise<string | undefined> {
  const authority = (await readAuthority(directory))?.authority.certificate;
  const own = agentFile === undefined ? undefined : await readPairFile(agentFile);
  const moments = [
    ['its roots were signed at', signedAtMs],
    ['its authority begins at', beginningOf(authority)],
    ['its own certificate begins at', beginningOf(own?.certificates[0])],
  ] as const;
  const [what, laterMs] = moments.find(([, ms]) => ms > nowMs) ?? [];
  if (what === undefined || laterMs === undefined) return undefined;
  const way =
    signedAtMs > nowMs && roots.length > 1
      ? '"waybill-site rotate-root --force" signs both roots again, with the time of now'
      : '--force goes by it all the same';
  return `${what} ${toMomentText(laterMs)}, and by the clock it is ${toMomentText(nowMs)}; set the clock, or, if it is right now, ${way}`;
}

function beginningOf(pem: string | undefined): number {
  return pem === undefined ? 0 : lifeOf(new X509Certificate(pem)).notBeforeMs;
}
