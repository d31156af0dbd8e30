import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import { bytesPerSecondMax, bytesPerSecondMin } from '../../shared/domain/transfer-controls.ts';
import {
  answersWish,
  toWishId,
  type ValidationOrder,
  type ValidationRequest,
} from '../../shared/domain/validation-request.ts';
import { isUnsound, type ValidationResult } from '../../shared/domain/validation-result.ts';
import { toUnsoundFileMessage } from '../../shared/package-info/validation-report-message.ts';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import type { ValidatePackageRequest__Output } from '../../shared/rpc/generated/waybill/v1/ValidatePackageRequest.ts';
import type { ValidationResult as ResultMessage } from '../../shared/rpc/generated/waybill/v1/ValidationResult.ts';
import type { ValidationResultFilter__Output } from '../../shared/rpc/generated/waybill/v1/ValidationResultFilter.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { OwnValidations } from '../content-validation/own-validations.ts';
import { AdminScopes } from './admin-scopes.ts';
import {
  DistributionTargets,
  type DistributionTargetsComponents,
  type Target,
} from './distribution-targets.ts';
import {
  requireDistributionPointId,
  requirePackageId,
  requireSiteCode,
  toTargets,
} from './package-requests.ts';

export interface ValidationAnswersComponents extends DistributionTargetsComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly newUuid: () => string;
  readonly ownValidations: Pick<OwnValidations, 'request'>;
}

/**
 * What administrators ask about the validation of content (PKG-8): the wish is a row that travels to the
 * DP's site, and what was found comes back as another.
 */
export class ValidationAnswers {
  readonly #components: ValidationAnswersComponents;
  readonly #targets: DistributionTargets;
  readonly #scopes: AdminScopes;

  constructor(components: ValidationAnswersComponents) {
    this.#components = components;
    this.#scopes = new AdminScopes(components);
    this.#targets = new DistributionTargets(components);
  }

  methods() {
    return {
      validatePackage: (request, context) => this.#validate(request, context),
      listValidationResults: (filter) => this.#list(filter),
    } satisfies Partial<Conversation<'Admin'>>;
  }

