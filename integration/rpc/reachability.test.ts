import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';
import { aborted, promised, TrustCircle } from './trust-circle.ts';

const deadlineMs = 5_000;
const check = { check: async () => ({}) };

/** A host that takes TCP connections and never says a word: what a hung machine looks like. */
async function silentListener(): Promise<AsyncDisposable & { address: string }> {
  const sockets = new Set<Socket>();
  const listener = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    address: `127.0.0.1:${(listener.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      listener.close();
      await once(listener, 'close');
    },
  };
}

/** A wire between caller and server that can be cut: then both sides hear nothing, no reset even. */
class Wire implements AsyncDisposable {
  readonly #sockets = new Set<Socket>();
  readonly #listener = createServer((near) => this.#join(near));
  readonly #target: { host: string; port: number };

  private constructor(target: string) {
    const [host = '', port] = target.split(':');
    this.#target = { host, port: Number(port) };
  }

  static async to(target: string): Promise<Wire> {
    const wire = new Wire(target);
    wire.#listener.listen(0, '127.0.0.1');
    await once(wire.#listener, 'listening');
    return wire;
  }

  get address(): string {
    return `127.0.0.1:${(this.#listener.address() as AddressInfo).port}`;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.unpipe().pause();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#listener.close();
    await once(this.#listener, 'close');
  }

  #join(near: Socket): void {
    const far = createConnection(this.#target);
    for (const socket of [near, far]) this.#sockets.add(socket.on('error', () => {}));
    near.pipe(far);
    far.pipe(near);
  }
}

/** Answers once, then nothing until the call is over. */
function silentInspect(onOver: () => void = () => {}) {
  return {
    inspect: async function* (_request: unknown, { signal }: { signal: AbortSignal }) {
      try {
        yield {};
        await aborted(signal);
      } finally {
        onOver();
      }
    },
  };
}

/** An address where nothing listens, and where a server can be started. */
async function freeAddress(): Promise<string> {
  await using listener = await silentListener();
  return listener.address;
}

describe('reaching a peer', () => {
  it('is PEER_UNREACHABLE at once where nothing listens', async () => {
    await using circle = await TrustCircle.create();
    const address = await freeAddress();
    const channel = await circle.channel('DistributionPoint', address);
    await assert.rejects(channel.unary('check', {}, { deadlineMs }), {
      details: {
        code: 'PEER_UNREACHABLE',
        peer: 'DP PS1DP1',
        address,
        reason: 'nothing listens there',
      },
    });
  });

  it('is PEER_UNREACHABLE after the connect deadline where nobody answers', async () => {
    await using circle = await TrustCircle.create();
    await using silent = await silentListener();
    const options = { connectDeadlineMs: 100 };
    const channel = await circle.channel('DistributionPoint', silent.address, options);
    const expected = { code: 'PEER_UNREACHABLE', message: /no connection within 100 ms$/ };
    await assert.rejects(channel.unary('check', {}, { deadlineMs }), expected);
    await assert.rejects(channel.duplex('putContent', {}).read(), expected);
  });

  it('is PEER_UNREACHABLE too when the deadline of the call is the shorter one', async () => {
    await using circle = await TrustCircle.create();
    await using silent = await silentListener();
    const channel = await circle.channel('DistributionPoint', silent.address);
    await assert.rejects(channel.unary('check', {}, { deadlineMs: 50 }), {
      code: 'PEER_UNREACHABLE',
      message: /no connection within 50 ms$/,
    });
  });

  it('waits for a peer that comes later', async () => {
    await using circle = await TrustCircle.create();
    const address = await freeAddress();
    const channel = await circle.channel('DistributionPoint', address);
    await assert.rejects(channel.unary('check', {}, { deadlineMs }), { code: 'PEER_UNREACHABLE' });
    const reachable = channel.whenReachable();
    await circle.serve('DistributionPoint', check, { address });
    await reachable;
    assert.ok(await channel.unary('check', {}, { deadlineMs }));
  });

  it('comes back by itself after the peer was away, also for calls that run', async () => {
    await using circle = await TrustCircle.create();
    const away = promised();
    const first = await circle.serve(
      'DistributionPoint',
      {
        ...check,
        ...silentInspect(() => away.resolve()),
      },
      { shutdownGraceMs: 0 },
    );
    const channel = await circle.channel('DistributionPoint', first.address);
    const parts = channel.serverStream('inspect', {}, {});
    await parts.next();
    await first.stop();
    await assert.rejects(parts.next(), { code: 'PEER_UNREACHABLE' });
    await away.promise;
    await assert.rejects(channel.unary('check', {}, { deadlineMs }), { code: 'PEER_UNREACHABLE' });
    await circle.serve('DistributionPoint', check, { address: first.address });
    await channel.whenReachable();
    assert.ok(await channel.unary('check', {}, { deadlineMs }));
  });

  it('gives up an attempt that is stuck, and tries anew', async () => {
    await using circle = await TrustCircle.create();
    let address = '';
    let reachable: Promise<void> | undefined;
    {
      await using silent = await silentListener();
      address = silent.address;
      const options = { connectDeadlineMs: 100 };
      const channel = await circle.channel('DistributionPoint', address, options);
      reachable = channel.whenReachable();
      // The attempt hangs in its handshake and is given up at least once.
      await assert.rejects(channel.unary('check', {}, { deadlineMs }));
    }
    await circle.serve('DistributionPoint', check, { address });
    await reachable;
  });

  it('ends waiting with AbortError when it is aborted or the channel is closed', async () => {
    await using circle = await TrustCircle.create();
    const channel = await circle.channel('DistributionPoint', await freeAddress());
    const abort = new AbortController();
    const waiting = channel.whenReachable(abort.signal);
    abort.abort();
    await assert.rejects(waiting, { name: 'AbortError' });
    const closed = channel.whenReachable();
    channel.close();
    await assert.rejects(closed, { name: 'AbortError' });
    await assert.rejects(channel.whenReachable(), { name: 'AbortError' });
    await assert.rejects(channel.unary('check', {}, { deadlineMs }), { name: 'AbortError' });
  });
});

describe('a peer that dies without a word', () => {
  const keepalive = { timeMs: 100, timeoutMs: 1_000 };

  it('is noticed by its caller', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('DistributionPoint', silentInspect());
    await using wire = await Wire.to(server.address);
    const channel = await circle.channel('DistributionPoint', wire.address, { keepalive });
    const parts = channel.serverStream('inspect', {}, {});
    await parts.next();
    wire.cut();
    await assert.rejects(parts.next(), { code: 'PEER_UNREACHABLE' });
  });

  it('is noticed by the server that it called', async () => {
    await using circle = await TrustCircle.create();
    const told = promised();
    const answers = silentInspect(() => told.resolve());
    const server = await circle.serve('DistributionPoint', answers, { keepalive });
    await using wire = await Wire.to(server.address);
    const channel = await circle.channel('DistributionPoint', wire.address);
    const parts = channel.serverStream('inspect', {}, {});
    await parts.next();
    wire.cut();
    await told.promise;
  });
});

describe('a server', () => {
  it('tells ADDRESS_IN_USE with the address', async () => {
    await using circle = await TrustCircle.create();
    const { address } = await circle.serve('DistributionPoint', check);
    await assert.rejects(circle.serve('DistributionPoint', check, { address }), {
      details: { code: 'ADDRESS_IN_USE', address },
    });
  });

  it('lets running calls end when it stops, and takes no new ones', async () => {
    await using circle = await TrustCircle.create();
    const started = promised();
    const release = promised();
    const server = await circle.serve('DistributionPoint', {
      check: async ({ dpId }) => {
        started.resolve();
        await release.promise;
        return { dpId };
      },
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    const running = channel.unary('check', { dpId: 'PS1DP1' }, { deadlineMs: 30_000 });
    await started.promise;
    const stopped = server.stop();
    const late = await circle.channel('DistributionPoint', server.address);
    await assert.rejects(late.unary('check', {}, { deadlineMs }), { code: 'PEER_UNREACHABLE' });
    release.resolve();
    assert.equal((await running).dpId, 'PS1DP1');
    await stopped;
  });

  it('cuts off calls that outlast the grace period, and waits until they know', async () => {
    await using circle = await TrustCircle.create();
    const started = promised();
    let isOver = false;
    const server = await circle.serve(
      'DistributionPoint',
      {
        check: async (_request, { signal }) => {
          started.resolve();
          await aborted(signal);
          isOver = true;
          return {};
        },
      },
      { shutdownGraceMs: 20 },
    );
    const channel = await circle.channel('DistributionPoint', server.address);
    const running = assert.rejects(channel.unary('check', {}, { deadlineMs }), {
      code: 'PEER_UNREACHABLE',
    });
    await started.promise;
    await server.stop();
    assert.equal(isOver, true);
    await running;
  });

  it('may be stopped twice, and before it was started', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.newServer();
    await server.stop();
    const started = await circle.serve('DistributionPoint', check);
    await Promise.all([started.stop(), started.stop()]);
  });

  it('closes connections that never finish their handshake when it stops', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('DistributionPoint', check, { shutdownGraceMs: 20 });
    const [host = '', port] = server.address.split(':');
    const socket = createConnection({ host, port: Number(port) });
    await once(socket, 'connect');
    await server.stop();
    await once(socket.resume(), 'close');
  });
});
