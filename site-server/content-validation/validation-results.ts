import type { ValidationReport } from '../../shared/domain/content-validation.ts';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import type { PackageStatus } from '../../shared/domain/package-status.ts';
import type { TransferOutcome } from '../../shared/domain/package-status-moves.ts';
import type { PackageServer, SitePackage } from '../../shared/domain/site-package.ts';
import { validationRoundsMax } from '../../shared/domain/validation-request.ts';
import {
  asRepaired,
  isUnsound,
  type ValidationResult,
  withRepaired,
} from '../../shared/domain/validation-result.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { RecordStore } from '../../shared/state-store/record-store.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import { pendingStatus } from '../distribution-manager/hierarchy-wishes.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import { resultMessages } from './validation-messages.ts';
import { ownValidationGone } from './validations-gone.ts';

export interface ValidationResultsNeeds {
  readonly store: Pick<StateStore, 'records'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly packages: PackageStore;
  readonly status: StatusReporter;
  readonly siteCode: string;
}

const wishIdCharsMax = 80;

/** Ends the name of a look at what an administrator had brought again. */
const lookSuffix = '.again';

/** The rows that a result is about. */
interface Rows {
  readonly sitePackage: SitePackage | undefined;
  readonly server: PackageServer | undefined;
  readonly status: PackageStatus | undefined;
  readonly before: ValidationResult | undefined;
  /** The job that was to bring what the DP is to have was cancelled by an administrator. */
  readonly isCancelled: boolean;
}

/**
 * What a validation that has ended leads to: its result, status messages, the package's status on the DP,
 * and, unless told otherwise, that what is absent is brought again, as with any distribution. Called by
 * the taker of transfer results, in the package's turn; what it says goes into one batch, so a crash
 * leaves all of it or nothing.
 */
export class ValidationResults {
  readonly #needs: ValidationResultsNeeds;

  constructor(needs: ValidationResultsNeeds) {
    this.#needs = needs;
  }

