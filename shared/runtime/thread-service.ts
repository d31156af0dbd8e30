import { parentPort } from 'node:worker_threads';
import type { ThreadReply, ThreadRequest } from './thread-client.ts';

/**
 * Makes the thread this runs in answer what a ThreadClient asks.
 *
 * @param answer what it throws is told with its code and message
 * @param transferOf memory of a result that is handed over instead of copied
 */
export function serveThread<Request, Result>(
  answer: (request: Request) => Result | Promise<Result>,
  transferOf: (result: Result) => readonly ArrayBuffer[] = () => [],
): void {
  const replyTo = async (id: number, request: Request): Promise<ThreadReply<Result>> => {
    try {
      return { id, result: await answer(request) };
    } catch (error) {
      const { code = '', message } = error as NodeJS.ErrnoException;
      return { id, failure: { code, message } };
    }
  };
  parentPort?.on('message', ({ id, request }: ThreadRequest<Request>) => {
    void replyTo(id, request).then((reply) => {
      parentPort?.postMessage(reply, 'result' in reply ? transferOf(reply.result) : []);
    });
  });
}
