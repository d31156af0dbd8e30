/**
 * One transfer to a standard DP: begin, bring manifests, bring the deltas it can use, ask what is
 * absent, send it, commit.
 * Called by Package Transfer Manager for each running job; stores nothing. A crash of either side
 * leaves the DP's incoming files; the next run asks what is absent and goes on from there.
 */
import { setMaxListeners } from 'node:events';
import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import {
  type ContentItem,
  filesOf,
  type SendableFile,
} from '../../shared/content-source/content-item.ts';
import type { PieceSource } from '../../shared/content-source/piece-source.ts';
import {
  type ContentDescriptor,
  type FileEntry,
  type InlineManifest,
  pieceBytes,
} from '../../shared/domain/content.ts';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import { inlineManifests } from '../../shared/package-info/inline-manifests.ts';
import { toPackageVersionMessage } from '../../shared/package-info/package-version-message.ts';
import type { InspectResponse__Output } from '../../shared/rpc/generated/waybill/v1/InspectResponse.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import { unlessStalled } from '../../shared/runtime/stall-watch.ts';
import type { TransferPermit } from '../../shared/transfer-arbiter/transfer-permit.ts';
import type { DistributionPointChannel } from '../distribution-point-connections/distribution-point-connections.ts';
import { contentItems } from './content-items.ts';
import { DeltaPush } from './delta-push.ts';
import type { FileClaims } from './file-claims.ts';
import { manifestMessages } from './manifest-messages.ts';
import { PeerWait } from './peer-wait.ts';
import { type PutContentStream, sendItems } from './transfer-lanes.ts';
import type { TransferProgress } from './transfer-progress.ts';
import { WantedEntries } from './wanted-entries.ts';

export interface PushTransferNeeds {
  readonly library: Pick<
    ContentLibrary,
    'getPackage' | 'openContent' | 'deltasOf' | 'discardDamaged'
  >;
  readonly pieceSource: Pick<PieceSource, 'join' | 'message'>;
  readonly channel: Pick<
    DistributionPointChannel,
    'unary' | 'serverStream' | 'clientStream' | 'duplex'
  >;
  /** Claims of all transfers to this DP. */
  readonly claims: FileClaims;
  /** Says when manifests, deltas and content may leave; closed by whoever opened it. */
  readonly permit: Pick<TransferPermit, 'take' | 'takePart' | 'partBytes'>;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

export interface PushTransferConfig {
  /** Streams of one transfer. @default 8 */
  readonly lanesMax: number;
  /** Deadline of calls that answer at once. @default 15_000 */
  readonly callDeadlineMs: number;
  /**
   * Deadline of calls that work through a whole content, and how long a manifest may go without
   * getting on. @default 30 min
   */
  readonly contentDeadlineMs: number;
  /** How long the DP may owe the acknowledgement of a message. @default 120_000 */
  readonly stallMs?: number;
}

/** One run of a job. */
export interface PushTransferRun {
  readonly job: DistributionJob;
  readonly progress: TransferProgress;
  readonly signal: AbortSignal;
  /** The DP has taken the job; awaited before anything else is sent. */
  readonly onBegun: () => Promise<void>;
}

/** A message is at most 1 MiB: only a DP that does nothing takes longer. */
const defaultStallMs = 120_000;
/** Commits that find files missing still, after which the run fails. */
const incompleteCountMax = 3;
/** First and longest wait for another transfer's shared files before looking again. */
const sharedFileWaitMs = 1_000;
const sharedFileWaitMsMax = 30_000;

export class PushTransfer {
  readonly #needs: PushTransferNeeds;
  readonly #config: PushTransferConfig;
  readonly #job: DistributionJob;
  readonly #progress: TransferProgress;
  readonly #signal: AbortSignal;
  readonly #onBegun: () => Promise<void>;
  /** Another transfer has files of ours in hand. */
  #deferred = false;
  /** By content ID: what travelled inside Begin, and what the DP wants of it, until that is sent. */
  readonly #inline = new Map<string, InlineManifest>();
  readonly #inspected = new Map<string, WantedEntries>();
  readonly #refused: SendableFile[] = [];

