/**
 * Validates packages in the library of the site server itself (PKG-8), one after another. What is damaged
 * of a package that this site publishes is read from its source again, by an ordinary update; a package of
 * another site is asked for again there; then it is looked at once more. Stores "own library validations": what is still to be done, so that it goes on after
 * a crash.
 */
import type { ContentValidation } from '../../shared/content-validation/content-validation.ts';
import type { ValidationReport } from '../../shared/domain/content-validation.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { isForeign, withUpdateAccepted } from '../../shared/domain/package-processing.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import {
  type OwnLibraryValidation,
  toWishId,
  type ValidationOrder,
  validationRoundsMax,
} from '../../shared/domain/validation-request.ts';
import {
  isUnsound,
  type ValidationResult,
  withRepaired,
} from '../../shared/domain/validation-result.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { OwnContents } from '../hierarchy-manager/own-contents.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import { ownResultMessages } from './validation-messages.ts';

export interface OwnValidationsNeeds {
  readonly validation: Pick<ContentValidation, 'validate'>;
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly packages: PackageStore;
  readonly contents: Pick<OwnContents, 'damaged' | 'isToCome'>;
  readonly status: StatusReporter;
  readonly siteCode: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How often it is looked whether it came again, and after a full disk. */
const lookMs = 2_000;

export class OwnValidations implements Component {
  readonly #needs: OwnValidationsNeeds;
  readonly #stopping = new AbortController();
  readonly #wake = new WakeSignal();
  #loop: Promise<void> = Promise.resolve();

  constructor(needs: OwnValidationsNeeds) {
    this.#needs = needs;
  }

