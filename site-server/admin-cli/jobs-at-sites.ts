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

interface SiteAnswer {
  readonly jobs: JobOfSite[];
  readonly failures: SiteFailure[];
}

/** No site waits for the answer of another one; what they say comes in the order of the sites. */
export async function atEachSite(
  session: Session,
  siteCodes: readonly string[],
  work: (session: Session) => Promise<JobRecord[]>,
): Promise<SiteAnswer> {
  const answers: Promise<SiteAnswer>[] = [];
  for (const siteCode of siteCodes) {
    const at = session.atSite(siteCode);
    answers.push(
      at.then(work).then(
        (found) => ({ jobs: found.map((job) => ({ ...job, siteCode })), failures: [] }),
        (error) => ({ jobs: [], failures: [{ siteCode, error }] }),
      ),
    );
    // The connected site says where each one is: not of all at once.
    await at.catch(() => {});
  }
  const answered = await Promise.all(answers);
  const failures = answered.flatMap((one) => one.failures);
  if (failures[0] && session.signal.aborted) throw failures[0].error;
  return { jobs: answered.flatMap((one) => one.jobs), failures };
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
