import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  askingWhereItIs,
  CertificateRenewal,
} from '../../shared/certificate-keeper/certificate-renewal.ts';
import { toKeptCertificate } from '../../shared/certificate-keeper/kept-certificate.ts';
import { mayComeBack } from '../../shared/certificate-keeper/own-identity.ts';
import { isKeptByAgent } from '../../shared/certificates/pair-file.ts';
import { isRenewalWanted, type KeepingRules } from '../../shared/domain/certificate-keeping.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { expirySoonMs } from '../../shared/domain/known-certificate.ts';
import { IdentityPlace } from '../../shared/enrollment/identity-place.ts';
import { authoritiesOf, chainOf } from '../../shared/rpc/certificate-trust.ts';
import { expectedSiteIfNamed } from '../../shared/rpc/expected-site.ts';
import {
  type PeerCredentialFiles,
  type PeerCredentials,
  readPeerCredentials,
  refusalOfCredentialTime,
} from '../../shared/rpc/peer-credentials.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { toDurationText } from '../../shared/runtime/duration-text.ts';
import { toSystemReason } from '../../shared/runtime/system-reason.ts';

/** What is around whoever uses his certificate. */
export interface OwnRenewalSurroundings {
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  readonly signal: AbortSignal;
  /** Takes a line for the one who uses it. */
  readonly tell: (line: string) => void;
  /** It was renewed just now. @param address host:port where, as far as is known */
  readonly onRenewed?: (address: string) => void;
}

/** As the agents' keepers have it. */
const graceMs = 30 * 24 * 3_600_000;
/** A script that calls `waybill` all the time does not ask each time. */
const tryMsMin = 10 * 60_000;
/** The same while his stands on an old root: that may be retired, and then no site that could say so takes it. */
const oldRootTryMsMin = 60_000;
/** How long a command may be held up by it. */
const askMsMax = 5_000;

/**
 * The credentials of whoever uses `waybill`, renewed by their old key when that is due (SEC-3). Nothing is said
 * of it, unless it does not work and little time is left.
 *
 * @param files.renewalAddress host:port of an enrollment port; absent: never renewed
 * @throws CERTIFICATE_INVALID naming the file, why, and what to do
 */
export async function ownCredentials(
  files: PeerCredentialFiles & { readonly renewalAddress: string | undefined },
  surroundings: OwnRenewalSurroundings,
): Promise<PeerCredentials> {
  const { clock, tell } = surroundings;
  const canRenew = files.renewalAddress !== undefined && isKeptByAgent(files);
  const found = await readPeerCredentials(files, {
    atAnyTime: true,
    isTakenWithoutRoot: (one) => canRenew && mayComeBack(one, clock.nowMs()),
    ...(isKeptByAgent(files) && { wayBack: newToken }),
  });
  const { notAfterMs, ...kept } = keptOf(found);
  const rules: KeepingRules = { canRenew, isOwnIssuer: false, graceMs };
  if (!isRenewalWanted({ ...kept, notAfterMs }, clock.nowMs(), rules)) {
    return counting(files, found, { surroundings, whatToDo: toWhatToDo(canRenew, undefined) });
  }
  const failure = await renewed(files, found, surroundings);
  if (failure === undefined) {
    surroundings.onRenewed?.(await renewedWhere(files));
    return readPeerCredentials(files, { nowMs: clock.nowMs() });
  }
  const leftMs = notAfterMs - clock.nowMs();
  if (leftMs >= 0 && leftMs <= expirySoonMs && failure !== '') {
    tell(`your certificate ends in ${toDurationText(leftMs)} and could not be renewed: ${failure}`);
  }
  return counting(files, found, { surroundings, whatToDo: toWhatToDo(canRenew, failure) });
}

/** Where a site said last that it renews certificates, if one did: it may be that which has. */
async function renewedWhere({
  certificateFile,
  renewalAddress = '',
}: PeerCredentialFiles & { readonly renewalAddress: string | undefined }): Promise<string> {
  const place = new IdentityPlace(dirname(certificateFile), certificateFile);
  return (await place.toldRenewalAddress().catch(() => undefined)) ?? renewalAddress;
}

