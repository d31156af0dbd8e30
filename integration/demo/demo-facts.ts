/** What a demo asks of a site to say how it went. */
import type { AdminChannel } from '../network.ts';

/** How a package came to a DP. */
export interface DpResult {
  readonly id: string;
  readonly kind: 'standard' | 'pull';
  readonly state: string;
  /** Compared byte for byte, modes and times included. */
  readonly verified: boolean;
  readonly bytesSent: number;
  readonly seconds: number;
}

export interface PackageFacts {
  readonly files: number;
  readonly bytes: number;
}

/** A version of a package on its way to a DP. */
interface OnItsWay {
  readonly packageId: string;
  readonly dpId: string;
  readonly sourceVersion: number;
}

/** The job that brought a version to a DP; asked of the DP's own site. */
export async function jobResultOf(
  admin: AdminChannel,
  { packageId, dpId, sourceVersion }: OnItsWay,
): Promise<Pick<DpResult, 'state' | 'bytesSent' | 'seconds'>> {
  const filter = { packageId, dpId, history: true };
  for await (const job of admin.serverStream('listJobs', filter, {})) {
    if (job.sourceVersion !== sourceVersion) continue;
    const seconds = (Number(job.endedAtMs) - Number(job.startedAtMs)) / 1000;
    const state = job.state === 'JOB_STATE_COMPLETE' ? 'installed' : job.state;
    return { state, bytesSent: Number(job.bytesSent), seconds };
  }
  throw new Error(`${dpId} has no job for version ${sourceVersion}`);
}

export async function packageFactsOf(
  admin: AdminChannel,
  packageId: string,
): Promise<PackageFacts> {
  const found = await admin.unary('getPackage', { packageId }, { deadlineMs: 10_000 });
  return { files: Number(found.fileCount), bytes: Number(found.sizeBytes) };
}

/** Resolves when all of these DPs have the version. @throws when one has failed */
export async function installedOn(
  admin: AdminChannel,
  packageId: string,
  { dpIds, version }: { readonly dpIds: readonly string[]; readonly version: number },
): Promise<void> {
  const waiting = new Set(dpIds);
  for await (const one of admin.serverStream('watchPackageStatus', { packageId }, {})) {
    if (one.state === 'PACKAGE_STATUS_STATE_INSTALL_FAILED') throw new Error(one.reason);
    if (one.installedVersion >= version) waiting.delete(one.dpId);
    if (waiting.size === 0) return;
  }
}
