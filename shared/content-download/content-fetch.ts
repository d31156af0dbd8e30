import { type ContentDescriptor, hasPieces } from '../domain/content.ts';
import type { Delta } from '../domain/delta.ts';
import { isErrorWithCode, WaybillError } from '../domain/errors.ts';
import type { PieceSet } from '../domain/piece-set.ts';
import type { PullContentState } from '../domain/pull-job.ts';
import type { BegunAction } from '../package-receiver/package-actions.ts';
import type { PackageReceiver } from '../package-receiver/package-receiver.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { WakeSignal } from '../runtime/wake-signal.ts';
import { ContentDeltas } from './content-deltas.ts';
import type { ContentLedger } from './content-ledger.ts';
import { type ContentSurvey, surveyContent } from './content-survey.ts';
import type { DeltaReceiver } from './delta-fetch.ts';
import type { DownloadSources } from './download-sources.ts';
import type { DownloadWaits } from './download-waits.ts';
import type { Intake } from './intake.ts';
import { ManifestFetch } from './manifest-fetch.ts';
import type { AgentStreams } from './stream-budget.ts';
import { wakeWithin } from './timed-wait.ts';
import {
  type BroughtUnit,
  FileContradiction,
  UnitFetch,
  type UnitFetchConfig,
} from './unit-fetch.ts';
import type { PlannedUnit } from './unit-plan.ts';
import { UnitStretches } from './unit-stretches.ts';

/** A content that is arriving, as others may fetch it from here meanwhile. */
export interface ArrivingContentEntry {
  readonly descriptor: ContentDescriptor;
  /** Whole and verified files, as long as the content is registered. */
  readonly manifestPath: string;
  readonly signaturePath: string;
  /** Units that are here and verified; grows. */
  readonly units: PieceSet;
  /** Deltas that were of use here; until they are known, whoever asks for them waits. */
  readonly deltas: { readonly used: readonly Delta[]; readonly areKnown: boolean };
}

/** Where is told what arrives; see the content server. */
export interface ArrivingRegister {
  /** @returns call it when the content arrives no more */
  add(content: ArrivingContentEntry): () => void;
  /** More of it is here. */
  changed(contentId: string): void;
}

/** What a content is brought into; deltas are used when it knows of them. */
export type ContentReceiver = Pick<
  PackageReceiver,
  'manifestFilesOf' | 'putManifest' | 'wantedFiles' | 'receivePiece' | 'receiveSmallFiles'
> &
  Partial<DeltaReceiver>;

export interface ContentFetchNeeds {
  readonly receiver: ContentReceiver;
  readonly arriving: ArrivingRegister;
  readonly sources: DownloadSources;
  readonly intake: Intake;
  readonly streams: AgentStreams;
  readonly waits: DownloadWaits;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly self?: string | undefined;
  /** Whether an older version is here, from which files may be made. */
  readonly hasOlder: boolean;
  readonly ledger: ContentLedger;
  readonly onReceived: (bytes: number) => void;
  readonly onState: (state: PullContentState) => Promise<void>;
  /** A registration that ends with the download, or after its commit. */
  readonly onRegistered: (end: () => void) => void;
  readonly config: UnitFetchConfig;
}

/** Looks through a content that finds something missing each time, though all had come. */
const passesMax = 8;
/** Times a file is fetched whose pieces contradict its hash, before the next round. */
const contradictionsMax = 3;

/** Brings one content of an action: manifest, deltas, files. A crash leaves what the receiver keeps. */
export class ContentFetch {
  readonly #needs: ContentFetchNeeds;
  readonly #action: BegunAction;
  readonly #content: ContentDescriptor;
  readonly #signal: AbortSignal;
  readonly #deltas: ContentDeltas;
  readonly #contradictions = new Map<string, number>();
  #units: PieceSet | undefined;
  #missingBytes = 0;
  #isDownloading = false;

  constructor(
    needs: ContentFetchNeeds,
    job: { action: BegunAction; content: ContentDescriptor; signal: AbortSignal },
  ) {
    this.#needs = needs;
    this.#action = job.action;
    this.#content = job.content;
    this.#signal = job.signal;
    this.#deltas = this.#newDeltas();
  }