  constructor(needs: PushTransferNeeds, config: PushTransferConfig, run: PushTransferRun) {
    this.#needs = needs;
    this.#config = config;
    this.#job = run.job;
    this.#progress = run.progress;
    this.#signal = run.signal;
    this.#onBegun = run.onBegun;
    // All its streams end together.
    setMaxListeners(0, run.signal);
  }

  /**
   * Brings the job's version to the DP.
   *
   * @returns the hash of what the DP verified and serves
   * @throws CONTENT_NOT_HELD when this site does not hold the version; the DP's CONTENT_INCOMPLETE
   *   when it keeps missing what was sent; CONTENT_HASH_MISMATCH when it serves something else; whatever
   *   the DP refuses; DISK_FULL of the DP; PEER_…, DEADLINE_EXCEEDED when the DP is lost; AbortError
   */
  async run(): Promise<string> {
    const version = await this.#version();
    const leave = this.#needs.pieceSource.join(version.packageId);
    try {
      await this.#begin(version);
      await this.#bringDeltas(version);
      for (let commitsLeft = incompleteCountMax - 1; ; commitsLeft--) {
        await this.#bringAll(version);
        const hash = await this.#commit(version, commitsLeft === 0);
        if (hash !== undefined) return hash;
      }
    } finally {
      this.#needs.claims.releaseAll(this);
      leave();
    }
  }

  /** Files of the messages in which the DP found bytes that are not what their hash promises. */
  get refused(): readonly SendableFile[] {
    return this.#refused;
  }

  async #version(): Promise<PackageVersion> {
    const { packageId, sourceVersion } = this.#job;
    const version = await this.#needs.library.getPackage(packageId);
    if (version?.sourceVersion === sourceVersion) return version;
    const contentId = `${packageId}.${sourceVersion}`;
    throw new WaybillError({ code: 'CONTENT_NOT_HELD', contentId });
  }

  get #action() {
    return { packageId: this.#job.packageId, jobSerial: this.#job.jobSerial };
  }

  get #contentCall() {
    return { deadlineMs: this.#config.contentDeadlineMs, signal: this.#signal };
  }

