import { WaybillError } from '../../shared/domain/errors.ts';
import { CommandFailure } from './command-failure.ts';
import { hasEnded, isRunning, type JobRecord, toJobRecord, toReasonText } from './job-record.ts';
import type { PackageStatusRecord } from './package-status-record.ts';
import type { Session } from './session.ts';

/** So many sites are asked at most: each is a connection of its own. */
const askedSitesMax = 5;

/** What keeps a job, and says more than why it failed before, also without a sentence behind it. */
const holding: ReadonlySet<string> = new Set(['window-closed', 'suspended']);

/**
 * Why packages on their way to DPs wait, as `waybill jobs` says it: only the DP's site knows. A site that
 * cannot be asked is passed over.
 *
 * @param options.silent sites of which nothing is heard; they are not asked
 * @returns the reason of a row; empty where its job neither waits nor tries again
 */
export async function jobReasonsOf(
  session: Session,
  rows: readonly PackageStatusRecord[],
  { packageId, silent }: { readonly packageId: string; readonly silent: ReadonlySet<string> },
): Promise<(row: PackageStatusRecord) => string> {
  const siteCodes = new Set(rows.filter(isOnItsWay).map(({ siteCode }) => siteCode));
  const asked = [...siteCodes].filter((siteCode) => !silent.has(siteCode));
  const jobs = new Map<string, JobRecord>();
  // At once: a site that does not answer costs as long as several of them.
  const asking = asked.slice(0, askedSitesMax).map(async (siteCode) => {
    for (const job of await openJobsAt(session, { siteCode, packageId })) {
      if (job.action !== 'validate' && job.action !== 'cancel') {
        jobs.set(`${siteCode} ${job.packageId} ${job.dpId}`, job);
      }
    }
  });
  await Promise.all(asking);
  return (row) => {
    const job = isOnItsWay(row)
      ? jobs.get(`${row.siteCode} ${row.packageId} ${row.dpId}`)
      : undefined;
    return reasonOf(job, row);
  };
}

/** Of a job at work, or that has just ended, the row still tells why the try before failed: that holds no more. */
function reasonOf(job: JobRecord | undefined, row: PackageStatusRecord): string {
  if (job && saysMore(job, row)) return toReasonText(job);
  // Between the two questions it may have ended: of what had all, no job is left.
  const isGoingOn = job ? isRunning(job) : row.percent === 100;
  const isStale = isGoingOn && row.reason !== '' && row.state.endsWith('-retrying');
  return isStale ? `goes on now; before: ${row.reason}` : '';
}

/** Whether the job is to say why. One that only waits its turn says less than why it failed before. */
function saysMore(job: JobRecord, row: PackageStatusRecord): boolean {
  if (hasEnded(job)) return false;
  return job.reason !== '' || row.reason === '' || holding.has(job.waitingReason);
}

/** A DP is to get it or to lose it, and has neither done so nor failed. */
function isOnItsWay({ dpId, state }: PackageStatusRecord): boolean {
  return dpId !== '' && state !== 'installed' && state !== 'removed' && !state.endsWith('-failed');
}

async function openJobsAt(
  session: Session,
  { siteCode, packageId }: { readonly siteCode: string; readonly packageId: string },
): Promise<JobRecord[]> {
  try {
    const { admin } = await session.atSite(siteCode === '' ? undefined : siteCode);
    return (await admin.list('listJobs', { packageId })).map(toJobRecord);
  } catch (error) {
    const isOfSite = error instanceof WaybillError || error instanceof CommandFailure;
    if (!isOfSite || session.signal.aborted) throw error;
    return [];
  }
}
