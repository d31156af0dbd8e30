/** How a validation is to go. */
export interface ValidationOrder {
  /** Differs in each wish, so that the same wish can be uttered again; see `wishAfter`. */
  readonly wishId: string;
  /** Whether what is damaged or missing is brought again. */
  readonly repair: boolean;
  /** Bytes read in a second; 0: what the DP's own configuration says. */
  readonly bytesPerSecond: number;
  /** Validations of this package in a row that found a manifest damaged; the next looks at the files. */
  readonly round?: number;
}

/**
 * That the content of a package on a DP of whatever site is to be validated: the row of the replicated
 * table "validation requests" (PKG-8). The DP's site acts on each wish once.
 */
export interface ValidationRequest extends ValidationOrder {
  readonly packageId: string;
  readonly dpId: string;
  readonly wishedAtMs: number;
}

/** Longest name of a wish, in characters. */
const wishIdLengthMax = 64;

/**
 * The name of a wish that takes the place of one nobody has answered yet: it carries the older names, so
 * that its result answers those who wait for them, too.
 *
 * @param before the name of the one that waits; undefined when none does
 */
export function wishAfter(before: string | undefined, wishId: string): string {
  const names = [...(before?.split('~') ?? []), wishId];
  while (names.length > 1 && names.join('~').length > wishIdLengthMax) names.shift();
  return names.join('~');
}

/** Whether a result, by its wish, is the answer to this one. */
export function answersWish(wishIdOfResult: string | undefined, wishId: string): boolean {
  return wishIdOfResult?.includes(wishId) ?? false;
}

/** The name of a new wish: short enough for some to be carried along. @param uuid a fresh one */
export function toWishId(uuid: string): string {
  return uuid.slice(-12);
}

/** The wish that a DP's site has acted on last: the row of "validation orders". */
export interface ActedValidation {
  readonly wishId: string;
}

/** A package of the site's own library that is to be validated: the row of "own library validations". */
export interface OwnLibraryValidation extends ValidationOrder {
  readonly packageId: string;
  /** Names the validation: the same one goes on. */
  readonly serial: number;
  /** Not before so many requests of the package are handled: its source is read again first. */
  readonly afterRequestCount: number;
}

/** Rounds after which a manifest that is damaged again and again is left to an administrator. */
export const validationRoundsMax = 3;
