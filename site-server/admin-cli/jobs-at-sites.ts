import { CommandFailure } from './command-failure.ts';
import type { JobRecord } from './job-record.ts';
import type { Session } from './session.ts';

/** A job, and the site whose job it is. */
export type JobOfSite = JobRecord & { readonly siteCode: string };

/** Of several sites each one is asked, whatever another one says. */
export interface SiteFailure {
  readonly siteCode: string;
  readonly error: unknown;
}

/** Asks each of these sites, one after another. */
export async function atEachSite(
  session: Session,
  siteCodes: readonly string[],
  work: (session: Session) => Promise<JobRecord[]>,
): Promise<{ jobs: JobOfSite[]; failures: SiteFailure[] }> {
  const jobs: JobOfSite[] = [];
  const failures: SiteFailure[] = [];
  for (const siteCode of siteCodes) {
    try {
      const found = await work(await session.atSite(siteCode));
      jobs.push(...found.map((job) => ({ ...job, siteCode })));
    } catch (error) {
      if (session.signal.aborted) throw error;
      failures.push({ siteCode, error });
    }
  }
  return { jobs, failures };
}

/** @throws what failed at a single site; CommandFailure TARGETS_FAILED naming all sites that failed of several */
export function throwFailures(
  { output }: Pick<Session, 'output'>,
  siteCodes: readonly string[],
  failures: readonly SiteFailure[],
): void {
  const [first, ...others] = failures;
  if (!first) return;
  for (const failure of others) output.note(toSiteText(failure));
  if (siteCodes.length === 1) throw first.error;
  const facts = {
    failures: failures.map((one) => ({ siteCode: one.siteCode, reason: toReason(one) })),
  };
  throw new CommandFailure('TARGETS_FAILED', toSiteText(first), facts);
}

function toSiteText(failure: SiteFailure): string {
  return `Site ${failure.siteCode}: ${toReason(failure)}`;
}

function toReason({ error }: SiteFailure): string {
  return error instanceof Error ? error.message : String(error);
}
