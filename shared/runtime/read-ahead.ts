/**
 * The same items, while the next one is being made as the caller works on the last: for makers that
 * keep the event loop busy, and callers that wait for others. Ends the source when it is left early.
 */
export async function* readAhead<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  let next = iterator.next();
  try {
    for (;;) {
      const { done, value } = await next;
      if (done) return;
      next = iterator.next();
      // Its failure is met when it is its turn; nobody may take it for one that no one handles.
      next.catch(() => {});
      yield value;
    }
  } finally {
    await iterator.return?.();
  }
}
