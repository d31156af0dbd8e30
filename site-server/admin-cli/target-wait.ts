import { isAbortError } from '../../shared/runtime/abort-error.ts';
import { isLoss } from './admin.ts';
import { CommandFailure } from './command-failure.ts';
import { showWhile } from './display.ts';
import { toJobRecord } from './job-record.ts';
import { type PackageStatusRecord, toPackageStatusRecord } from './package-status-record.ts';
import type { Session } from './session.ts';
import { type AwaitedTargets, TargetsView } from './targets-view.ts';

/** The message by which a site says that it could not take a DP. */
const refusedDpId = 9006;

/** Besides the watch, all rows are read so often: a row that went before the watch began. */
const rereadMs = 5_000;

/** Targets, and the site at which it is seen what becomes of them. */
export interface SeenTargets extends AwaitedTargets {
  readonly session: Session;
  /** Whose a DP is. */
  readonly siteOf: (dpId: string) => string;
}

/**
 * The final rows, once every distribution point has come to an end, with progress meanwhile; those of one
 * site after those of another.
 *
 * @throws CommandFailure TARGETS_FAILED naming those on which it failed, with their reasons
 */
export async function whenOnAllTargets(
  all: readonly SeenTargets[],
): Promise<PackageStatusRecord[]> {
  const views: TargetsView[] = [];
  for (const { session, siteOf, ...targets } of all) {
    const { clock, output } = session;
    const view = new TargetsView({ targets, clock, paint: output.paint });
    views.push(view);
    await showWhile(session, { view, keep: false }, (changed) =>
      follow({ session, siteOf }, view, changed),
    );
  }
  const failures = views.flatMap((view) => view.failures);
  const [first] = all;
  if (!first || failures.length === 0) return views.flatMap(({ status }) => status);
  const reasons = failures.map(({ dpId, reason }) => `${dpId} (${reason})`).join(', ');
  const { packageId } = first;
  const message = `Package ${packageId} failed on ${reasons}`;
  throw new CommandFailure('TARGETS_FAILED', message, { packageId, failures });
}

/** Feeds the view from three sides until all targets have ended. */
async function follow(
  { session, siteOf }: Pick<SeenTargets, 'session' | 'siteOf'>,
  view: TargetsView,
  changed: () => void,
): Promise<void> {
  const ended = new AbortController();
  const signal = AbortSignal.any([session.signal, ended.signal]);
  const told = (): void => {
    changed();
    if (view.hasEnded) ended.abort();
  };
  const feeds = [
    followStatus(session, { view, signal, told }),
    followJobs(session, { view, signal, told }),
    reread(session, { view, signal, told, siteOf }),
  ];
  try {
    await Promise.all(feeds);
  } catch (error) {
    if (!view.hasEnded || !isAbortError(error)) throw error;
  } finally {
    ended.abort();
    await Promise.allSettled(feeds);
  }
}

interface Feed {
  readonly view: TargetsView;
  readonly signal: AbortSignal;
  readonly told: () => void;
}

async function followStatus({ admin }: Session, { view, signal, told }: Feed): Promise<void> {
  const request = () => ({ packageId: view.packageId });
  for await (const event of admin.watch('watchPackageStatus', request, signal)) {
    if (event.kind === 'change') view.applyStatus(toPackageStatusRecord(event.item));
    else view.setPresent(event.kind === 'back');
    told();
  }
}

async function followJobs({ admin }: Session, { view, signal, told }: Feed): Promise<void> {
  const request = () => ({ packageId: view.packageId });
  for await (const event of admin.watch('watchJobs', request, signal)) {
    if (event.kind === 'change') view.applyJob(toJobRecord(event.item));
    told();
  }
}

async function reread(
  session: Session,
  { view, signal, told, siteOf }: Feed & Pick<SeenTargets, 'siteOf'>,
): Promise<void> {
  for (let isFirst = true; ; isFirst = false) {
    try {
      const request = { packageId: view.packageId };
      const rows = await session.admin.list('listPackageStatus', request, signal);
      view.applyAllStatus(rows.map(toPackageStatusRecord));
      // What was asked for a moment ago may be on its way to its site.
      if (!isFirst) await lookForRefusals(session, { view, signal, siteOf });
      told();
    } catch (error) {
      // The watches wait for the site server and say so.
      if (signal.aborted || !isLoss(error)) throw error;
    }
    await session.clock.sleep(rereadMs, signal);
  }
}

/** A DP that its own site could not take gets nothing, and no row says so: only a status message does. */
async function lookForRefusals(
  { admin }: Session,
  { view, signal, siteOf }: Pick<Feed, 'view' | 'signal'> & Pick<SeenTargets, 'siteOf'>,
): Promise<void> {
  for (const dpId of view.unheardIds) {
    const request = { dpId, siteCode: siteOf(dpId), messageId: refusedDpId, limit: 1 };
    const [newest] = await admin.list('listStatusMessages', request, signal);
    if (newest) view.applyRefusal(dpId, newest.text);
  }
}
