import { endWatch, showWhile } from './display.ts';
import { toJobRecord } from './job-record.ts';
import { JobView } from './job-view.ts';
import type { Session } from './session.ts';

/** Shows jobs as they change until the administrator interrupts, also over restarts of the site. */
export async function watchJobs(
  session: Session,
  filter: { packageId: string; dpId: string },
): Promise<void> {
  const { admin, clock, output, serverAddress, timeZone } = session;
  const { siteCode } = await admin.ask('getSite', {});
  const view = new JobView({ siteCode, serverAddress, clock, timeZone, paint: output.paint });
  try {
    await showWhile(session, { view, keep: true }, (changed) =>
      follow(session, { filter, view, changed }),
    );
  } catch (error) {
    endWatch(session, error, 'the jobs go on');
  }
}

async function follow(
  { admin, output, serverAddress }: Session,
  needs: {
    filter: { packageId: string; dpId: string };
    view: JobView;
    changed: () => void;
  },
): Promise<void> {
  const { filter, view, changed } = needs;
  for await (const event of admin.watch('watchJobs', () => filter)) {
    if (event.kind === 'change') {
      const job = toJobRecord(event.item);
      output.record(job);
      view.apply(job);
    } else {
      view.setPresent(event.kind === 'back');
      if (!output.isLive) output.note(presenceText(serverAddress, event.kind === 'back'));
    }
    changed();
  }
}

function presenceText(address: string, isBack: boolean): string {
  return isBack
    ? `the site server at ${address} is back`
    : `the site server at ${address} went away; waiting for it`;
}
