/**
 * One transfer to a standard DP: begin, bring manifests, ask what is absent, send it, commit.
 * Called by Package Transfer Manager for each running job; stores nothing. A crash of either side
 * leaves the DP's incoming files; the next run asks what is absent and goes on from there.
 */
import { open } from 'node:fs/promises';
import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import { type FileEntry, pieceBytes } from '../../shared/domain/content.ts';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import type { PutManifestRequest } from '../../shared/rpc/generated/waybill/v1/PutManifestRequest.ts';
import type { DistributionPointChannel } from '../distribution-point-connections/distribution-point-connections.ts';
import { contentItems } from './content-items.ts';
import type { FileClaims } from './file-claims.ts';
import { toPackageVersionMessage } from './package-version-message.ts';
import type { PieceSource } from './piece-source.ts';
import { type PutContentStream, sendItems } from './transfer-lanes.ts';
import type { TransferProgress } from './transfer-progress.ts';
import { WantedEntries } from './wanted-entries.ts';

export interface PushTransferNeeds {
  readonly library: ContentLibrary;
  readonly pieceSource: PieceSource;
  readonly channel: DistributionPointChannel;
  /** Claims of all transfers to this DP. */
  readonly claims: FileClaims;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

export interface PushTransferConfig {
  /** Streams of one transfer. @default 8 */
  readonly lanesMax: number;
  /** Deadline of calls that answer at once. @default 15_000 */
  readonly callDeadlineMs: number;
  /** Deadline of calls that work through a whole content. @default 30 min */
  readonly contentDeadlineMs: number;
}

/** Inspections without any progress between them, after which the job fails. */
const fruitlessRoundsMax = 3;
/** How long to wait for another transfer's shared files before looking again. */
const sharedFileWaitMs = 1_000;

export class PushTransfer {
  readonly #needs: PushTransferNeeds;
  readonly #config: PushTransferConfig;
  readonly #job: DistributionJob;
  readonly #progress: TransferProgress;
  readonly #signal: AbortSignal;
  #deferred = false;

  constructor(
    needs: PushTransferNeeds,
    config: PushTransferConfig,
    run: { job: DistributionJob; progress: TransferProgress; signal: AbortSignal },
  ) {
    this.#needs = needs;
    this.#config = config;
    this.#job = run.job;
    this.#progress = run.progress;
    this.#signal = run.signal;
  }

  /**
   * Brings the job's version to the DP.
   *
   * @returns the hash of what the DP verified and serves
   * @throws CONTENT_NOT_HELD when this site does not hold the version; DISK_FULL of the DP;
   *   PEER_…, DEADLINE_EXCEEDED when the DP is lost; AbortError
   */
  async run(): Promise<string> {
    const version = await this.#version();
    const leave = this.#needs.pieceSource.join(version.packageId);
    try {
      await this.#begin(version);
      for (let round = 0; round < fruitlessRoundsMax; round++) {
        const ackedBefore = this.#progress.acknowledgedBytes;
        await this.#bringContents(version);
        const hash = await this.#commit(version);
        if (hash !== undefined) return hash;
        if (this.#progress.acknowledgedBytes > ackedBefore || this.#deferred) round = -1;
      }
      throw incompleteAtDp(version.packageId);
    } finally {
      this.#needs.claims.releaseAll(this);
      leave();
    }
  }

  async #version(): Promise<PackageVersion> {
    const { packageId, sourceVersion } = this.#job;
    const version = await this.#needs.library.getPackage(packageId);
    if (version?.sourceVersion === sourceVersion) return version;
    throw new WaybillError({
      code: 'CONTENT_NOT_HELD',
      contentId: `${packageId}.${sourceVersion}`,
    });
  }

  get #action() {
    return { packageId: this.#job.packageId, jobSerial: this.#job.jobSerial };
  }

  async #begin(version: PackageVersion): Promise<void> {
    const answer = await this.#needs.channel.unary(
      'begin',
      {
        action: this.#action,
        package: toPackageVersionMessage(version),
        redistribute: this.#job.action === 'redistribute',
      },
      { deadlineMs: this.#config.callDeadlineMs, signal: this.#signal },
    );
    for (const contentId of answer.contentIdsWithoutManifest) {
      await this.#putManifest(contentId);
    }
  }