  get #results(): RecordStore<ValidationResult> {
    return this.#needs.store.records(keySpaces.validationResults);
  }

  /** @returns makes the changes, to be called in one step with the write: serials rise in its order */
  async changesOf(job: DistributionJob, nowMs: number): Promise<() => Change[]> {
    const { packages } = this.#needs;
    const { packageId, dpId, validationReport: report } = job;
    const status = await packages.getStatus(packageId, dpId);
    const rows: Rows = {
      sitePackage: await packages.packages.get(packageId),
      server: await packages.getServer(packageId, dpId),
      status,
      before: await this.#results.get(this.#keyOf(packageId, dpId)),
      isCancelled: status !== undefined && (await this.#isCancelled(status)),
    };
    const others = report ? await this.#otherRequests(job, report, nowMs) : [];
    return () => [...this.#changes(job, rows, nowMs), ...others];
  }

  async #isCancelled({ state, jobSerial }: PackageStatus): Promise<boolean> {
    if (state !== 'install-failed') return false;
    const history = this.#needs.store.records(keySpaces.jobHistory);
    return (await history.get(joinKey(jobSerial)))?.state === 'cancelled';
  }

  /** What the end of a job that brought or removed content means for what was found before. */
  async changesAfter(
    { packageId, dpId, sourceVersion }: DistributionJob,
    outcome: TransferOutcome | undefined,
    nowMs: number,
  ): Promise<Change[]> {
    const before = await this.#results.get(this.#keyOf(packageId, dpId));
    if (!before || !outcome) return [];
    // Of what is not there any more, or is another version now, nothing is known.
    const isOther = outcome.messageId === 2330 && sourceVersion !== before.sourceVersion;
    if (!outcome.status || outcome.messageId === 2331 || isOther) {
      const { store, siteCode } = this.#needs;
      return ownValidationGone(store, { packageId, siteCode, dpId });
    }
    if (outcome.messageId !== 2330 || !isUnsound(before)) return [];
    // Files that were not looked at are no better known now: they are looked at.
    const look = before.isPartial ? await this.#lookAfter(before, nowMs) : [];
    return look ? [this.#put(asRepaired(before)), ...look] : [];
  }

  /**
   * A look at what could not be looked at, since a manifest was damaged that has come now; undefined when one is
   * asked for already, or when the manifest was damaged again and again.
   */
  async #lookAfter(before: ValidationResult, nowMs: number): Promise<Change[] | undefined> {
    const { store, notifier } = this.#needs;
    const { packageId, dpId, wishId = '' } = before;
    const requests = store.records(keySpaces.ownValidationRequests);
    const key = joinKey(packageId, dpId);
    const asked = (await requests.get(key))?.wishId ?? wishId;
    const isAsked = asked !== wishId && asked.startsWith(wishId);
    if (isAsked || wishId.includes(lookSuffix)) return undefined;
    const order = { repair: true, bytesPerSecond: 0, round: validationRoundsMax - 1 };
    const look = `${wishId.slice(0, wishIdCharsMax - lookSuffix.length)}${lookSuffix}`;
    return [
      requests.put(key, { packageId, dpId, ...order, wishId: look, wishedAtMs: nowMs }),
      notifier.notification('validation-request', packageId),
    ];
  }

  #changes(job: DistributionJob, rows: Rows, nowMs: number): Change[] {
    // Of what is not meant to be there any more nothing is told.
    if (!rows.sitePackage || rows.server?.intent !== 'installed') return [];
    const { validationReport: report } = job;
    if (!report) return this.#failureChanges(job, rows);
    const found = this.#resultOf(job, { ...rows, report, sitePackage: rows.sitePackage, nowMs });
    const result = withRoundsBefore(found, job, rows.before);
    const messages = resultMessages(job, report, found).flatMap((facts) => {
      return this.#needs.status.message(facts);
    });
    const followUp = isUnsound(result)
      ? this.#unsoundChanges(job, { ...rows, result, nowMs })
      : this.#soundChanges(job, rows, nowMs);
    return [this.#put(result), ...messages, ...followUp];
  }

  /** It told nothing: what was found before stays, and that it told nothing is told. */
  #failureChanges(job: DistributionJob, { before }: Rows): Change[] {
    const { packageId, dpId, sourceVersion, reason, validation } = job;
    const none = {
      ...{ packageId, dpId, sourceVersion, siteCode: this.#needs.siteCode, checkedAtMs: 0 },
      ...{ fileCount: 0, damagedCount: 0, missingCount: 0, repairedCount: 0, files: [] },
    };
    const wishId = validation?.wishId ?? '';
    const changes = [this.#put({ ...none, ...before, wishId, failure: reason || job.state })];
    if (job.state !== 'failed') return changes;
    const about = { packageId, sourceVersion, dpId };
    const insertionStrings = [packageId, `${sourceVersion}`, dpId, reason];
    return [
      ...changes,
      ...this.#needs.status.message({ messageId: 2383, ...about, insertionStrings }),
    ];
  }

  #resultOf(
    job: DistributionJob,
    found: Rows & { report: ValidationReport; sitePackage: SitePackage; nowMs: number },
  ): ValidationResult {
    const { report, sitePackage, status, nowMs } = found;
    const { packageId, dpId, validation } = job;
    const isOlder = isOfOlderVersion(report, job, status);
    const sourceVersion = isOlder ? report.heldVersion : job.sourceVersion;
    const rest = {
      ...{ packageId, dpId, sourceVersion, siteCode: this.#needs.siteCode },
      ...{ checkedAtMs: nowMs, wishId: validation?.wishId ?? '' },
    };
    const counts =
      isOlder || isOfJob(report, job, sitePackage) ? countsOf(report) : nothingThere(sitePackage);
    const result = { ...rest, ...counts };
    const failure = isUnsound(result) ? this.#keptFrom(job, found) : undefined;
    return { ...result, ...(failure !== undefined && { failure }) };
  }

  /** Why what is not whole is not brought again by itself; undefined: it is, or is not to be. */
  #keptFrom(
    { packageId, dpId, validation }: DistributionJob,
    { isCancelled, status }: Rows,
  ): string | undefined {
    if (!isCancelled || !validation?.repair) return undefined;
    const version = status?.targetVersion ?? 0;
    return `an administrator cancelled version ${version} for it: "waybill package distribute ${packageId} --dp ${dpId}" brings it`;
  }

  /** A package that was said not to be whole, and is. */
  #soundChanges(job: DistributionJob, { status, server }: Rows, nowMs: number): Change[] {
    if (status?.state !== 'install-failed' || server?.action !== 'none') return [];
    if (status.installedVersion !== job.sourceVersion) return [];
    const installed = { ...status, state: 'installed', reason: '', changedAtMs: nowMs } as const;
    return [this.#needs.packages.putStatus(installed)];
  }

  #unsoundChanges(
    job: DistributionJob,
    {
      sitePackage,
      server,
      status,
      result,
      nowMs,
      isCancelled,
    }: Rows & { result: ValidationResult; nowMs: number },
  ): Change[] {
    const { packages, notifier } = this.#needs;
    const { packageId, dpId, validation } = job;
    // What is on its way already brings what is absent.
    if (!sitePackage || !server || server.action !== 'none') return [];
    // What an administrator has cancelled is not brought back, and stays as it is.
    if (isCancelled) return [];
    if (validation?.repair) {
      const work = { dpId, isRemoval: false, status, nowMs };
      return [
        packages.putServer({ ...server, action: 'add', changedAtMs: nowMs }),
        packages.putStatus(pendingStatus(sitePackage, work)),
        notifier.notification('package', packageId),
      ];
    }
    if (!status) return [];
    const { damagedCount, missingCount } = result;
    const what = damagedCount === 1 ? 'file' : 'files';
    const reason = `validation: ${damagedCount} ${what} damaged, ${missingCount} missing`;
    const failed = { ...status, state: 'install-failed', reason, changedAtMs: nowMs } as const;
    return [packages.putStatus(failed)];
  }

  /** Other packages that lack a file now, and this one when its files could not be looked at. */
  async #otherRequests(
    job: DistributionJob,
    report: ValidationReport,
    nowMs: number,
  ): Promise<Change[]> {
    const { packages, store } = this.#needs;
    const { dpId, validation } = job;
    if (!validation) return [];
    const requests = store.records(keySpaces.ownValidationRequests);
    const changes: Change[] = [];
    const request = (packageId: string, round: number): void => {
      const wishId = `${validation.wishId}.${round}`.slice(0, wishIdCharsMax);
      const wish = { ...validation, packageId, dpId, wishId, round, wishedAtMs: nowMs };
      changes.push(
        requests.put(joinKey(packageId, dpId), wish),
        this.#needs.notifier.notification('validation-request', packageId),
      );
    };
    const round = (validation.round ?? 0) + 1;
    const isAgain = report.damagedManifestCount > 0 && validation.repair;
    if (isAgain && round < validationRoundsMax) request(job.packageId, round);
    // What is brought again for this package is whole for the others, too.
    if (validation.repair || (validation.round ?? 0) > 0) return changes;
    for (const packageId of report.alsoUsedBy) {
      if ((await packages.getServer(packageId, dpId))?.intent === 'installed')
        request(packageId, 1);
    }
    return changes;
  }

  #put(result: ValidationResult): Change {
    return this.#results.put(this.#keyOf(result.packageId, result.dpId), result);
  }

  #keyOf(packageId: string, dpId: string): string {
    return joinKey(packageId, this.#needs.siteCode, dpId);
  }
}