  /** Resolves when every file of the content is here. @throws as PackageDownload does */
  async run(): Promise<void> {
    const { onState, ledger } = this.#needs;
    await this.#bringManifest(true);
    await onState('signature-downloaded');
    try {
      for (let pass = 1; !(await this.#isPassed(pass === 1)); pass++) {
        if (pass === passesMax) throw this.#incomplete();
      }
    } finally {
      this.#deltas.end();
    }
    ledger.missing(0);
    await onState('downloaded');
  }

  /** One look at what is missing, and its fetch. @returns whether nothing was missing */
  async #isPassed(isFirst: boolean): Promise<boolean> {
    try {
      let survey = await this.#survey();
      if (isFirst && !survey.isWhole && (await this.#deltas.useThoseOfNow()))
        survey = await this.#survey();
      if (survey.isWhole) return true;
      const missing = survey;
      await this.#deltas.useThoseOfLater((signal) => this.#fetch(missing, signal));
    } catch (error) {
      await this.#outlast(error);
    }
    return false;
  }

  async #bringManifest(isFirst: boolean): Promise<void> {
    const { receiver, onState } = this.#needs;
    const { contentId } = this.#content;
    if (await receiver.manifestFilesOf(this.#action, contentId)) return;
    if (isFirst) await onState('downloading-signature');
    const put = (chunks: AsyncIterable<Uint8Array>) =>
      receiver.putManifest(this.#action, contentId, chunks);
    await new ManifestFetch({ ...this.#needs, put }, this.#content).run(this.#signal);
  }

  async #survey(): Promise<ContentSurvey> {
    const { receiver, ledger, arriving } = this.#needs;
    const { contentId } = this.#content;
    const survey = await surveyContent(receiver.wantedFiles(this.#action, contentId));
    this.#missingBytes = survey.missingBytes;
    ledger.missing(survey.missingBytes);
    if (this.#units) {
      addAll(this.#units, survey.here);
      arriving.changed(contentId);
    } else {
      await this.#register(survey.here);
    }
    return survey;
  }

  async #register(units: PieceSet): Promise<void> {
    const { receiver, arriving, onRegistered } = this.#needs;
    const { contentId } = this.#content;
    const files = await receiver.manifestFilesOf(this.#action, contentId);
    if (!files) throw new WaybillError({ code: 'CONTENT_NOT_HELD', contentId });
    const { manifestPath, signaturePath } = files;
    const deltas = this.#deltas;
    this.#units = units;
    const entry = {
      descriptor: this.#content,
      manifestPath,
      signaturePath,
      units,
      deltas,
    };
    onRegistered(arriving.add(entry));
  }

  #newDeltas(): ContentDeltas {
    const { receiver, arriving, ledger, hasOlder } = this.#needs;
    const { offerDeltas, applyDeltas } = receiver;
    const isOfUse = hasOlder && !this.#action.redistribute;
    const onArrived = (_: readonly PlannedUnit[], bytes: number) => ledger.done(bytes);
    return new ContentDeltas({
      ...this.#needs,
      action: this.#action,
      content: this.#content,
      receiver:
        isOfUse && offerDeltas && applyDeltas
          ? { offerDeltas: offerDeltas.bind(receiver), applyDeltas: applyDeltas.bind(receiver) }
          : undefined,
      newFetch: () => this.#newFetch(onArrived),
      onWanted: (bytes) => ledger.missing(this.#missingBytes + bytes),
      onKnown: () => arriving.changed(this.#content.contentId),
      signal: this.#signal,
    });
  }

  async #fetch(survey: ContentSurvey, signal: AbortSignal): Promise<void> {
    const { receiver, sources, arriving, ledger, onState } = this.#needs;
    const { contentId } = this.#content;
    if (!this.#isDownloading) await onState('downloading');
    this.#isDownloading = true;
    const stretches = new UnitStretches();
    const wanted = survey.wanted ?? receiver.wantedFiles(this.#action, contentId);
    const onArrived = (units: readonly PlannedUnit[], bytes: number) => {
      for (const { file, pieceIndex } of units) {
        for (const unit of stretches.arrived(file, pieceIndex)) this.#units?.add(unit);
      }
      arriving.changed(contentId);
      ledger.done(bytes);
    };
    await using _ = sources.watch(this.#content, survey.here.pieceCount);
    const fetch = this.#newFetch(onArrived);
    await fetch.run(stretches.cut(wanted), { signal, givesUp: false });
  }

  #newFetch(onArrived: (units: readonly PlannedUnit[], bytes: number) => void): UnitFetch {
    const receive = (units: readonly BroughtUnit[]) => this.#receive(units);
    return new UnitFetch({ ...this.#needs, receive, onArrived }, this.#needs.config);
  }

  #receive(units: readonly BroughtUnit[]): Promise<void> {
    const { receiver } = this.#needs;
    const [first] = units;
    if (first && isPiece(first)) {
      const { unit, bytes } = first;
      const { pieceIndex } = unit;
      return receiver.receivePiece(this.#action, { hash: unit.file.hash, pieceIndex, bytes });
    }
    const files = units.map(({ unit, bytes }) => ({ hash: unit.file.hash, bytes }));
    return receiver.receiveSmallFiles(this.#action, files);
  }

  /** What a further look can mend. @throws the error when it cannot */
  async #outlast(error: unknown): Promise<void> {
    if (error instanceof FileContradiction) {
      await this.#onContradiction(error);
    } else if (isErrorWithCode(error, 'DISK_FULL')) {
      await this.#needs.waits.diskFull(error, this.#signal);
    } else if (isDamagedManifest(error)) {
      this.#needs.logger.warn({ err: error }, 'Manifest was damaged and is fetched again');
      await this.#bringManifest(false);
    } else {
      throw error;
    }
  }

  /** Its signature contradicts the hash of the file: to fetch it again and again helps nobody. */
  async #onContradiction({ fileHash, message }: FileContradiction): Promise<void> {
    const count = (this.#contradictions.get(fileHash) ?? 0) + 1;
    this.#contradictions.set(fileHash, count);
    if (count < contradictionsMax) return;
    this.#contradictions.delete(fileHash);
    const { waits, sources, clock } = this.#needs;
    const wake = new WakeSignal();
    const endListening = sources.listen({ onChanged: () => {}, onForgiven: () => wake.wake() });
    try {
      const restartAtMs = waits.exhausted(message);
      const ms = restartAtMs - clock.monotonicMs();
      await wakeWithin(wake, ms, { clock, signal: this.#signal });
    } finally {
      endListening();
    }
  }

  #incomplete(): WaybillError {
    const { packageId } = this.#action;
    return new WaybillError({ code: 'CONTENT_INCOMPLETE', packageId, missingFiles: 1 });
  }
}

function isPiece({ unit }: BroughtUnit): boolean {
  return hasPieces(unit.file.sizeBytes);
}

function isDamagedManifest(error: unknown): boolean {
  return isErrorWithCode(error, 'CONTENT_NOT_HELD', 'MANIFEST_INVALID', 'CONTENT_HASH_MISMATCH');
}

function addAll(units: PieceSet, more: PieceSet): void {
  for (let unit = 0; unit < more.pieceCount; unit++) if (more.has(unit)) units.add(unit);
}
