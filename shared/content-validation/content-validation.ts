/**
 * Validates the packages of a content library (PKG-8): reads every file again, at low priority and a
 * limited rate, sets aside what is damaged, and tells what was found. Called by the DP provider for the
 * site, and by a site server for its own library. Stores the table "content validations": a row a package,
 * with the place a validation goes on from. A crash leaves that; who asks again, for the same job, hears
 * the rest, or the same answer once more.
 */
import type { ContentLibrary } from '../content-library/content-library.ts';
import type { LibraryPackage } from '../content-library/package-library.ts';
import {
  beginValidation,
  type ContentValidationState,
  type ValidationProgress,
  type ValidationReport,
} from '../domain/content-validation.ts';
import { isErrorWithCode, WaybillError } from '../domain/errors.ts';
import { ignoreAbort, workIsOver } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Component } from '../runtime/component.ts';
import type { Logger } from '../runtime/logger.ts';
import { SerialQueue } from '../runtime/serial-queue.ts';
import { keySpaces } from '../state-store/key-space.ts';
import type { StateStore } from '../state-store/state-store.ts';
import { FileChecks } from './file-checks.ts';
import { ValidationPass } from './validation-pass.ts';

export interface ContentValidationNeeds {
  readonly library: ContentLibrary;
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface ContentValidationConfig {
  /** How fast it reads when nobody says. @default 20,000,000 */
  readonly validationBytesPerSecond: number;
}

/** What is to be validated. */
export interface ValidationDemand {
  readonly packageId: string;
  /** Names the validation: the same one goes on, another one begins anew. */
  readonly jobSerial: number;
  /** 0: as configured. */
  readonly bytesPerSecond: number;
}

/** What is told meanwhile, and at last. */
export type ValidationWord =
  | { readonly kind: 'progress'; readonly progress: ValidationProgress }
  | { readonly kind: 'report'; readonly report: ValidationReport };

/** How often progress is told: also to say that it goes on. */
const tellMs = 1_000;

interface RunningValidation {
  readonly jobSerial: number;
  readonly abort: AbortController;
  readonly ended: Promise<unknown>;
}

export class ContentValidation implements Component {
  readonly #needs: ContentValidationNeeds;
  readonly #config: ContentValidationConfig;
  readonly #checks: FileChecks;
  readonly #turns = new SerialQueue();
  readonly #running = new Map<string, RunningValidation>();
  readonly #stopping = new AbortController();

  constructor(needs: ContentValidationNeeds, config: ContentValidationConfig) {
    const { library, clock } = needs;
    this.#needs = needs;
    this.#config = config;
    const fileLibraryDirectory = library.layout.fileLibrary;
    this.#checks = new FileChecks({ fileLibraryDirectory, clock });
  }

