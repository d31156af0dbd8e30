import type { WaybillError } from '../../shared/domain/errors.ts';
import type { PullContentState, PullUrgency } from '../../shared/domain/pull-job.ts';
import type { PullSource } from '../../shared/domain/pull-source.ts';
import type { BegunAction } from '../../shared/package-receiver/package-actions.ts';

/** What a fetch tells while it runs. */
export interface FetchObserver {
  /** From `downloading-signature` to `downloaded`, in order for each content. Awaited. */
  contentState(contentId: string, state: PullContentState): Promise<void>;
  /** Content bytes that are to be fetched more (or, negative, less) than was known. */
  expected(bytes: number): void;
  /** Content bytes that are verified and written now. */
  done(bytes: number): void;
  /** Content bytes that came over the wire, wrong or doubled ones included. */
  received(bytes: number): void;
  /** A source gave wrong bytes and is set aside. */
  lied(source: PullSource, error: WaybillError): void;
  /** Nobody gives what is missing, or it has no room here; goes on by itself, at the latest then. */
  waiting(error: WaybillError, restartAtMs: number): void;
  /** It goes on. */
  resumed(): void;
}

/** A package that is here, whole and verified, and not committed yet. */
export interface FetchedPackage {
  /** Others do not fetch it from here as one that is arriving any more. */
  end(): void;
}

/** The fetch of one package from sources that may change meanwhile. */
export interface PackageFetch {
  setSources(sources: readonly PullSource[]): void;
  setUrgency(urgency: PullUrgency): void;
  /**
   * Resolves when every file of every content is here and verified. Waits for sources by itself.
   *
   * @throws AbortError; ACTION_…; what is not to be waited for
   */
  run(options: {
    readonly action: BegunAction;
    readonly signal: AbortSignal;
    readonly observer: FetchObserver;
  }): Promise<FetchedPackage>;
}

/** Makes fetches: what the pull DP needs of `shared/content-download`. */
export interface PackageFetcher {
  open(sources: readonly PullSource[], urgency: PullUrgency): PackageFetch;
}
