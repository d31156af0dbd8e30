/** How a validation is to go. */
export interface ValidationOrder {
  /** Differs in each wish, so that the same wish can be uttered again; see `toWishId`. */
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

/** Digits of the time in the name of a wish: base 36, enough until the year 5188. */
const timeDigits = 9;

/**
 * The name of a new wish: its time first, so that of two wishes for the same package and place it is known
 * which took the place of which.
 *
 * @param before the names of wishes whose place it takes, here and there
 * @param uuid a fresh one
 */
export function toWishId(
  before: readonly (string | undefined)[],
  { nowMs, uuid }: { readonly nowMs: number; readonly uuid: string },
): string {
  const timeMs = Math.max(nowMs, ...before.map((one) => (timeOf(one) ?? 0) + 1));
  return `${timeMs.toString(36).padStart(timeDigits, '0')}.${uuid.slice(-12)}`;
}

/** Whether a result, by its wish, is the answer to this one: it is its own, or of one that took its place. */
export function answersWish(wishIdOfResult: string | undefined, wishId: string): boolean {
  if (wishIdOfResult === undefined) return false;
  if (wishIdOfResult.startsWith(wishId)) return true;
  const [of, wished] = [timeOf(wishIdOfResult), timeOf(wishId)];
  return of !== undefined && wished !== undefined && of >= wished;
}

/** Unix milliseconds; undefined for the name of what a schedule wants, or of an older program. */
function timeOf(wishId: string | undefined): number | undefined {
  const digits = /^([0-9a-z]{9})\./.exec(wishId ?? '')?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 36);
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
