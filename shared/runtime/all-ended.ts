/**
 * Like `Promise.all`, but resolves or rejects only when all have ended: what fails leaves nothing
 * running behind the caller's back.
 *
 * @throws the first failure, in the order of the works
 */
export async function allEnded<T extends readonly unknown[]>(
  works: readonly [...{ [K in keyof T]: Promise<T[K]> }],
): Promise<T> {
  await Promise.allSettled(works);
  return (await Promise.all(works)) as unknown as T;
}
