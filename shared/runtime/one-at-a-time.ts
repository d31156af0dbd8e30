/**
 * What an iterator gives, for several who take from it at once: a generator allows only one pull at
 * a time. Undefined at its end.
 */
export function oneAtATime<T>(items: AsyncIterator<T, unknown>): () => Promise<T | undefined> {
  let last: Promise<unknown> = Promise.resolve();
  return () => {
    const pulled = last.then(async () => {
      const { done, value } = await items.next();
      return done ? undefined : value;
    });
    last = pulled.catch(() => undefined);
    return pulled;
  };
}
