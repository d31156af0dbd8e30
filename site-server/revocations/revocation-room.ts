import type { Revocation, RevocationIndex } from '../../shared/domain/revocation.ts';

/** What is asked for the room of revocations. */
export interface RevocationRoomNeeds {
  /** This site. */
  readonly siteCode: string;
  /** Those that are here. */
  readonly index: Pick<RevocationIndex<Revocation>, 'get' | 'counts'>;
}

export interface RevocationRoomConfig {
  /** Revocations taken of another site. */
  readonly otherCountMax: number;
}

/**
 * How many more revocations of other sites are taken: a site in the wrong hands fills nobody's memory. Made for the
 * rows of one message, which it counts; what is here already may be said again.
 */
export class RevocationRoom {
  readonly #needs: RevocationRoomNeeds;
  readonly #config: RevocationRoomConfig;
  readonly #bySite: Map<string, number>;

  constructor(needs: RevocationRoomNeeds, config: RevocationRoomConfig) {
    this.#needs = needs;
    this.#config = config;
    this.#bySite = new Map(needs.index.counts);
  }

  /** Takes room for one. @returns why there is none, as a sentence without its end; undefined when it was taken */
  take({ siteCode, holder }: Pick<Revocation, 'siteCode' | 'holder'>): string | undefined {
    const { siteCode: own, index } = this.#needs;
    if (siteCode === own || index.get({ siteCode, holder })) return undefined;
    const { otherCountMax } = this.#config;
    const count = this.#bySite.get(siteCode) ?? 0;
    if (count >= otherCountMax) return `of a site ${otherCountMax} revocations are taken`;
    this.#bySite.set(siteCode, count + 1);
    return undefined;
  }
}
