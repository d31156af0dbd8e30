import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import {
  type DistributionPoint,
  distributionPointPriorityDefault,
} from '../../shared/domain/distribution-point.ts';
import { type CheckFailure, shortageOf } from '../../shared/domain/distribution-point-check.ts';
import type {
  PackageServerRows,
  PackageServerWork,
} from '../../shared/domain/package-server-work.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { CheckedDistributionPoint } from '../hierarchy-manager/distribution-point-checker.ts';
import type { StatusFacts } from '../status-manager/status-manager.ts';

/** What a job is made of. */
export interface JobOrder {
  readonly sitePackage: SitePackage;
  readonly distributionPoint: DistributionPoint;
  readonly rows: PackageServerRows;
  readonly work: Extract<PackageServerWork, { kind: 'job' }>;
  /** Absent for a DP that is not checked. */
  readonly checked: CheckedDistributionPoint | undefined;
}

/** Why the job will wait at first: what its DP's check found, or too little room there. */
export function checkFailureOf({ checked, ...order }: JobOrder): CheckFailure | undefined {
  if (!checked || checked.failure) return checked?.failure;
  if (order.work.action === 'remove') return undefined;
  const isFirst = (order.rows.status?.installedVersion ?? 0) === 0;
  const { freeBytes } = checked.health;
  // What an update or a repair needs is known only once the DP has been asked file by file.
  const neededBytes = isFirst ? sizeBytesOf(order.sitePackage) : 0;
  return shortageOf(order.distributionPoint.dpId, { freeBytes, neededBytes });
}

/** The job as Package Transfer Manager takes it over. */
export function toJob(
  { sitePackage, distributionPoint, work, checked }: JobOrder,
  facts: { jobSerial: number; failure: CheckFailure | undefined; nowMs: number },
): DistributionJob {
  const totalBytes = work.action === 'remove' ? 0 : sizeBytesOf(sitePackage);
  return {
    jobSerial: facts.jobSerial,
    packageId: sitePackage.packageId,
    sourceVersion: work.sourceVersion,
    dpId: distributionPoint.dpId,
    action: work.action,
    state: 'pending',
    ...(facts.failure && { waitingReason: facts.failure.waitingReason }),
    reason: facts.failure?.reason ?? '',
    priority: sitePackage.properties.priority,
    dpPriority: checked?.health.dpPriority ?? distributionPointPriorityDefault,
    order: 0,
    createdAtMs: facts.nowMs,
    startedAtMs: 0,
    updatedAtMs: facts.nowMs,
    restartAtMs: 0,
    tryCount: 0,
    totalBytes,
    remainingBytes: totalBytes,
    bytesSent: 0,
    endedAtMs: 0,
  };
}

/** 2391, 2342, 2357: the check was not passed, distribution has begun, there is a job. */
export function jobReports(job: DistributionJob, failure: CheckFailure | undefined): StatusFacts[] {
  const { packageId, sourceVersion, dpId } = job;
  const about = { packageId, sourceVersion, dpId };
  const reports: StatusFacts[] = [];
  if (failure) {
    reports.push({ ...about, messageId: 2391, insertionStrings: [dpId, failure.reason] });
  }
  if (job.action !== 'remove') {
    reports.push({ ...about, messageId: 2342, insertionStrings: [packageId, dpId] });
  }
  reports.push({ ...about, messageId: 2357, insertionStrings: [packageId, dpId] });
  return reports;
}

function sizeBytesOf(sitePackage: SitePackage): number {
  return sitePackage.sources.reduce((sum, { content }) => sum + (content?.sizeBytes ?? 0), 0);
}