  /** Forgets what was found of packages that are not here any more. */
  async start(): Promise<void> {
    const { library, store, logger } = this.#needs;
    const gone = [];
    for await (const [packageId] of this.#states.list()) {
      if (!(await library.getPackage(packageId))) gone.push(this.#states.delete(packageId));
    }
    await store.write(gone, { sync: false }).catch((err: unknown) => {
      // They harm nobody, and the next start looks again.
      if (!isErrorWithCode(err, 'DISK_FULL')) throw err;
      logger.warn({ err }, 'What was found of packages that are gone could not be forgotten');
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.allSettled([...this.#running.values()].map(({ ended }) => ended));
    await this.#checks.stop();
  }

  /**
   * Validates a package, one after another; goes on for as long as somebody listens.
   *
   * @param signal whoever asked is not there any more: the place is kept
   * @throws ACTION_SUPERSEDED when a later validation of the package has begun; AbortError
   */
  async *validate(demand: ValidationDemand, signal: AbortSignal): AsyncGenerator<ValidationWord> {
    await this.#takeOver(demand);
    const abort = new AbortController();
    const either = AbortSignal.any([signal, abort.signal, this.#stopping.signal]);
    const told = { progress: { doneBytes: 0, totalBytes: 0, unsoundCount: 0 }, isOver: false };
    const work = this.#turns
      .run(() => this.#work(demand, either, told))
      .finally(() => {
        told.isOver = true;
        abort.abort(workIsOver);
      });
    const running = { jobSerial: demand.jobSerial, abort, ended: Promise.allSettled([work]) };
    this.#running.set(demand.packageId, running);
    try {
      while (!told.isOver) {
        yield { kind: 'progress', progress: told.progress };
        await this.#needs.clock.sleep(tellMs, either).catch(ignoreAbort);
        if (either.aborted) break;
      }
      yield { kind: 'report', report: await work };
    } finally {
      abort.abort(workIsOver);
      await running.ended;
      if (this.#running.get(demand.packageId) === running) {
        this.#running.delete(demand.packageId);
      }
    }
  }

  /** Of two who ask, the later one is heard: the call of the other may be dead without knowing. */
  async #takeOver({ packageId, jobSerial }: ValidationDemand): Promise<void> {
    const running = this.#running.get(packageId);
    if (!running) return;
    if (running.jobSerial > jobSerial) {
      const newestJobSerial = running.jobSerial;
      throw new WaybillError({ code: 'ACTION_SUPERSEDED', packageId, jobSerial, newestJobSerial });
    }
    running.abort.abort();
    await running.ended;
  }

  async #work(
    demand: ValidationDemand,
    signal: AbortSignal,
    told: { progress: ValidationProgress },
  ): Promise<ValidationReport> {
    const { library, logger } = this.#needs;
    const version = await library.getPackage(demand.packageId);
    if (!version) return reportOf(undefined, emptyState(demand));
    const begin = await this.#stateOf(demand, version);
    if (begin.isDone) return reportOf(version, begin);
    this.#checks.setRate(demand.bytesPerSecond || this.#config.validationBytesPerSecond);
    const totalBytes = version.contents.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    let readBytes = 0;
    const tell = (): void => {
      const { doneBytes, damagedCount, missingCount } = pass.state;
      const unsoundCount = damagedCount + missingCount;
      const reached = Math.min(totalBytes, Math.max(doneBytes, begin.doneBytes + readBytes));
      told.progress = { doneBytes: reached, totalBytes, unsoundCount };
    };
    const needs = {
      ...{ ...this.#needs, checks: this.#checks },
      save: (state: ContentValidationState) => this.#save(state),
      onProgress: (bytes: number) => {
        readBytes += bytes;
        tell();
      },
    };
    const pass = new ValidationPass(needs, begin, signal);
    tell();
    const { packageId, jobSerial } = demand;
    logger.info({ packageId, jobSerial }, 'Validation of a package began');
    const isSame = await pass.run(version);
    const found = isSame ? version : await library.getPackage(packageId);
    const report = reportOf(found, pass.state);
    logger.info({ packageId, jobSerial, ...countsOf(report) }, 'Validation of a package ended');
    return report;
  }

  async #stateOf(
    { packageId, jobSerial }: ValidationDemand,
    { packageHash }: LibraryPackage,
  ): Promise<ContentValidationState> {
    const kept = await this.#states.get(packageId);
    if (kept?.jobSerial === jobSerial && kept.packageHash === packageHash) return kept;
    const startedAtMs = this.#needs.clock.nowMs();
    return beginValidation({ packageId, jobSerial, packageHash, startedAtMs });
  }

  async #save(state: ContentValidationState): Promise<void> {
    await this.#needs.store.write([this.#states.put(state.packageId, state)], { sync: false });
  }

  get #states() {
    return this.#needs.store.records(keySpaces.contentValidations);
  }
}

function emptyState({ packageId, jobSerial }: ValidationDemand): ContentValidationState {
  return beginValidation({ packageId, jobSerial, packageHash: '', startedAtMs: 0 });
}

function reportOf(
  version: LibraryPackage | undefined,
  state: ContentValidationState,
): ValidationReport {
  const { fileCount, files, alsoUsedBy } = state;
  return {
    heldVersion: version?.sourceVersion ?? 0,
    heldHash: version?.packageHash ?? '',
    ...{ fileCount, files, alsoUsedBy },
    ...countsOf(state),
  };
}

function countsOf(
  counts: Pick<
    ValidationReport,
    'damagedCount' | 'missingCount' | 'mendedCount' | 'damagedDeltaCount' | 'damagedManifestCount'
  >,
) {
  const { damagedCount, missingCount, mendedCount } = counts;
  const { damagedDeltaCount, damagedManifestCount } = counts;
  return { damagedCount, missingCount, mendedCount, damagedDeltaCount, damagedManifestCount };
}
