import { MessageChannel } from 'node:worker_threads';

/** A port that leads nowhere: what is handed over to it is freed. */
const { port1: nowhere } = new MessageChannel();
nowhere.close();

/**
 * Frees memory at once, so that it is the next to be used. The garbage collector comes only when some
 * 64 MiB of such memory have gathered, in each thread; and then has to be paid.
 *
 * @param memory nobody uses it any more, nor any view of it; is empty afterwards
 */
export function releaseMemory(memory: ArrayBuffer): void {
  nowhere.postMessage(undefined, [memory]);
}
