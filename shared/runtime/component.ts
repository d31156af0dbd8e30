/** A part of a program that lives for a while. */
export interface Component {
  /** Repairs what a crash left, then begins to work. */
  start(): Promise<void>;
  /** Ends all work within 5 s; safe to call twice, and when `start` failed or was never called. */
  stop(): Promise<void>;
}

/**
 * Starts components one after another. When one fails, it and those before it are stopped again in
 * reverse order, and the failure is thrown.
 */
export async function startInOrder(components: readonly Component[]): Promise<void> {
  for (const [index, component] of components.entries()) {
    try {
      await component.start();
    } catch (error) {
      await stopInReverse(components.slice(0, index + 1)).catch(() => {
        // The first failure is the one to tell.
      });
      throw error;
    }
  }
}

/** Stops components, last one first. Each is stopped even when another fails; then throws. */
export async function stopInReverse(components: readonly Component[]): Promise<void> {
  const failures: unknown[] = [];
  for (const component of components.toReversed()) {
    try {
      await component.stop();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, 'Components could not be stopped');
}

/**
 * Stops components, last one first, then closes the store they all work with: also when one could not be
 * stopped. A store that stays open keeps its directory from whoever begins anew in this process.
 */
export async function stopThenClose(
  components: readonly Component[],
  store: { close(): Promise<void> },
): Promise<void> {
  try {
    await stopInReverse(components);
  } finally {
    await store.close();
  }
}
