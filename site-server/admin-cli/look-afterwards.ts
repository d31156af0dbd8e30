import { WaybillError } from '../../shared/domain/errors.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import { CommandFailure } from './command-failure.ts';
import type { Output } from './output.ts';

/**
 * Looks at something more once a change was made. That it cannot be looked at, for the site stops just now or the
 * administrator interrupts, is a note: the change is made all the same, and is never told as failed.
 *
 * @param unknown what the administrator does not get to know then: `whether packages will wait`
 * @returns undefined: it could not be looked at, and that is told
 */
export async function lookAfterwards<T>(
  output: Output,
  unknown: string,
  look: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (!isExpected(error)) throw error;
    output.note(`it is done; but it could not be looked up ${unknown}: ${error.message}`);
    return undefined;
  }
}

function isExpected(error: unknown): error is Error {
  return error instanceof WaybillError || error instanceof CommandFailure || isAbortError(error);
}
