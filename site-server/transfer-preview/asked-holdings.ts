import type { HeldFile } from '../../shared/content-library/library-tasks.ts';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import type { DistributionPointConnections } from '../distribution-point-connections/distribution-point-connections.ts';
import type { Holdings } from './lacking-bytes.ts';

/** What asking a DP needs. */
export interface AskedHoldingsNeeds {
  readonly connections: {
    channelTo(
      dp: DistributionPoint,
    ): Pick<ReturnType<DistributionPointConnections['channelTo']>, 'unary'>;
  };
  /** How long a DP may take to look for a batch of files. */
  readonly deadlineMs: number;
}

/** What a DP itself says it holds, file by file. A call that fails says that it cannot be asked. */
export class AskedHoldings implements Holdings {
  readonly #needs: AskedHoldingsNeeds;
  readonly #dp: DistributionPoint;
  readonly #contentIds: ReadonlySet<string>;
  readonly #signal: AbortSignal;

  /** @param of.contentIds contents that are known to be installed there */
  constructor(
    needs: AskedHoldingsNeeds,
    of: { dp: DistributionPoint; contentIds: ReadonlySet<string>; signal: AbortSignal },
  ) {
    this.#needs = needs;
    this.#dp = of.dp;
    this.#contentIds = of.contentIds;
    this.#signal = of.signal;
  }

  hasContent(contentId: string): boolean {
    return this.#contentIds.has(contentId);
  }

  /** @throws what a DP that cannot be asked throws; AbortError */
  async areHeld(files: readonly HeldFile[]): Promise<boolean[]> {
    if (files.length === 0) return [];
    const { connections, deadlineMs } = this.#needs;
    const { held } = await connections.channelTo(this.#dp).unary(
      'findFiles',
      {
        hashes: Buffer.from(files.map(({ hash }) => hash).join(''), 'hex'),
        sizeBytes: files.map(({ sizeBytes }) => sizeBytes),
      },
      { deadlineMs, signal: this.#signal },
    );
    return files.map((_, index) => (((held[index >> 3] ?? 0) >> (index & 7)) & 1) === 1);
  }
}
