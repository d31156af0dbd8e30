import { parsedInputs } from './parsed-inputs.ts';

/** Bytes that are such a message; undefined for others, which gRPC refuses. */
export function decoded<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch {
    parsedInputs.refusedCount += 1;
    return undefined;
  }
}
