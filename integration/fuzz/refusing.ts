import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { parsedInputs } from './parsed-inputs.ts';

/** Refused with one of these codes, or taken; anything else is a fault of the parser. */
export async function refusing(codes: readonly string[], parse: () => unknown): Promise<void> {
  try {
    await parse();
    parsedInputs.takenCount += 1;
  } catch (error) {
    if (!isErrorWithCode(error, ...(codes as never[]))) throw error;
    parsedInputs.refusedCount += 1;
  }
}