  async #validate(request: ValidatePackageRequest__Output, context: CallContext) {
    if (!request.targets) {
      throw requestInvalid('targets', { expected: 'package and targets', actual: 'none' });
    }
    const bytesPerSecond = requireRate(request.bytesPerSecond);
    const order = { repair: !request.noRepair, bytesPerSecond };
    if (request.ownCopy) {
      await this.#scopes.requireOwnSite(context);
      return this.#validateOwn(request.targets.packageId, order);
    }
    const targets = toTargets(request.targets);
    const { packages, store } = this.#components;
    const { packageId } = targets;
    await packages.require(packageId);
    const names = await this.#targets.holders(targets);
    await this.#scopes.checkOf(context)({ dpIds: names });
    return packages.turn(packageId, async () => {
      const meant = await this.#targets.of(packageId, names);
      const holding = meant.filter(({ intent }) => intent === 'installed');
      const stranger = meant.find(({ dpId, intent }) => {
        return intent !== 'installed' && targets.dpIds !== 'all' && targets.dpIds.includes(dpId);
      });
      if (stranger) {
        const expected = `a distribution point that package ${packageId} was distributed to`;
        throw requestInvalid('dp_ids', { expected, actual: stranger.dpId });
      }
      const { changes, wishId } = await this.#wishFor(packageId, holding, order);
      if (changes.length > 0) await store.write(changes, { sync: true });
      return { dpIds: holding.map(({ dpId }) => dpId), wishId };
    });
  }

  /** What waits still is answered by the results of this wish, too, and brought again if it was to be. */
  async #wishFor(
    packageId: string,
    targets: readonly Target[],
    order: Omit<ValidationOrder, 'wishId'>,
  ) {
    const { store, clock, newUuid } = this.#components;
    const rows = store.records(keySpaces.validationRequests);
    const before = new Map<string, ValidationRequest | undefined>();
    for (const { dpId } of targets) before.set(dpId, await rows.get(joinKey(packageId, dpId)));
    const nowMs = clock.nowMs();
    const names = [...before.values()].map((one) => one?.wishId);
    const wishId = toWishId(names, { nowMs, uuid: newUuid() });
    const changes: Change[] = [];
    for (const target of targets) {
      const { dpId } = target;
      const known = before.get(dpId);
      const repair =
        order.repair || (known?.repair === true && (await this.#isOpen(known, target)));
      const wish = { ...order, packageId, dpId, wishId, repair, wishedAtMs: nowMs };
      changes.push(rows.put(joinKey(packageId, dpId), wish));
    }
    return { changes, wishId };
  }

  /** Whether nobody has acted on a wish, as far as is known here: its site knows, others know of its result. */
  async #isOpen({ packageId, dpId, wishId }: ValidationRequest, target: Target): Promise<boolean> {
    const { store } = this.#components;
    const acted = await store
      .records(keySpaces.actedValidations)
      .get(joinKey(packageId, dpId, 'asked'));
    if (acted?.wishId === wishId) return false;
    const key = joinKey(packageId, target.siteCode, dpId);
    const result = await store.records(keySpaces.validationResults).get(key);
    return !answersWish(result?.wishId, wishId);
  }

  async #validateOwn(text: string, order: Omit<ValidationOrder, 'wishId'>) {
    const { packages, ownValidations, newUuid } = this.#components;
    const packageId = requirePackageId(text);
    await packages.require(packageId);
    const wishId = await ownValidations.request(packageId, { ...order, uuid: newUuid() });
    return { dpIds: [''], wishId };
  }

  async *#list(filter: ValidationResultFilter__Output): AsyncGenerator<ResultMessage> {
    const packageId = filter.packageId === '' ? undefined : requirePackageId(filter.packageId);
    const dpId = filter.dpId === '' ? undefined : requireDistributionPointId('dp_id', filter.dpId);
    const siteCode =
      filter.siteCode === '' ? undefined : requireSiteCode('site_code', filter.siteCode);
    const rows = this.#components.store.records(keySpaces.validationResults);
    const range = packageId === undefined ? {} : { prefix: `${packageId}/` };
    for await (const [, result] of rows.list(range)) {
      if ((dpId ?? result.dpId) !== result.dpId) continue;
      if ((siteCode ?? result.siteCode) !== result.siteCode) continue;
      if (filter.unsoundOnly && !isUnsound(result)) continue;
      if (await this.#isThere(result)) yield toMessage(result);
    }
  }

  /** A DP that is gone, or a package that was taken off it, has no status any more. */
  async #isThere({ packageId, siteCode, dpId }: ValidationResult): Promise<boolean> {
    const { packages, hierarchyPackages, sites } = this.#components;
    if (siteCode === hierarchyPackages.siteCode) {
      return (await packages.getStatus(packageId, dpId)) !== undefined;
    }
    if (!sites.tree.get(siteCode)) return false;
    const key = joinKey(packageId, siteCode, dpId);
    return (await hierarchyPackages.statuses.get(key)) !== undefined;
  }
}

function requireRate(value: string | number): number {
  const rate = Number(value);
  if (rate === 0 || (rate >= bytesPerSecondMin && rate <= bytesPerSecondMax)) return rate;
  const expected = `0, or ${bytesPerSecondMin} to ${bytesPerSecondMax} bytes a second`;
  throw requestInvalid('bytes_per_second', { expected, actual: String(value) });
}

function toMessage(result: ValidationResult): ResultMessage {
  const { packageId, siteCode, dpId, sourceVersion, checkedAtMs, fileCount } = result;
  return {
    ...{ packageId, siteCode, dpId, sourceVersion, checkedAtMs, fileCount },
    damagedFiles: result.damagedCount,
    missingFiles: result.missingCount,
    repairedFiles: result.repairedCount,
    files: result.files.map(toUnsoundFileMessage),
    wishId: result.wishId ?? '',
    failure: result.failure ?? '',
  };
}
