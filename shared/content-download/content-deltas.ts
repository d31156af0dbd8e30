import type { ContentDescriptor } from '../domain/content.ts';
import type { Delta } from '../domain/delta.ts';
import type { BegunAction } from '../package-receiver/package-actions.ts';
import { isAbortError, throwIfAborted, workIsOver } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import { type DeltaReceiver, fetchDeltas } from './delta-fetch.ts';
import { DeltaNews } from './delta-news.ts';
import type { DownloadSources } from './download-sources.ts';
import type { Intake } from './intake.ts';
import type { UnitFetch } from './unit-fetch.ts';

export interface ContentDeltasNeeds {
  readonly action: BegunAction;
  readonly content: ContentDescriptor;
  /** Absent where no delta is of use: nothing older is here, or it is not believed. */
  readonly receiver: DeltaReceiver | undefined;
  readonly sources: DownloadSources;
  readonly intake: Intake;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly newFetch: () => UnitFetch;
  /** So many bytes of deltas are to be fetched. */
  readonly onWanted: (bytes: number) => void;
  /** No further deltas will be of use. */
  readonly onKnown: () => void;
  readonly signal: AbortSignal;
}

/** The deltas of one content that is fetched: those that sources know of at once, or only later. */
export class ContentDeltas {
  readonly #needs: ContentDeltasNeeds;
  readonly #used: Delta[] = [];
  #news: DeltaNews | undefined;
  #areKnown = false;

  constructor(needs: ContentDeltasNeeds) {
    this.#needs = needs;
  }

  /** Those that were of use; grows. */
  get used(): readonly Delta[] {
    return this.#used;
  }

  /** Whether no further ones will be of use. */
  get areKnown(): boolean {
    return this.#areKnown;
  }

  /** Uses what sources know of already. @returns whether any file was made */
  async useThoseOfNow(): Promise<boolean> {
    const { content, receiver, signal } = this.#needs;
    if (!receiver) {
      this.end();
      return false;
    }
    this.#news = new DeltaNews(content, this.#needs);
    const listed = await this.#news.soon;
    throwIfAborted(signal);
    return listed.length > 0 && (await this.#use(listed, receiver));
  }

  /** Does the work; leaves it off when a source tells of deltas meanwhile, and uses them. */
  async useThoseOfLater(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { receiver, signal } = this.#needs;
    const news = this.#news;
    if (!news || !receiver) return work(signal);
    const told = new AbortController();
    void news.late.then((deltas) => (deltas.length > 0 ? told.abort(workIsOver) : this.end()));
    try {
      await work(AbortSignal.any([signal, told.signal]));
    } catch (error) {
      throwIfAborted(signal);
      if (!told.signal.aborted || !isAbortError(error)) throw error;
      await this.#use(await news.late, receiver);
    }
  }

  /** No further ones are of use; may be called again. */
  end(): void {
    this.#news?.[Symbol.dispose]();
    this.#news = undefined;
    if (this.#areKnown) return;
    this.#areKnown = true;
    this.#needs.onKnown();
  }

  async #use(listed: readonly Delta[], receiver: DeltaReceiver): Promise<boolean> {
    const { action, signal } = this.#needs;
    const used = await fetchDeltas(action, listed, { ...this.#needs, receiver }, signal);
    this.#used.push(...used);
    this.end();
    return used.length > 0;
  }
}
