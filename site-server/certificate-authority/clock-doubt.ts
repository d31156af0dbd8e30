import { X509Certificate } from 'node:crypto';
import { readPairFile } from '../../shared/certificates/pair-file.ts';
import type { TrustBundle } from '../../shared/certificates/trust-bundle.ts';
import { toMomentText } from '../../shared/domain/moment-text.ts';
import { lifeOf } from '../../shared/rpc/certificate-trust.ts';
import { readAuthority, unlessInvalid } from './authority-files.ts';

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
 * ahead, only when that time has come. A file that cannot be read says nothing.
 */
export async function clockDoubtOf(
  { directory, agentFile, nowMs }: ClockPlace,
  { roots, signedAtMs }: TrustBundle,
): Promise<string | undefined> {
  const content = await readAuthority(directory).catch(unlessInvalid);
  const authority = content?.authority.certificate;
  const own = agentFile && (await readPairFile(agentFile).catch(unlessInvalid));
  const moments = [
    ['its roots were signed at', signedAtMs],
    ['its authority begins at', beginningOf(authority)],
    ['its own certificate begins at', beginningOf(own ? own.certificates[0] : undefined)],
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
