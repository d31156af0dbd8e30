import type { FreeRoom } from '../../shared/package-receiver/free-room.ts';
import type { Arrival } from './arrival.ts';
import { noRoom } from './arrival-failures.ts';
import { siteOfPart } from './part-path.ts';

export interface ArrivalRoomNeeds {
  /** Room in the file system of the folder. */
  readonly room: Pick<FreeRoom, 'measure' | 'require'>;
  readonly directory: string;
  /** The open parts. */
  readonly arrivals: () => Iterable<Arrival>;
}

/** The room for files that arrive: what is missing of each one is promised to it. */
export class ArrivalRoom {
  readonly #needs: ArrivalRoomNeeds;

  constructor(needs: ArrivalRoomNeeds) {
    this.#needs = needs;
  }

  /** @throws DISK_FULL when bytes that have come now do not fit beside the reserve */
  require(bytes: number): Promise<void> {
    return this.#needs.room.require(bytes);
  }

  /**
   * What is missing of other files is promised to them. Those of other sites are promised half of the
   * room at most: else a site that names a large file and brings little of it would hold up all others.
   *
   * @throws DISK_FULL when this one would eat into what is promised, or into the reserve
   */
  async requireFor(key: string, neededBytes: number): Promise<void> {
    const roomBytes = await this.#needs.room.measure();
    const ownBytes = this.#promisedBytes(
      (one) => siteOfPart(one.key) === siteOfPart(key) && one.key !== key,
    );
    const otherBytes = this.#promisedBytes((one) => siteOfPart(one.key) !== siteOfPart(key));
    const promisedBytes = ownBytes + Math.min(otherBytes, Math.floor(roomBytes / 2));
    const freeBytes = Math.max(0, roomBytes - promisedBytes);
    if (freeBytes >= neededBytes) return;
    throw noRoom(this.#needs.directory, { freeBytes, neededBytes });
  }

  #promisedBytes(isMeant: (arrival: Arrival) => boolean): number {
    return [...this.#needs.arrivals()]
      .filter((one) => one.bringer !== undefined && isMeant(one))
      .reduce((sum, { missingBytes }) => sum + missingBytes, 0);
  }
}
