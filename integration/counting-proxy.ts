import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** When nothing has gone for so long, nothing will. */
const stallMsMax = 60_000;

/**
 * Stands between two agents, such as a site and a DP, and counts what goes to the second: what was
 * sent is told neither by the sender nor by the receiver. Connections are carried as they are, TLS
 * and all, until the link is cut.
 */
export class CountingProxy implements AsyncDisposable {
  readonly address: string;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;
  /** The ends of each connection, towards the agent. */
  readonly #pairs: Map<Socket, Socket>;
  /** To the agent, and back from it. */
  readonly #forth: ByteCount;
  readonly #back: ByteCount;
  readonly #link: { isCut: boolean };

  private constructor(
    parts: {
      server: Server;
      sockets: Set<Socket>;
      pairs: Map<Socket, Socket>;
      link: { isCut: boolean };
    },
    counts: readonly [ByteCount, ByteCount],
  ) {
    const { server } = parts;
    this.#server = server;
    this.#sockets = parts.sockets;
    this.#pairs = parts.pairs;
    this.#link = parts.link;
    [this.#forth, this.#back] = counts;
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** @param target host:port of the DP */
  static async start(target: string): Promise<CountingProxy> {
    const [host, port] = target.split(':');
    const sockets = new Set<Socket>();
    const pairs = new Map<Socket, Socket>();
    const [forth, back] = [new ByteCount(), new ByteCount()];
    const link = { isCut: false };
    const server = createServer((near) => {
      if (link.isCut) {
        near.resetAndDestroy();
        return;
      }
      const far = connect(Number(port), host);
      // The agents set it too: what is carried in pieces of another size must not wait for their answers.
      near.setNoDelay(true);
      far.setNoDelay(true);
      pairs.set(near, far);
      near.once('close', () => pairs.delete(near));
      near.on('data', (chunk: Buffer) => forth.add(chunk.length));
      far.on('data', (chunk: Buffer) => back.add(chunk.length));
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(one);
        one.pipe(other);
        one.on('error', () => {});
        one.once('close', () => {
          sockets.delete(one);
          other.destroy();
        });
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new CountingProxy({ server, sockets, pairs, link }, [forth, back]);
  }

  /** Bytes that went to the DP since the last `reset`, those of TLS and gRPC included. */
  get forwardedBytes(): number {
    return this.#forth.bytes;
  }

  /** Bytes that came back from the agent since the last `reset`. */
  get returnedBytes(): number {
    return this.#back.bytes;
  }

  /** Connections that are open now. */
  get connectionCount(): number {
    return this.#pairs.size;
  }

  /** Resolves when so many connections are open. */
  async whenConnections(count: number): Promise<void> {
    while (this.#pairs.size !== count) await sleep(10);
  }

  /** Ends all connections and takes no more, until the link is joined again. */
  cut(): void {
    this.#link.isCut = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  join(): void {
    this.#link.isCut = false;
  }

  /** Carries nothing any more, and ends no connection, until `release`. Not for long: peers notice. */
  hold(): void {
    for (const [near, far] of this.#pairs) {
      near.unpipe(far);
      near.pause();
    }
  }

  release(): void {
    for (const [near, far] of this.#pairs) near.pipe(far);
  }

  /** Counts from zero. */
  reset(): void {
    this.#forth.bytes = 0;
    this.#back.bytes = 0;
  }

  /** Resolves as soon as so many bytes have gone to the DP. @throws when nothing goes any more */
  whenForwarded(bytes: number): Promise<void> {
    return whenCounted(this.#forth, bytes);
  }

  /** The same, of bytes that came back. */
  whenReturned(bytes: number): Promise<void> {
    return whenCounted(this.#back, bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

async function whenCounted(count: ByteCount, bytes: number): Promise<void> {
  const stalled = new AbortController();
  const reached = count.reached(bytes);
  const isReached = await Promise.race([
    reached.then(() => true),
    stalls(count, stalled.signal).catch(() => false),
  ]);
  stalled.abort();
  if (!isReached) throw new Error(`${count.bytes} bytes went, not ${bytes}`);
}

async function stalls(count: ByteCount, signal: AbortSignal): Promise<boolean> {
  for (let before = -1; before !== count.bytes; ) {
    before = count.bytes;
    await sleep(stallMsMax, undefined, { signal });
  }
  return false;
}

class ByteCount {
  bytes = 0;
  #goal: { readonly bytes: number; readonly onReached: () => void } | undefined;

  add(bytes: number): void {
    this.bytes += bytes;
    if (!this.#goal || this.bytes < this.#goal.bytes) return;
    this.#goal.onReached();
    this.#goal = undefined;
  }

  reached(bytes: number): Promise<void> {
    if (this.bytes >= bytes) return Promise.resolve();
    return new Promise((onReached) => {
      this.#goal = { bytes, onReached };
    });
  }
}
