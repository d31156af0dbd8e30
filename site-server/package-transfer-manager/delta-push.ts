import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import { isSystemError } from '../../shared/content-library/library-failure.ts';
import type { ContentItem } from '../../shared/content-source/content-item.ts';
import { pieceCountOf } from '../../shared/domain/content.ts';
import type { Delta } from '../../shared/domain/delta.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { PieceSet } from '../../shared/domain/piece-set.ts';
import {
  deltaMessageLength,
  toDeltaMessage,
  toldDeltaCountMax,
} from '../../shared/package-info/delta-message.ts';
import type { PackageAction } from '../../shared/package-receiver/package-actions.ts';
import { isUnknownMethod } from '../../shared/rpc/call-failure.ts';
import type { WantedDelta__Output } from '../../shared/rpc/generated/waybill/v1/WantedDelta.ts';
import type { DistributionPointChannel } from '../distribution-point-connections/distribution-point-connections.ts';
import { itemsOfFiles, type SendableWhole } from './content-items.ts';

/** What bringing deltas needs. */
export interface DeltaPushNeeds {
  readonly library: Pick<ContentLibrary, 'deltasOf' | 'discardDamaged'>;
  readonly channel: Pick<DistributionPointChannel, 'unary'>;
  /** More bytes are to be sent. */
  readonly expect: (bytes: number) => void;
  /** Sends items as content is sent. */
  readonly send: (items: AsyncGenerator<ContentItem, void>) => Promise<void>;
}

/** What the calls to the DP are about. */
export interface DeltaPushCall {
  readonly action: PackageAction;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** Deltas that are offered in one message, in bytes. */
const offerBytesMax = 1_000_000;

/**
 * Brings the deltas of contents that the DP can use, and lets it make files from them. All of it is
 * advice: whatever comes of it, the DP is then asked what it still wants.
 */
export class DeltaPush {
  readonly #needs: DeltaPushNeeds;
  readonly #call: DeltaPushCall;

  constructor(needs: DeltaPushNeeds, call: DeltaPushCall) {
    this.#needs = needs;
    this.#call = call;
  }

  /**
   * @returns whether the DP has taken any, so that it wants something else now
   * @throws what the DP refuses, but for a delta that is damaged here; PEER_…, DEADLINE_EXCEEDED when
   *   it is lost; AbortError
   */
  async run(contentIds: readonly string[]): Promise<boolean> {
    const deltas = (
      await Promise.all(contentIds.map((contentId) => this.#needs.library.deltasOf(contentId)))
    ).flat();
    const wanted = await this.#offer(deltas);
    if (wanted.length === 0) return false;
    await this.#bring(wanted);
    await this.#apply();
    return true;
  }

  async #offer(deltas: readonly Delta[]): Promise<SendableWhole[]> {
    const wanted: SendableWhole[] = [];
    for (const part of offersOf(deltas)) {
      const answer = await this.#offerPart(part);
      if (!answer) return [];
      wanted.push(...wantedOf(part, answer));
    }
    return wanted;
  }

  /** @returns undefined from an agent that does not know of deltas yet: it gets whole files */
  async #offerPart(part: readonly Delta[]): Promise<readonly WantedDelta__Output[] | undefined> {
    const { action, deadlineMs, signal } = this.#call;
    const request = { action, deltas: part.map(toDeltaMessage) };
    try {
      const options = { deadlineMs, signal };
      return (await this.#needs.channel.unary('offerDeltas', request, options)).wanted;
    } catch (error) {
      if (isUnknownMethod(error)) return undefined;
      throw error;
    }
  }

  /** A delta that is damaged here is no reason to fail: whole files do as well. */
  async #bring(wanted: readonly SendableWhole[]): Promise<void> {
    const missing = wanted.map(({ file, held }) => held.missingBytesOf(file.sizeBytes));
    this.#needs.expect(missing.reduce((sum, bytes) => sum + bytes, 0));
    try {
      await this.#needs.send(itemsOfFiles(wanted));
    } catch (error) {
      const isDamaged = isErrorWithCode(error, 'FILE_HASH_MISMATCH', 'FILE_NOT_HELD');
      if (!isDamaged && !isSystemError(error, 'EIO')) throw error;
      const files = wanted.map(({ file }) => file);
      await this.#needs.library.discardDamaged(files, this.#call.signal);
    }
  }

  async #apply(): Promise<void> {
    const { action, deadlineMs, signal } = this.#call;
    await this.#needs.channel.unary('applyDeltas', { action }, { deadlineMs, signal });
  }
}

/** Deltas in parts that fit a message; one whose piece hashes alone do not is not offered. */
function* offersOf(deltas: readonly Delta[]): Generator<readonly Delta[]> {
  let part: Delta[] = [];
  let partBytes = 0;
  for (const delta of deltas) {
    const bytes = deltaMessageLength(delta);
    if (bytes > offerBytesMax) continue;
    if (partBytes + bytes > offerBytesMax || part.length === toldDeltaCountMax) {
      yield part;
      [part, partBytes] = [[], 0];
    }
    part.push(delta);
    partBytes += bytes;
  }
  if (part.length > 0) yield part;
}

/** Only what was offered, whatever the DP names, and each once. */
function wantedOf(part: readonly Delta[], answer: readonly WantedDelta__Output[]): SendableWhole[] {
  const offered = new Map(part.map((delta) => [delta.deltaHash, delta]));
  const wanted: SendableWhole[] = [];
  for (const { deltaHash, piecesHeld } of answer) {
    const hash = Buffer.from(deltaHash).toString('hex');
    const delta = offered.get(hash);
    if (!delta || !offered.delete(hash)) continue;
    const sizeBytes = delta.deltaBytes;
    wanted.push({
      file: { hash, sizeBytes },
      held: new PieceSet(pieceCountOf(sizeBytes), piecesHeld),
    });
  }
  return wanted;
}