/** The site whose authority has issued a certificate; empty: none has. */
export function issuerSiteOf(credentials: PeerCredentials): string {
  return keptOf(credentials).issuerSiteCode;
}

/** Whether a newer root is trusted than the one behind them: sites may take them no more. */
export function isOnOldRoot(credentials: PeerCredentials): boolean {
  return keptOf(credentials).isOnOldRoot;
}

/** @returns why not, undefined when it was renewed; empty: it was tried a moment ago */
async function renewed(
  files: PeerCredentialFiles & { readonly renewalAddress: string | undefined },
  found: PeerCredentials,
  { clock, signal }: OwnRenewalSurroundings,
): Promise<string | undefined> {
  const { certificateFile, renewalAddress: address = '' } = files;
  const place = new IdentityPlace(dirname(certificateFile), certificateFile);
  const { issuerSiteCode, notAfterMs, isOnOldRoot, isOfRetiredRoot } = keptOf(found);
  // No other site renews it: whoever else answers is not where he should be.
  const { expected } = expectedSiteIfNamed(issuerSiteCode || undefined);
  const roots = () => found.ca;
  const ask = askingWhereItIs({ address, place, roots, expected, deadlineMs: askMsMax });
  // Nobody waits at his terminal for a certificate to begin.
  const renewal = new CertificateRenewal({ place, ask, clock }, { beginsAheadMsMax: 0 });
  const triedAtMs = (await renewal.lastTriedAtMs()) ?? (await renewedAtMs(files));
  const pauseMs = isOnOldRoot ? oldRootTryMsMin : tryMsMin;
  const isFresh = triedAtMs !== undefined && Math.abs(clock.nowMs() - triedAtMs) < pauseMs;
  // One that is over lets nobody in: then it is worth a try.
  if (isFresh && notAfterMs > clock.nowMs() && !isOfRetiredRoot) return '';
  try {
    await renewal.renew(found, signal);
    return undefined;
  } catch (error) {
    if (error instanceof WaybillError) return error.message;
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    return toSystemReason(error);
  }
}

/**
 * When it was renewed, if that was since the roots last changed: a site may stand on the old root for a week
 * more, and gives a certificate that is to be followed again.
 */
async function renewedAtMs({
  certificateFile,
  caFile,
}: PeerCredentialFiles): Promise<number | undefined> {
  const [own, roots] = await Promise.all([stat(certificateFile), stat(caFile)]);
  return own.mtimeMs > roots.mtimeMs ? own.mtimeMs : undefined;
}

function keptOf({ certificate, ca }: PeerCredentials) {
  return toKeptCertificate(chainOf(certificate), authoritiesOf(ca));
}

/** Those that peers take. @throws CERTIFICATE_INVALID */
function counting(
  files: PeerCredentialFiles,
  found: PeerCredentials,
  facts: { readonly surroundings: OwnRenewalSurroundings; readonly whatToDo: string },
): PeerCredentials {
  const { certificateFile: path } = files;
  const nowMs = facts.surroundings.clock.nowMs();
  const refusal = keptOf(found).isOfRetiredRoot
    ? { path, reason: 'the root behind it counts no more' }
    : refusalOfCredentialTime(files, found, nowMs);
  if (refusal === undefined) return found;
  const reason = `${refusal.reason}; ${facts.whatToDo}`;
  throw new WaybillError({ code: 'CERTIFICATE_INVALID', path: refusal.path, reason });
}

const newToken = 'have a new token made and run "waybill enroll"';

function toWhatToDo(canRenew: boolean, failure: string | undefined): string {
  if (failure) return `it could not be renewed: ${failure}`;
  const anew = canRenew ? newToken : 'get another one';
  return `set the clock, if that is wrong; else ${anew}`;
}
