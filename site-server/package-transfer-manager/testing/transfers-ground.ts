import type { DistributionJob } from '../../../shared/domain/distribution-job.ts';
import { TestTransfers } from './test-transfers.ts';

/** The rooms of the site of the present test: each test has its own. */
export let test: TestTransfers;

/** The DPs of most sites here, all of them standard. */
export const letters = ['A', 'B', 'C', 'D', 'E', 'F', 'G'];

/** Each test of the suite that calls this begins with a site that has these DPs, and ends with it gone. */
export function openBeforeEach({ standard = [], pull = [] }: Partial<DpIds>): void {
  beforeEach(async function () {
    this.timeout(10_000);
    test = await TestTransfers.open();
    await test.addDistributionPoints(...standard);
    await test.addPullDistributionPoints(...pull);
  });
  afterEach(async function () {
    this.timeout(10_000);
    await test[Symbol.asyncDispose]();
  });
}

/** DPs of a site, by kind. */
interface DpIds {
  readonly standard: readonly string[];
  readonly pull: readonly string[];
}

/** Hands a job of DP A over, unless it is said otherwise. */
export function addJob(
  jobSerial: number,
  facts: Partial<DistributionJob> = {},
): Promise<DistributionJob> {
  return test.addJob({ jobSerial, dpId: 'A', ...facts });
}

/** Serials of the jobs that run, in order. */
export function running(): number[] {
  return [...test.runs.keys()].sort((a, b) => a - b);
}
