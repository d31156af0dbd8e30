/**
 * Tells the DPs of this site whom to trust (SEC-3), for they have no replication: the sites of the hierarchy,
 * revocations, and the roots; as soon as any of it changes, and whenever a DP comes back. See
 * DistributionPointTeller. Writes the table "told trust hashes".
 */
import { hashOf } from '../../shared/content-library/content-hash.ts';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import type { RevokedAt } from '../../shared/domain/revocation.ts';
import {
  keptRevocations,
  type ToldBundle,
  type ToldTrust,
} from '../../shared/domain/told-trust.ts';
import type { RequestOf } from '../../shared/rpc/conversation.ts';
import { ignoreAbort, workIsOver } from '../../shared/runtime/abort-error.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { DistributionPointChannel } from '../distribution-point-connections/distribution-point-connections.ts';
import {
  DistributionPointTeller,
  type TellerNeeds,
} from '../hierarchy-manager/distribution-point-teller.ts';
import {
  defaultTellingConfig,
  type ToldSubject,
} from '../hierarchy-manager/distribution-point-telling.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { Revocations } from './revocations.ts';

/** The roots as the top site has signed them, as far as this site knows. */
export interface ToldBundles {
  current(): ToldBundle | undefined;
  /** Calls the listener after each change. @returns ends it */
  onChanged(listener: () => void): () => void;
}

/** What is told, and from where it comes. */
export interface TrustTold {
  readonly revocations: Pick<Revocations, 'list' | 'onChanged'>;
  readonly sites: Pick<SiteDirectory, 'own' | 'tree'>;
  /** Absent where certificates are for development. */
  readonly bundles?: ToldBundles;
}

type TrustPart = RequestOf<'DistributionPoint', 'setTrust'>;

/** Revocations in one message. */
const partCount = 1_000;

/** Shortest time between two tellings: all is told each time, and a site in the wrong hands may have news without end. */
const newsPauseMs = 1_000;

export class TrustTeller extends DistributionPointTeller {
  readonly #told: TrustTold;
  readonly #subject: TrustSubject;
  readonly #clock: TellerNeeds['clock'];
  readonly #stopping = new AbortController();
  readonly #news = new WakeSignal();
  #ends: (() => void)[] = [];
  #telling: Promise<void> | undefined;

  constructor(told: TrustTold, needs: TellerNeeds, config = defaultTellingConfig) {
    const subject = new TrustSubject(told);
    super(subject, needs, config);
    this.#told = told;
    this.#subject = subject;
    this.#clock = needs.clock;
  }

  override async start(): Promise<void> {
    const { revocations, bundles } = this.#told;
    const onNews = () => this.#news.wake();
    this.#ends = [revocations.onChanged(onNews), bundles?.onChanged(onNews) ?? (() => {})];
    this.#telling = this.#tellNews(this.#stopping.signal).catch(ignoreAbort);
    await super.start();
  }

  override async stop(): Promise<void> {
    for (const end of this.#ends) end();
    this.#stopping.abort(workIsOver);
    await this.#telling;
    await super.stop();
  }

  /** At once, and what comes soon after it together. */
  async #tellNews(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#news.wait(signal);
      this.#subject.forget();
      this.news();
      await this.#clock.sleep(newsPauseMs, signal);
    }
  }
}

/** What is to be said, made once for all DPs. */
class TrustSubject implements ToldSubject {
  readonly name = 'trust';
  readonly isOfAll = true;
  readonly toldHashes = keySpaces.toldTrustHashes;
  readonly #told: TrustTold;
  #now: { readonly trust: ToldTrust; readonly hash: string } | undefined;

  constructor(told: TrustTold) {
    this.#told = told;
  }

  /** It may be another thing now. */
  forget(): void {
    this.#now = undefined;
  }

  hashOf(_point?: DistributionPoint): string {
    return this.#current.hash;
  }

  isPressing(): boolean {
    const { revocations, bundle } = this.#current.trust;
    return revocations.length > 0 || bundle !== undefined;
  }

  say(
    channel: DistributionPointChannel,
    _point: DistributionPoint,
    options: { readonly deadlineMs: number; readonly signal: AbortSignal },
  ): Promise<unknown> {
    return channel.clientStream('setTrust', partsOf(this.#current.trust), options);
  }

  get #current() {
    if (!this.#now) {
      const trust = trustOf(this.#told);
      this.#now = { trust, hash: hashOf(Buffer.from(JSON.stringify(trust))) };
    }
    return this.#now;
  }
}

function trustOf({ revocations, sites, bundles }: TrustTold): ToldTrust {
  const bundle = bundles?.current();
  const { own, tree } = sites;
  const known = revocations
    .list()
    .map(({ siteCode, holder, revokedAtMs }) => ({ siteCode, holder, revokedAtMs }));
  return {
    sites: tree.list().map(({ siteCode, parentSiteCode }) => ({ siteCode, parentSiteCode })),
    revocations: keptRevocations(known, own.siteCode, tree),
    ...(bundle && { bundle }),
  };
}

async function* partsOf({ sites, revocations, bundle }: ToldTrust): AsyncGenerator<TrustPart> {
  const roots = bundle && {
    generation: bundle.generation,
    bundle: Buffer.from(bundle.base64, 'base64'),
  };
  const header = {
    revocationCount: revocations.length,
    sites: [...sites],
    ...(roots && { bundle: roots }),
  };
  yield { header, revocations: revocations.slice(0, partCount).map(toMessage) };
  for (let at = partCount; at < revocations.length; at += partCount) {
    yield { revocations: revocations.slice(at, at + partCount).map(toMessage) };
  }
}

function toMessage({ siteCode, holder, revokedAtMs }: RevokedAt) {
  return { siteCode, holder, revokedAtMs };
}