function countsOf(report: ValidationReport) {
  const { fileCount, damagedCount, missingCount, mendedCount: repairedCount, files } = report;
  const isPartial = report.damagedManifestCount > 0;
  const counts = { fileCount, damagedCount, missingCount, repairedCount, files };
  return { ...counts, ...(isPartial && { isPartial: true as const }) };
}

/** The DP holds something else, or nothing. */
function nothingThere({ sources }: SitePackage) {
  const fileCount = sources.reduce((sum, { content }) => sum + (content?.fileCount ?? 0), 0);
  const counts = { fileCount, damagedCount: 0, missingCount: Math.max(1, fileCount) };
  return { ...counts, repairedCount: 0, files: [] };
}

/**
 * Of several rounds of one wish the last one tells of all: what the ones before found, and has come again
 * since, was repaired.
 */
function withRoundsBefore(
  found: ValidationResult,
  { validation }: DistributionJob,
  before: ValidationResult | undefined,
): ValidationResult {
  const isSameWish = before?.wishId && validation?.wishId.startsWith(before.wishId);
  if (!before || !isSameWish || (validation?.round ?? 0) === 0) return found;
  const isRepaired = !isUnsound(found) || (before.isPartial === true && !found.isPartial);
  return isRepaired ? withRepaired(found, before) : found;
}

/** Whether the DP holds the version before that it is known to have, and not the one it is to have. */
export function isOfOlderVersion(
  { heldVersion, heldHash }: ValidationReport,
  { sourceVersion }: DistributionJob,
  status: PackageStatus | undefined,
): boolean {
  if (heldVersion === 0 || heldVersion >= sourceVersion) return false;
  if (status?.installedVersion !== heldVersion) return false;
  return status.verifiedHash === '' || status.verifiedHash === heldHash;
}

/** Whether the DP holds the version that was to be validated. */
export function isOfJob(
  { heldVersion, heldHash }: ValidationReport,
  job: DistributionJob,
  sitePackage: Pick<SitePackage, 'sourceVersion' | 'packageHash'>,
): boolean {
  if (heldVersion !== job.sourceVersion) return false;
  return sitePackage.sourceVersion !== heldVersion || sitePackage.packageHash === heldHash;
}
