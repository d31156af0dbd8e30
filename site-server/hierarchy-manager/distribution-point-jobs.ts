import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** Keys of the open jobs of a DP. */
export async function openJobsOf(
  store: Pick<StateStore, 'records'>,
  dpId: string,
): Promise<string[]> {
  const keys: string[] = [];
  for await (const [key, job] of store.records(keySpaces.distributionJobs).list()) {
    if (job.dpId === dpId) keys.push(key);
  }
  return keys;
}

/** The changes after which whoever runs these jobs looks at them again. */
export function lookAgainAt(
  notifier: Pick<ChangeNotifier, 'notification'>,
  jobKeys: readonly string[],
): Change[] {
  return jobKeys.map((key) => notifier.notification('distribution-job', key));
}
