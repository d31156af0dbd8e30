import { hashOf } from '../../../shared/content-library/content-hash.ts';
import { PieceSource } from '../../../shared/content-source/piece-source.ts';
import { pieceBytes } from '../../../shared/domain/content.ts';
import type { DistributionJob } from '../../../shared/domain/distribution-job.ts';
import { type ErrorCode, isErrorWithCode } from '../../../shared/domain/errors.ts';
import { FakeClock } from '../../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../../shared/testing/temporary-directory.ts';
import { testJob } from '../../../shared/testing/test-job.ts';
import { TestLibrary } from '../../../shared/testing/test-library.ts';
import { TransferArbiter } from '../../../shared/transfer-arbiter/transfer-arbiter.ts';
import { FileClaims } from '../file-claims.ts';
import { PushTransfer, type PushTransferNeeds } from '../push-transfer.ts';
import { TransferProgress } from '../transfer-progress.ts';
import { FakeDistributionPoint } from './fake-distribution-point.ts';

/** Two packages, and what is in them. */
export const packageId = 'PS100001';
export const otherId = 'PS100002';
export const big = Buffer.alloc(3 * pieceBytes + 9, 'b');
export const shared = Buffer.alloc(2 * pieceBytes, 's');
export const small = Buffer.from('small');

/** Whether it failed with one of these. */
export const code =
  (...codes: ErrorCode[]) =>
  (error: unknown) =>
    isErrorWithCode(error, ...codes);

/** What the site of the present test has: each test has its own. */
export let directory: TemporaryDirectory;
export let test: TestLibrary;
export let clock: FakeClock;
export let pieceSource: PieceSource;
export let claims: FileClaims;

/** To which it transfers. */
export let dp: FakeDistributionPoint;

/** Aborts the transfers of the test. */
export let controller: AbortController;

/** What transfers have slept for: 60 s beside their streams, else for another transfer. */
export let sleptMs: number[];

let arbiter: TransferArbiter;
let isOver: boolean;

/** Each test of the suite that calls this begins with an empty library and an empty DP, and ends with both gone. */
export function openBeforeEach(): void {
  beforeEach(async function () {
    this.timeout(10_000);
    isOver = false;
    sleptMs = [];
    directory = await TemporaryDirectory.create();
    clock = new FakeClock();
    test = await TestLibrary.open({ directory: directory.path, clock });
    pieceSource = new PieceSource({
      fileLibraryDirectory: test.library.layout.fileLibrary,
      cacheBytesMax: 0,
      openFilesMax: 4,
    });
    dp = new FakeDistributionPoint(test.library);
    claims = new FileClaims();
    arbiter = new TransferArbiter(clock);
    controller = new AbortController();
  });
  afterEach(async function () {
    this.timeout(10_000);
    isOver = true;
    await pieceSource.stop();
    await test[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });
}

/** Transfers that are made from now on read here. */
export function readFrom(source: PieceSource): void {
  pieceSource = source;
}

/** A transfer of `packageId`, unless it is said otherwise, and what it tells. */
export function transfer(
  facts: Partial<DistributionJob> = {},
  to = dp,
  permit: PushTransferNeeds['permit'] = arbiter.open(['dp/PS1DP1'], 2),
) {
  const job = testJob({ packageId, ...facts });
  const totals: number[] = [];
  const progress: TransferProgress = new TransferProgress({
    monotonicMs: () => clock.monotonicMs(),
    onChange: () => totals.push(progress.totalBytes),
    job,
  });
  /** What the DP had been asked when it was told that sending begins. */
  const begunAfter: string[] = [];
  const onBegun = async () => {
    begunAfter.push(...to.calls);
  };
  const sleep = (ms: number, signal: AbortSignal) => {
    sleptMs.push(ms);
    return clock.sleep(ms, signal);
  };
  const { library } = test;
  const needs = { library, pieceSource, channel: to.channel, claims, permit, sleep };
  const config = { lanesMax: 3, callDeadlineMs: 1_000, contentDeadlineMs: 60_000 };
  const run = () =>
    new PushTransfer(needs, config, {
      ...{ job, progress, signal: controller.signal, onBegun },
    }).run();
  return { run, progress, totals, begunAfter };
}

/** Lets the transfer work until the condition is true, or the test is over; time stands still. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition() && !isOver) await new Promise(setImmediate);
}

/** What was sent to the DP, by name. */
export const namesSent = () => dp.sent.flatMap(({ names }) => names);

/** How often these bytes were sent: small files, or pieces. */
export const countOf = (bytes: Buffer) =>
  namesSent().filter((name) => name.startsWith(hashOf(bytes))).length;
