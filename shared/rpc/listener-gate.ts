import type { EventEmitter } from 'node:events';

/**
 * Stands in front of those who listen to an event now: they hear of it only when `decide` passes it
 * on, then or later.
 */
export function gateTo<Arguments extends unknown[]>(
  emitter: EventEmitter,
  event: string,
  decide: (pass: () => void, ...arguments_: Arguments) => void,
): void {
  const listeners = emitter.listeners(event);
  if (listeners.length === 0) throw new Error(`Nobody listens to ${event}`);
  emitter.removeAllListeners(event);
  emitter.on(event, (...arguments_: unknown[]) => {
    const pass = () => {
      for (const listener of listeners) listener.apply(emitter, arguments_);
    };
    decide(pass, ...(arguments_ as Arguments));
  });
}