  async #putManifest(contentId: string): Promise<void> {
    await using content = await this.#needs.library.openContent(contentId);
    const open = { action: this.#action, contentId };
    const paths = [content.manifestPath, content.signaturePath];
    await this.#needs.channel.clientStream('putManifest', manifestMessages(open, paths), {
      deadlineMs: this.#config.contentDeadlineMs,
      signal: this.#signal,
    });
  }

  async #bringContents(version: PackageVersion): Promise<void> {
    this.#deferred = false;
    for (const { contentId } of version.contents) await this.#bringContent(contentId);
    if (!this.#deferred) return;
    // Another transfer has files of ours in hand: look again when it is done, or soon.
    const released = this.#needs.claims.someReleased(this.#signal);
    await Promise.race([released, this.#needs.sleep(sharedFileWaitMs, this.#signal)]);
  }

  async #bringContent(contentId: string): Promise<void> {
    const wanted = await this.#inspect(contentId);
    if (wanted.count === 0) return;
    await using content = await this.#needs.library.openContent(contentId);
    await sendItems(
      contentItems(content.entries(), wanted, (file) => this.#isMine(file)),
      {
        lanesMax: this.#config.lanesMax,
        signal: this.#signal,
        openStream: () => this.#openStream(),
        encode: (item) => this.#needs.pieceSource.message(this.#job.packageId, item),
        onSent: (item) => this.#progress.sent(item.sizeBytes),
        onAcknowledged: (item) => this.#progress.acknowledged(item.sizeBytes),
      },
    );
  }

  async #inspect(contentId: string): Promise<WantedEntries> {
    const wanted = new WantedEntries();
    const parts = this.#needs.channel.serverStream(
      'inspect',
      { action: this.#action, contentId },
      { deadlineMs: this.#config.contentDeadlineMs, signal: this.#signal },
    );
    for await (const { files, missingBytes } of parts) {
      for (const file of files) wanted.add(Number(file.entryIndex), file.piecesHeld);
      this.#progress.expect(Number(missingBytes));
    }
    return wanted;
  }

  /** One transfer sends a file that several want; a file that stands twice in a content goes once. */
  #isMine({ hash, sizeBytes }: FileEntry): boolean {
    const claim = this.#needs.claims.claim(hash, this);
    if (claim === 'mine') return true;
    this.#deferred ||= claim === 'others';
    this.#progress.expect(-sizeBytes);
    return false;
  }

  async #openStream(): Promise<PutContentStream> {
    const stream = this.#needs.channel.duplex('putContent', { signal: this.#signal });
    await stream.write({ open: this.#action });
    return stream;
  }

  /** @returns undefined when files are missing at the DP still */
  async #commit(version: PackageVersion): Promise<string | undefined> {
    if (this.#deferred) return undefined;
    try {
      const answer = await this.#needs.channel.unary(
        'commit',
        { action: this.#action },
        { deadlineMs: this.#config.contentDeadlineMs, signal: this.#signal },
      );
      return requireHash(Buffer.from(answer.packageHash).toString('hex'), version);
    } catch (error) {
      if (!isErrorWithCode(error, 'CONTENT_INCOMPLETE')) throw error;
      // What was claimed and did not arrive must be sendable again.
      this.#needs.claims.releaseAll(this);
      return undefined;
    }
  }
}

/** The DP must serve exactly what this site published. */
function requireHash(actualHash: string, version: PackageVersion): string {
  const { packageHash: expectedHash, packageId } = version;
  if (actualHash === expectedHash) return actualHash;
  throw new WaybillError({
    code: 'CONTENT_HASH_MISMATCH',
    contentId: packageId,
    expectedHash,
    actualHash,
  });
}

function incompleteAtDp(packageId: string): WaybillError {
  return new WaybillError({ code: 'CONTENT_INCOMPLETE', packageId, missingFiles: 0 });
}

async function* manifestMessages(
  opening: { action: { packageId: string; jobSerial: number }; contentId: string },
  paths: readonly string[],
): AsyncGenerator<PutManifestRequest> {
  yield { open: opening };
  for (const path of paths) {
    await using file = await open(path, 'r');
    for (;;) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(pieceBytes), 0, pieceBytes);
      if (bytesRead === 0) break;
      yield { chunk: buffer.subarray(0, bytesRead) };
    }
  }
}
