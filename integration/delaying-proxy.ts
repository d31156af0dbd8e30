import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Bytes that may be on their way in one direction of one connection. */
const inFlightBytesMax = 64 * 1024 * 1024;

/** A long way to an agent: every byte arrives later, in each direction. Says nothing of loss. */
export class DelayingProxy implements AsyncDisposable {
  readonly address: string;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /**
   * @param target host:port of the agent
   * @param delayMs of each direction: half of a round trip
   */
  static async start(target: string, delayMs: number): Promise<DelayingProxy> {
    const [host, port] = target.split(':');
    const sockets = new Set<Socket>();
    const server = createServer((near) => {
      const far = connect(Number(port), host);
      near.setNoDelay(true);
      far.setNoDelay(true);
      carry(near, far, delayMs);
      carry(far, near, delayMs);
      for (const one of [near, far]) {
        sockets.add(one);
        one.on('error', () => {});
        one.once('close', () => {
          sockets.delete(one);
          near.destroy();
          far.destroy();
        });
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new DelayingProxy(server, sockets);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

function carry(from: Socket, to: Socket, delayMs: number): void {
  let inFlightBytes = 0;
  from.on('data', (chunk: Buffer) => {
    inFlightBytes += chunk.length;
    if (inFlightBytes >= inFlightBytesMax) from.pause();
    setTimeout(() => {
      inFlightBytes -= chunk.length;
      if (from.isPaused() && inFlightBytes < inFlightBytesMax / 2) from.resume();
      if (!to.destroyed) to.write(chunk);
    }, delayMs);
  });
  from.once('end', () => setTimeout(() => to.end(), delayMs));
}
