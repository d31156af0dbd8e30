/** Bytes that are such a message; undefined for others, which gRPC refuses. */
export function decoded<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch {
    return undefined;
  }
}
