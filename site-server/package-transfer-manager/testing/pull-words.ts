import type { PullWord } from '../../../shared/domain/pull-effect.ts';
import type { PullResponse } from '../../../shared/domain/state-message.ts';
import type { StateReport__Output } from '../../../shared/rpc/generated/waybill/v1/StateReport.ts';
import type { Change } from '../../../shared/state-store/state-store.ts';
import type { TestTransfers } from './test-transfers.ts';

export const pullPackageId = 'PS100001';
/** What the success of a job must prove. */
export const pullHash = 'a'.repeat(64);

let serial = 0;

/** What P1 says of job 1, unless it says otherwise; each word later than the last. */
export function pullWord(facts: Partial<PullResponse>): PullWord {
  return {
    ...{ jobSerial: 1, dpId: 'P1', packageId: pullPackageId, state: 'progress', doneBytes: 0 },
    ...{ totalBytes: 0, receivedBytes: 0, packageHash: '', source: '', warnings: [] },
    place: { outboxMadeAtMs: 1, serial: ++serial },
    ...facts,
  };
}

/** What a pull DP answers when it is asked. */
export function pullReport(facts: Partial<StateReport__Output>): StateReport__Output {
  return {
    state: 'PULL_JOB_STATE_DOWNLOADING',
    doneBytes: '0',
    totalBytes: '0',
    receivedBytes: '0',
    packageHash: Buffer.alloc(0),
    error: null,
    ...facts,
  };
}

/** A job that P1 has, and the manager that waits to hear of it. */
export async function handOver(
  test: TestTransfers,
  jobSerial = 1,
  locations: () => Promise<Change[]> = async () => [],
): Promise<void> {
  await test.manager.start();
  const bytes = { totalBytes: 100, remainingBytes: 100 };
  await test.addJob({ jobSerial, dpId: 'P1', packageId: pullPackageId, ...bytes });
  const [run] = await test.untilRunning(jobSerial);
  run?.handOver({ expectedHash: pullHash, locations });
  // On disk: in memory it is so a moment before.
  await test.until(async () => (await test.row(jobSerial))?.sendAction !== undefined);
}
