import type { DistributionJob } from '../../../shared/domain/distribution-job.ts';
import type { JobSelection, SteeringVerb } from '../../../shared/domain/job-steering.ts';
import type { FakeRun } from './test-transfers.ts';
import { addJob, openBeforeEach, test } from './transfers-ground.ts';

/** No administrator's program goes away while its jobs are cancelled. */
export const never: AbortSignal = new AbortController().signal;

/** Each test of the suite that calls this begins with a site whose jobs may be steered; P is a pull DP. */
export function openSteeredBeforeEach(): void {
  openBeforeEach({ standard: ['A', 'B', 'C'], pull: ['P'] });
}

/** The open jobs that are meant, as they are now. */
export const select = (verb: SteeringVerb, selection: JobSelection = {}) =>
  test.steering.select(verb, selection);

/** Suspends those that are meant; returned as they are then. */
export const suspend = async (selection: JobSelection) =>
  test.steering.suspend(await select('suspend', selection));

/** The same for those that go on. */
export const resume = async (selection: JobSelection) =>
  test.steering.resume(await select('resume', selection));

/** Cancels, and collects what is answered. */
export const cancel = async (selection: JobSelection) =>
  collected(test.steering.cancel(await select('cancel', selection), never));

/** All that is answered of jobs that are cancelled. */
export async function collected(ended: AsyncIterable<DistributionJob>): Promise<DistributionJob[]> {
  const jobs: DistributionJob[] = [];
  for await (const job of ended) jobs.push(job);
  return jobs;
}

/** A new life of the site after a kill -9. */
export async function restart(): Promise<void> {
  await test.manager.stop();
  await test.makeComponents();
  await test.manager.start();
}

/** Job 1, which a DP has begun to take. */
export async function runningJob(facts: Partial<DistributionJob> = {}): Promise<FakeRun> {
  await test.manager.start();
  await addJob(1, facts);
  const [run] = await test.untilRunning(1);
  await run?.onBegun();
  return run as FakeRun;
}
