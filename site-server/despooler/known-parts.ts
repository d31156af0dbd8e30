import { stat } from 'node:fs/promises';
import { isSystemError } from '../../shared/content-library/library-failure.ts';
import { siteOfPart } from './part-path.ts';

interface KnownPart {
  readonly heldBytes: number;
  /** When it last grew, or was opened. */
  readonly usedAtMs: number;
}

/** The unfinished package files on disk, by part, and which of them make way for others. */
export class KnownParts {
  readonly #parts = new Map<string, KnownPart>();

  get size(): number {
    return this.#parts.size;
  }

  has(key: string): boolean {
    return this.#parts.has(key);
  }

  keys(): string[] {
    return [...this.#parts.keys()];
  }

  note(key: string, part: KnownPart): void {
    this.#parts.set(key, part);
  }

  delete(key: string): void {
    this.#parts.delete(key);
  }

  /** Of the site that has the most parts: the one that has rested for longest. */
  first(isResting: (key: string) => boolean): string | undefined {
    const counts = new Map<string, number>();
    for (const key of this.#parts.keys()) {
      const site = siteOfPart(key);
      counts.set(site, (counts.get(site) ?? 0) + 1);
    }
    const countOf = (key: string) => counts.get(siteOfPart(key)) ?? 0;
    return this.#byRest(isResting).sort((a, b) => countOf(b) - countOf(a))[0];
  }

  /**
   * Those that have rested since a time or longer, as many as free so many bytes for a site: first its own,
   * the longest at rest first; then those of sites that hold more than an equal share, and no site is
   * brought below that: so none can make all others begin anew by what it asks room for.
   *
   * @returns none when all of them together would not free enough
   */
  thatFree(
    bytes: number,
    asked: {
      readonly siteCode: string;
      readonly sinceMs: number;
      readonly isResting: (key: string) => boolean;
    },
  ): string[] {
    const { siteCode, sinceMs, isResting } = asked;
    const held = this.#heldBySite();
    const total = [...held.values()].reduce((sum, one) => sum + one, 0);
    const shareBytes = total / new Set([siteCode, ...held.keys()]).size;
    const freeing: string[] = [];
    let freedBytes = 0;
    const resting = this.#byRest(isResting);
    const isOwn = (key: string) => siteOfPart(key) === siteCode;
    for (const key of [...resting.filter(isOwn), ...resting.filter((one) => !isOwn(one))]) {
      const { heldBytes, usedAtMs } = this.#parts.get(key) as KnownPart;
      if (freedBytes >= bytes) break;
      const leftBytes = (held.get(siteOfPart(key)) ?? 0) - heldBytes;
      if (usedAtMs > sinceMs || (!isOwn(key) && leftBytes < shareBytes)) continue;
      held.set(siteOfPart(key), leftBytes);
      freeing.push(key);
      freedBytes += heldBytes;
    }
    return freedBytes >= bytes ? freeing : [];
  }

  #heldBySite(): Map<string, number> {
    const held = new Map<string, number>();
    for (const [key, { heldBytes }] of this.#parts) {
      const site = siteOfPart(key);
      held.set(site, (held.get(site) ?? 0) + heldBytes);
    }
    return held;
  }

  #byRest(isResting: (key: string) => boolean): string[] {
    const usedAtMs = (key: string) => this.#parts.get(key)?.usedAtMs ?? 0;
    return this.keys()
      .filter(isResting)
      .sort((a, b) => usedAtMs(a) - usedAtMs(b));
  }
}

/** A part as it lies on disk; of one that is not there nothing is held. */
export async function lookAtPart(path: string): Promise<KnownPart> {
  try {
    const { size, mtimeMs } = await stat(path);
    return { heldBytes: size, usedAtMs: mtimeMs };
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return { heldBytes: 0, usedAtMs: 0 };
    throw error;
  }
}
