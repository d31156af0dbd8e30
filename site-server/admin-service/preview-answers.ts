import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { Conversation } from '../../shared/rpc/conversation.ts';
import type { PreviewDistributionRequest__Output } from '../../shared/rpc/generated/waybill/v1/PreviewDistributionRequest.ts';
import type { PreviewPart as PartMessage } from '../../shared/rpc/generated/waybill/v1/PreviewPart.ts';
import type { PreviewPart, PreviewTarget } from '../transfer-preview/preview-parts.ts';
import type { TransferPreview } from '../transfer-preview/transfer-preview.ts';
import {
  DistributionTargets,
  type DistributionTargetsComponents,
  isOnItsWay,
  type Target,
} from './distribution-targets.ts';
import { requirePackageId, toTargets } from './package-requests.ts';
import { toPreviewPartMessage, toReckonedBytes } from './preview-messages.ts';

/** What answering what would travel needs. */
export interface PreviewAnswersComponents extends DistributionTargetsComponents {
  readonly transferPreview: Pick<TransferPreview, 'distribution' | 'update'>;
}

/** Answers what distributing or updating would bring; changes nothing. */
export class PreviewAnswers {
  readonly #components: PreviewAnswersComponents;
  readonly #targets: DistributionTargets;

  constructor(components: PreviewAnswersComponents) {
    this.#components = components;
    this.#targets = new DistributionTargets(components);
  }

  methods() {
    return {
      previewDistribution: (request, { signal }) => this.#distribution(request, signal),
      previewUpdate: ({ packageId }, { signal }) => this.#update(packageId, signal),
    } satisfies Partial<Conversation<'Admin'>>;
  }

  async *#distribution(
    request: PreviewDistributionRequest__Output,
    signal: AbortSignal,
  ): AsyncGenerator<PartMessage> {
    const { packages, transferPreview } = this.#components;
    if (!request.targets) {
      throw requestInvalid('targets', { expected: 'a package and its targets', actual: 'none' });
    }
    const requested = toTargets(request.targets);
    const { packageId } = requested;
    const { sourceVersion } = request;
    const reckoned = toReckonedBytes(request);
    await packages.require(packageId);
    const names = await this.#targets.receivers(requested);
    names.push(...(await this.#targets.membersOf(requested.groupNames ?? [])));
    const targets = await this.#targets.of(packageId, [...new Set(names)]);
    // What is reckoned for a version that is still to come is lacking wherever it is asked.
    const isNeeded = (target: Target) => reckoned.has(target.dpId) || !isOnItsWay(target);
    const seen = targets.map((target) => toPreviewTarget(target, !isNeeded(target)));
    const preview = { packageId, targets: seen, sourceVersion, reckoned };
    yield* toMessages(transferPreview.distribution(preview, signal));
  }

  async *#update(text: string, signal: AbortSignal): AsyncGenerator<PartMessage> {
    const { transferPreview, packages } = this.#components;
    const packageId = requirePackageId(text);
    await packages.require(packageId);
    const names = await this.#targets.holders({ packageId, dpIds: 'all' });
    const targets = await this.#targets.of(packageId, names);
    const wanted = targets.filter(({ intent }) => intent === 'installed');
    const seen = wanted.map((target) => toPreviewTarget(target, false));
    yield* toMessages(transferPreview.update(packageId, seen, signal));
  }
}

function toPreviewTarget({ dpId, siteCode }: Target, isOnItsWayAlready: boolean): PreviewTarget {
  return { dpId, siteCode, isOnItsWay: isOnItsWayAlready };
}

async function* toMessages(parts: AsyncIterable<PreviewPart>): AsyncGenerator<PartMessage> {
  for await (const part of parts) yield toPreviewPartMessage(part);
}