  async #begin(version: PackageVersion): Promise<void> {
    const manifests = this.#inOneGo(await inlineManifests(this.#needs.library, version));
    for (const one of manifests) this.#inline.set(one.contentId, one);
    await this.#takeManifests(manifests);
    const { contentIdsWithoutManifest, inspected } = await this.#needs.channel.unary(
      'begin',
      {
        action: this.#action,
        package: toPackageVersionMessage(version),
        redistribute: this.#job.action === 'redistribute',
        manifests,
      },
      { deadlineMs: this.#config.callDeadlineMs, signal: this.#signal },
    );
    await this.#onBegun();
    const asked = new Set(contentIdsWithoutManifest);
    const found = new Map(inspected.map(({ contentId, wanted }) => [contentId, wanted]));
    // Only contents of this package, whatever the DP names.
    for (const content of version.contents) {
      if (asked.has(content.contentId)) await this.#putManifest(content.contentId);
      const wanted = found.get(content.contentId);
      if (!wanted) continue;
      this.#inspected.set(content.contentId, addPart(new WantedEntries(content), wanted));
    }
  }

  /** Those that may leave in one call, which cannot be cut: with a low limit the others have their own. */
  #inOneGo(manifests: InlineManifest[]): InlineManifest[] {
    let leftBytes = this.#needs.permit.partBytes;
    if (leftBytes >= pieceBytes) return manifests;
    return manifests.filter(({ manifest, signature }) => {
      const bytes = manifest.length + signature.length;
      const isOne = bytes <= leftBytes;
      if (isOne) leftBytes -= bytes;
      return isOne;
    });
  }

  async #takeManifests(manifests: readonly InlineManifest[]): Promise<void> {
    let bytes = 0;
    for (const { manifest, signature } of manifests) bytes += manifest.length + signature.length;
    if (bytes > 0) await this.#needs.permit.take(bytes, this.#signal);
  }

  /** Of contents from which something is missing: files come out of little that has to travel. */
  async #bringDeltas({ contents }: PackageVersion): Promise<void> {
    if (this.#job.action !== 'add') return;
    const contentIds = contents
      .map(({ contentId }) => contentId)
      .filter((contentId) => this.#inspected.get(contentId)?.count !== 0);
    const { library, channel } = this.#needs;
    const expect = (bytes: number) => this.#progress.expect(bytes);
    const send = (items: AsyncGenerator<ContentItem, void>) => this.#send(items, () => {});
    const push = new DeltaPush(
      { library, channel, expect, send },
      { action: this.#action, ...this.#contentCall },
    );
    // What was said before is not true any more.
    if (await push.run(contentIds)) this.#inspected.clear();
  }

  async #putManifest(contentId: string): Promise<void> {
    await using content = await this.#needs.library.openContent(contentId);
    const opening = { action: this.#action, contentId };
    const wait = new PeerWait();
    const put = async (signal: AbortSignal) => {
      const { permit } = this.#needs;
      const messages = manifestMessages(opening, content, { permit, signal });
      try {
        const counted = wait.betweenEach(messages);
        await this.#needs.channel.clientStream('putManifest', counted, { signal });
      } catch (error) {
        // A call that was cancelled says only that.
        signal.throwIfAborted();
        throw error;
      }
    };
    const { contentDeadlineMs: stallMs } = this.#config;
    await unlessStalled(put, {
      signal: this.#signal,
      stallMs,
      sleep: this.#needs.sleep,
      progressCount: () => wait.progressCount(),
      toFailure: () => stalled(this.#job.dpId, 'PutManifest', stallMs),
    });
  }

  /** Until every file is at the DP, as far as this side knows. */
  async #bringAll(version: PackageVersion): Promise<void> {
    for (let tryCount = 1; ; tryCount++) {
      this.#deferred = false;
      const { releaseCount } = this.#needs.claims;
      await this.#bringContents(version);
      if (!this.#deferred) return;
      await this.#otherTransfer(releaseCount, tryCount);
    }
  }

  /** All contents are inspected first, so that what remains is known from the beginning. */
  async #bringContents({ contents }: PackageVersion): Promise<void> {
    const wanted: { content: ContentDescriptor; entries: WantedEntries }[] = [];
    let missingBytes = 0;
    for (const content of contents) {
      const entries = await this.#inspect(content);
      missingBytes += entries.missingBytes;
      wanted.push({ content, entries });
    }
    // In one step: a total that grows while it is found out tells nobody anything.
    this.#progress.expect(missingBytes);
    for (const { content, entries } of wanted) {
      if (entries.count > 0) await this.#bringContent(content, entries);
    }
  }

  async #inspect(content: ContentDescriptor): Promise<WantedEntries> {
    const { contentId } = content;
    const known = this.#inspected.get(contentId);
    // Only once: from then on the DP has more.
    if (this.#inspected.delete(contentId) && known) return known;
    const request = { action: this.#action, contentId };
    const parts = this.#needs.channel.serverStream('inspect', request, this.#contentCall);
    const wanted = new WantedEntries(content);
    for await (const part of parts) addPart(wanted, part);
    return wanted;
  }

  async #bringContent({ contentId }: ContentDescriptor, wanted: WantedEntries): Promise<void> {
    await using content = await this.#needs.library.openContent(contentId);
    const isMine = (file: FileEntry, missingBytes: number) => this.#isMine(file, missingBytes);
    const manifest = this.#inline.get(contentId)?.manifest;
    const items = contentItems(content.entries(manifest), wanted, isMine);
    await this.#send(items, (item, error) => this.#onFailed(item, error));
  }

  async #send(
    items: AsyncGenerator<ContentItem, void>,
    onFailed: (item: ContentItem, error: unknown) => void,
  ): Promise<void> {
    const { stallMs = defaultStallMs, lanesMax } = this.#config;
    await sendItems(items, {
      lanesMax,
      signal: this.#signal,
      openStream: () => this.#openStream(),
      encode: (item) => this.#needs.pieceSource.message(this.#job.packageId, item),
      permit: this.#needs.permit,
      onSent: (item) => this.#progress.sent(item.sizeBytes),
      onPart: (bytes) => this.#progress.partSent(bytes),
      onAcknowledged: (item) => this.#progress.acknowledged(item.sizeBytes),
      onFailed,
      stallMs,
      sleep: this.#needs.sleep,
      toStalled: () => stalled(this.#job.dpId, 'PutContent', stallMs),
    });
  }

  /**
   * The DP may name a piece's hash: which file it is of, this side knows. A disk that cannot read a
   * file back is as bad as one that reads other bytes.
   */
  #onFailed(item: ContentItem, error: unknown): void {
    const isUnreadable = (error as NodeJS.ErrnoException).code === 'EIO';
    if (isUnreadable || isErrorWithCode(error, 'FILE_HASH_MISMATCH')) {
      this.#refused.push(...filesOf(item));
    }
  }

  /** One transfer sends a file that several want; a file that stands twice in a package goes once. */
  #isMine({ hash }: FileEntry, missingBytes: number): boolean {
    const claim = this.#needs.claims.claim(hash, this);
    if (claim === 'mine') return true;
    this.#deferred ||= claim === 'others';
    this.#progress.expect(-missingBytes);
    return false;
  }

  async #openStream(): Promise<PutContentStream> {
    const stream = this.#needs.channel.duplex('putContent', { signal: this.#signal });
    await stream.write({ open: this.#action });
    return stream;
  }

  /** Another transfer has files of ours in hand: look again when it ends, or after a while. */
  async #otherTransfer(releaseCount: number, tryCount: number): Promise<void> {
    const enough = new AbortController();
    const signal = AbortSignal.any([this.#signal, enough.signal]);
    const waitMs = retryDelayMs({
      tryCount,
      firstMs: sharedFileWaitMs,
      capMs: sharedFileWaitMsMax,
      random: () => 1,
    });
    const { claims, sleep } = this.#needs;
    const waits = [claims.someReleased(releaseCount, signal), sleep(waitMs, signal)];
    try {
      await Promise.race(waits);
    } finally {
      enough.abort();
      await Promise.allSettled(waits);
    }
  }

  /** @returns undefined when files are missing at the DP still; throws that when it is the last */
  async #commit(version: PackageVersion, isLast: boolean): Promise<string | undefined> {
    try {
      const { packageHash } = await this.#needs.channel.unary(
        'commit',
        { action: this.#action },
        this.#contentCall,
      );
      return requireHash(Buffer.from(packageHash).toString('hex'), version);
    } catch (error) {
      if (isLast || !isErrorWithCode(error, 'CONTENT_INCOMPLETE')) throw error;
      // What was claimed and did not arrive must be sendable again.
      this.#needs.claims.releaseAll(this);
      return undefined;
    }
  }
}

/** @throws MESSAGE_INVALID when it is not of this content */
function addPart(wanted: WantedEntries, part: InspectResponse__Output): WantedEntries {
  for (const { entryIndex, piecesHeld } of part.files) wanted.add(Number(entryIndex), piecesHeld);
  wanted.addMissing(Number(part.missingBytes));
  return wanted;
}

/** The DP must serve exactly what this site published. */
function requireHash(actualHash: string, version: PackageVersion): string {
  const { packageHash: expectedHash, packageId: contentId } = version;
  if (actualHash === expectedHash) return actualHash;
  throw new WaybillError({ code: 'CONTENT_HASH_MISMATCH', contentId, expectedHash, actualHash });
}

function stalled(dpId: string, method: string, deadlineMs: number): WaybillError {
  const peer = `distribution point ${dpId}`;
  return new WaybillError({ code: 'DEADLINE_EXCEEDED', peer, method, deadlineMs });
}