  async start(): Promise<void> {
    this.#wake.wake();
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  /**
   * It is on disk when this resolves. One that is still open is answered by its result, too.
   *
   * @param uuid a fresh one
   * @returns the name of the wish
   */
  async request(
    packageId: string,
    { uuid, ...order }: Omit<ValidationOrder, 'wishId'> & { readonly uuid: string },
  ): Promise<string> {
    const { clock, packages, store } = this.#needs;
    const wished = await packages.turn(packageId, async () => {
      const open = await this.#rows.get(packageId);
      const wishId = toWishId([open?.wishId], { nowMs: clock.nowMs(), uuid });
      const repair = order.repair || open?.repair === true;
      const serial = Math.max(clock.nowMs(), (open?.serial ?? 0) + 1);
      const row = { ...order, wishId, repair, packageId, serial, afterRequestCount: 0 };
      await store.write([this.#rows.put(packageId, row)], { sync: true });
      return wishId;
    });
    this.#wake.wake();
    return wished;
  }

  /**
   * What makes the copy of this site be looked at, and brought again where it is damaged: for the batch of
   * whoever sends all of it to a DP again. Call `look` once that is written.
   */
  async mendingChanges(packageId: string, wishId: string): Promise<Change[]> {
    const open = await this.#rows.get(packageId);
    if (open?.repair) return [];
    const { clock } = this.#needs;
    const next = toWishId([open?.wishId], { nowMs: clock.nowMs(), uuid: wishId });
    const order = { wishId: next, repair: true, bytesPerSecond: 0 };
    const serial = Math.max(clock.nowMs(), (open?.serial ?? 0) + 1);
    return [this.#rows.put(packageId, { ...order, packageId, serial, afterRequestCount: 0 })];
  }

  /** Begins with what is asked for. */
  look(): void {
    this.#wake.wake();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const { clock, logger } = this.#needs;
    try {
      for (;;) {
        await this.#wake.wait(signal);
        let isWaiting = false;
        try {
          isWaiting = await this.#workAll();
        } catch (err) {
          if (!isErrorWithCode(err, 'DISK_FULL')) throw err;
          logger.warn({ err }, 'Disk of the site server is full');
          isWaiting = true;
        }
        if (!isWaiting) continue;
        await clock.sleep(lookMs, signal);
        this.#wake.wake();
      }
    } catch (error) {
      if (!(isAbortError(error) && signal.aborted)) throw error;
    }
  }

  /** @returns whether one waits for its source to be read */
  async #workAll(): Promise<boolean> {
    const rows: OwnLibraryValidation[] = [];
    for await (const [, row] of this.#rows.list()) rows.push(row);
    let isWaiting = false;
    for (const row of rows) isWaiting = (await this.#work(row)) === 'wait' || isWaiting;
    return isWaiting;
  }

  async #work(row: OwnLibraryValidation): Promise<'wait' | 'done'> {
    const { packages, store } = this.#needs;
    const { packageId, afterRequestCount } = row;
    const sitePackage = await packages.packages.get(packageId);
    if (sitePackage && sitePackage.handledRequestCount < afterRequestCount) return 'wait';
    const isAfterMending = (row.round ?? 0) > 0;
    if (isAfterMending && (await this.#needs.contents.isToCome(packageId))) return 'wait';
    if (!sitePackage || sitePackage.sourceVersion === 0) {
      await store.write([this.#rows.delete(packageId)], { sync: false });
      return 'done';
    }
    await this.#end(row, await this.#reportOf(row));
    return 'done';
  }

  async #reportOf({ packageId, serial, bytesPerSecond }: OwnLibraryValidation) {
    const demand = { packageId, jobSerial: serial, bytesPerSecond };
    const words = this.#needs.validation.validate(demand, this.#stopping.signal);
    for await (const word of words) if (word.kind === 'report') return word.report;
    throw new Error('A validation ends with a report');
  }

  async #end(row: OwnLibraryValidation, report: ValidationReport): Promise<void> {
    const { packages, store, status } = this.#needs;
    await packages.turn(row.packageId, async () => {
      const sitePackage = await packages.packages.get(row.packageId);
      const isCurrent = (await this.#rows.get(row.packageId))?.serial === row.serial;
      const changes: Change[] = isCurrent ? [this.#rows.delete(row.packageId)] : [];
      if (sitePackage) {
        const { result, found, next } = await this.#ending(row, { report, sitePackage, isCurrent });
        changes.push(this.#results.put(this.#keyOf(row.packageId), result), ...next);
        for (const facts of ownResultMessages(report, found))
          changes.push(...status.message(facts));
      }
      await store.write(changes, { sync: false });
    });
    this.#wake.wake();
  }

  async #ending(
    row: OwnLibraryValidation,
    facts: {
      readonly report: ValidationReport;
      readonly sitePackage: SitePackage;
      /** Whether nobody has asked for it anew meanwhile: then that one goes on with it. */
      readonly isCurrent: boolean;
    },
  ): Promise<{ result: ValidationResult; found: ValidationResult; next: Change[] }> {
    const { report, sitePackage, isCurrent } = facts;
    const nowMs = this.#needs.clock.nowMs();
    const found = this.#resultOf(row, { report, sitePackage, nowMs });
    if (!isUnsound(found)) return { result: await this.#sound(row, found), found, next: [] };
    const round = (row.round ?? 0) + 1;
    const failure = failureOf(row, { sitePackage, round });
    const isToCome = failure === undefined;
    const result = isToCome ? found : { ...found, failure };
    const damage = { reason: damageText(found), isToCome };
    const next = isForeign(sitePackage)
      ? await this.#needs.contents.damaged(row.packageId, damage)
      : [];
    if (isToCome && isCurrent)
      next.push(...this.#againChanges({ ...row, round }, sitePackage, nowMs));
    return { result, found: result, next };
  }

  /** What the rounds before have found, and has come again, was repaired. */
  async #sound(row: OwnLibraryValidation, found: ValidationResult): Promise<ValidationResult> {
    if ((row.round ?? 0) === 0) return found;
    const before = await this.#results.get(this.#keyOf(row.packageId));
    return before?.wishId === row.wishId ? withRepaired(found, before) : found;
  }

  /** It is looked at again once it has come: from its source, or from the site that publishes it. */
  #againChanges(row: OwnLibraryValidation, sitePackage: SitePackage, nowMs: number): Change[] {
    const { packages, notifier } = this.#needs;
    const again = { ...row, serial: row.serial + 1 };
    if (isForeign(sitePackage)) return [this.#rows.put(row.packageId, again)];
    const updating = withUpdateAccepted(sitePackage, nowMs);
    const afterRequestCount = updating.acceptedRequestCount;
    return [
      ...packages.put(updating),
      notifier.notification('package', row.packageId),
      this.#rows.put(row.packageId, { ...again, afterRequestCount }),
    ];
  }

  #resultOf(
    { packageId, wishId }: OwnLibraryValidation,
    facts: { report: ValidationReport; sitePackage: SitePackage; nowMs: number },
  ): ValidationResult {
    const { report, sitePackage, nowMs } = facts;
    const { sources, sourceVersion } = sitePackage;
    const isHere = report.heldVersion === sourceVersion;
    const fileCount = sources.reduce((sum, { content }) => sum + (content?.fileCount ?? 0), 0);
    const { damagedCount, missingCount, mendedCount, files } = report;
    return {
      ...{ packageId, siteCode: this.#needs.siteCode, dpId: '', sourceVersion, wishId },
      checkedAtMs: nowMs,
      fileCount: isHere ? report.fileCount : fileCount,
      damagedCount,
      missingCount: isHere ? missingCount : Math.max(1, fileCount),
      repairedCount: mendedCount,
      files,
    };
  }

  #keyOf(packageId: string): string {
    return joinKey(packageId, this.#needs.siteCode, '');
  }

  get #results() {
    return this.#needs.store.records(keySpaces.validationResults);
  }

  get #rows() {
    return this.#needs.store.records(keySpaces.ownLibraryValidations);
  }
}

/** Why what is damaged is not brought again by itself; undefined: it is. */
function failureOf(
  { repair }: OwnLibraryValidation,
  { sitePackage, round }: { sitePackage: SitePackage; round: number },
): string | undefined {
  const { packageId, sourceSiteCode, reason } = sitePackage;
  const isOfOther = isForeign(sitePackage);
  if (!repair) {
    return isOfOther
      ? `"waybill retry --package ${packageId}" brings it again from site ${sourceSiteCode}`
      : `"waybill package update ${packageId}" reads its source again`;
  }
  if (round < validationRoundsMax) return undefined;
  const what = isOfOther
    ? `it came again from site ${sourceSiteCode}`
    : 'its source was read again';
  return `${what}, and did not bring it back${reason ? `: ${reason}` : ''}`;
}

function damageText({ siteCode, damagedCount, missingCount }: ValidationResult): string {
  const what = damagedCount === 1 ? 'file' : 'files';
  return `the copy of site ${siteCode} is damaged: ${damagedCount} ${what} damaged, ${missingCount} missing`;
}
