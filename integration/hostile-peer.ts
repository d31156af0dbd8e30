import { once, setMaxListeners } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { constants, gzipSync } from 'node:zlib';
import {
  type AttackedPaths,
  blows,
  defaultPaths,
  flags,
  frame,
  framed,
  frameTypes,
  RawHttp2,
  type Target,
} from './raw-http2.ts';

const mebibyte = 1024 * 1024;

/** One that no peer of these tests may make, whose caller sends many messages. */
const refusedPaths = [
  '/waybill.v1.DistributionPoint/PutContent',
  '/waybill.v1.SiteTransfer/PutFile',
] as const;

/** What somebody does to a server until he is told to stop; never rejects for being refused. */
export interface Attack {
  readonly name: string;
  /** Whether it needs a certificate of the hierarchy. */
  readonly needsCertificate: boolean;
  /** What it has to do at least: one that is turned away at once proves nothing. */
  readonly does: { readonly connections?: number; readonly bytes?: number };
  run(target: Target, signal: AbortSignal): Promise<unknown>;
}

/** Does something with one connection after another, each as long as it lasts. */
export async function withConnections(
  target: Target,
  signal: AbortSignal,
  use: (raw: RawHttp2, paths: AttackedPaths) => Promise<void>,
): Promise<void> {
  const { paths = defaultPaths } = target;
  setMaxListeners(0, signal);
  while (!signal.aborted) {
    try {
      using raw = await RawHttp2.open(target);
      const stop = () => raw.socket.destroy();
      signal.addEventListener('abort', stop, { once: true });
      while (!signal.aborted && raw.isOpen) await use(raw, paths);
      signal.removeEventListener('abort', stop);
    } catch {
      // Refused: he tries again.
      await pause(20, signal);
    }
    await pause(1, signal);
  }
}

/** The same frames again and again, as many in one write as fill a few records. */
function flood(name: string, one: () => Buffer): Attack {
  return {
    name,
    does: { bytes: 100_000 },
    needsCertificate: true,
    run: async (target, signal) => {
      const many = Buffer.concat(Array.from({ length: 500 }, one));
      await withConnections(target, signal, async (raw) => {
        await raw.write(many);
        await sleep(0);
      });
    },
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return sleep(ms, undefined, { signal }).catch(() => {});
}

/** Keeps so many sockets open, each used once. */
async function keepOpen(
  count: number,
  signal: AbortSignal,
  open: () => Promise<Socket | undefined>,
): Promise<void> {
  const sockets = new Set<Socket>();
  setMaxListeners(0, signal);
  signal.addEventListener('abort', () => {
    for (const socket of sockets) socket.destroy();
  });
  while (!signal.aborted) {
    if (sockets.size >= count) {
      await pause(10, signal);
      continue;
    }
    const socket = await open().catch(() => undefined);
    if (socket) {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      socket.on('error', () => {});
    }
    await pause(2, signal);
  }
  for (const socket of sockets) socket.destroy();
}

async function tcp({ address, localAddress }: Target): Promise<Socket> {
  const [host = '', port] = address.split(':');
  const socket = connectTcp({ host, port: Number(port), ...(localAddress && { localAddress }) });
  socket.on('error', () => {});
  await once(socket, 'connect');
  blows.connectionCount += 1;
  return socket;
}

/** The beginning of a handshake, that is never ended. */
const helloBeginning = Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc]);

const withoutCertificate: readonly Attack[] = [
  {
    name: 'sockets that say nothing',
    does: { connections: 50 },
    needsCertificate: false,
    run: (target, signal) => keepOpen(300, signal, () => tcp(target)),
  },
  {
    name: 'handshakes byte by byte',
    does: { connections: 20 },
    needsCertificate: false,
    run: (target, signal) =>
      keepOpen(100, signal, async () => {
        const socket = await tcp(target);
        let at = 0;
        const timer = setInterval(() => socket.write(helloBeginning.subarray(at, ++at)), 500);
        socket.once('close', () => clearInterval(timer));
        return socket;
      }),
  },
  {
    name: 'handshakes without a certificate',
    does: { connections: 50 },
    needsCertificate: false,
    run: async (target, signal) => {
      const [host = '', port] = target.address.split(':');
      const knock = async () => {
        const { localAddress, credentials } = target;
        const options = { host, port: Number(port), ca: credentials.ca, ALPNProtocols: ['h2'] };
        const socket = connectTls({ ...options, ...(localAddress && { localAddress }) });
        socket.on('error', () => {});
        socket.resume();
        await once(socket, 'close').catch(() => {});
        blows.connectionCount += 1;
      };
      const one = async () => {
        while (!signal.aborted) {
          await knock();
          await pause(1, signal);
        }
      };
      await Promise.all(Array.from({ length: 8 }, one));
    },
  },
  {
    name: 'bytes that are no TLS',
    does: { connections: 20 },
    needsCertificate: false,
    run: (target, signal) =>
      keepOpen(50, signal, async () => {
        const socket = await tcp(target);
        socket.write(Buffer.alloc(mebibyte, 'GET / HTTP/1.1\r\n'));
        return socket;
      }),
  },
];

const floods: readonly Attack[] = [
  flood('pings', () => frame(frameTypes.ping, 0, 0, Buffer.alloc(8, 7))),
  flood('settings', () => frame(frameTypes.settings, 0, 0, Buffer.from([0, 4, 0, 1, 0, 0]))),
  flood('priorities', () => frame(frameTypes.priority, 0, 3, Buffer.from([0, 0, 0, 0, 200]))),
  flood('window updates', () => frame(frameTypes.windowUpdate, 0, 0, Buffer.from([0, 0, 0, 1]))),
  flood('frames nobody knows', () => frame(frameTypes.unknown, 0, 0, Buffer.alloc(4_096))),
  flood('headers of no call', () => frame(frameTypes.headers, 0, 0, Buffer.alloc(64))),
];

const calls: readonly Attack[] = [
  {
    name: 'calls begun and taken back (rapid reset)',
    does: { bytes: 10_000 },
    needsCertificate: true,
    run: (target, signal) =>
      withConnections(target, signal, async (raw, { streamed }) => {
        const id = await raw.call(streamed);
        await raw.write(frame(frameTypes.resetStream, 0, id, Buffer.from([0, 0, 0, 8])));
        if (id % 200 === 1) await sleep(0);
      }),
  },
  {
    name: 'calls without end',
    does: { bytes: 5_000 },
    needsCertificate: true,
    run: (target, signal) =>
      withConnections(target, signal, async (raw, { single }) => {
        await raw.call(single, {}, flags.endStream);
        await sleep(0);
      }),
  },
  {
    name: 'calls of methods that are refused',
    does: { bytes: 5_000 },
    needsCertificate: true,
    run: (target, signal) =>
      withConnections(target, signal, async (raw) => {
        for (const path of refusedPaths) await raw.call(path, {}, flags.endStream);
        await sleep(1);
      }),
  },
  {
    name: 'headers as long as can be',
    does: { bytes: 20_000 },
    needsCertificate: true,
    run: (target, signal) =>
      withConnections(target, signal, async (raw, { streamed }) => {
        const many = Array.from({ length: 200 }, (_, index) => [`x-${index}`, 'y'.repeat(60)]);
        await raw.call(streamed, Object.fromEntries(many));
        await sleep(1);
      }),
  },
  {
    name: 'headers without end (continuation)',
    does: { bytes: 20_000 },
    needsCertificate: true,
    run: (target, signal) =>
      withConnections(target, signal, async (raw) => {
        await raw.write(frame(frameTypes.headers, 0, 1, Buffer.alloc(10)));
        for (let count = 0; count < 1_000; count++) {
          await raw.write(frame(frameTypes.continuation, 0, 1, Buffer.alloc(1_000)));
        }
      }),
  },
];

const messages: readonly Attack[] = [
  {
    name: 'a message byte by byte',
    does: { bytes: 50_000 },
    needsCertificate: true,
    run: (target, signal) =>
      withConnections(target, signal, async (raw, { streamed }) => {
        const id = await raw.call(streamed);
        const crumbs = Buffer.concat(
          Array.from({ length: 500 }, () => frame(frameTypes.data, 0, id, Buffer.of(0))),
        );
        await raw.write(
          frame(frameTypes.data, 0, id, framed(Buffer.alloc(0), { length: mebibyte })),
        );
        for (let count = 0; count < 2_000 && raw.isOpen; count++) await raw.write(crumbs);
      }),
  },
  {
    name: 'messages that begin and do not end',
    does: { bytes: 60_000 },
    needsCertificate: true,
    run: (target, signal) =>
      withConnections(target, signal, async (raw, { streamed }) => {
        const beginning = framed(Buffer.alloc(60_000), { length: mebibyte });
        for (let count = 0; count < 100 && raw.isOpen; count++) {
          await raw.send(await raw.call(streamed), beginning);
        }
        await raw.closed(60_000);
      }),
  },
  {
    name: 'the only messages of calls that do not end',
    does: { bytes: 1_000_000 },
    needsCertificate: true,
    run: (target, signal) => {
      const one = () =>
        withConnections(target, signal, async (raw, { single }) => {
          for (let count = 0; count < 100 && raw.isOpen; count++) {
            await raw.send(await raw.call(single), framed(Buffer.alloc(250_000)));
          }
          await raw.closed(60_000);
        });
      return Promise.all(Array.from({ length: 4 }, one));
    },
  },
  {
    name: 'a million messages of no bytes',
    does: { bytes: 100_000 },
    needsCertificate: true,
    run: (target, signal) =>
      withConnections(target, signal, async (raw, { streamed }) => {
        const id = await raw.call(streamed);
        const many = Buffer.alloc(5 * 3_000);
        for (let count = 0; count < 350 && raw.isOpen; count++) {
          await raw.send(id, many);
          await sleep(0);
        }
      }),
  },
  {
    name: 'data without end for a call that is refused',
    does: { bytes: 500_000 },
    needsCertificate: true,
    run: (target, signal) =>
      withConnections(target, signal, async (raw) => {
        const ids = await Promise.all(refusedPaths.map((path) => raw.call(path)));
        for (let count = 0; count < 200 && raw.isOpen; count++) {
          for (const id of ids) await raw.send(id, Buffer.alloc(16_384));
          await sleep(0);
        }
      }),
  },
  {
    name: 'a message that says it has 4 GiB',
    does: { bytes: 60_000 },
    needsCertificate: true,
    run: (target, signal) =>
      withConnections(target, signal, async (raw, { streamed }) => {
        const id = await raw.call(streamed);
        await raw.send(id, framed(Buffer.alloc(65_536), { length: 0xffffffff }));
        await sleep(1);
      }),
  },
  {
    name: 'a bomb of 1 GiB (gzip)',
    does: { bytes: 1_000_000 },
    needsCertificate: true,
    run: (target, signal) =>
      withConnections(target, signal, async (raw, { streamed }) => {
        for (const headers of [{ 'grpc-encoding': 'gzip' }, {}]) {
          const id = await raw.call(streamed, headers);
          await raw.send(id, framed(gigabyteBomb(), { flag: 1 }));
        }
        await sleep(5);
      }),
  },
  {
    name: 'a thousand connections',
    does: { connections: 60 },
    needsCertificate: true,
    run: (target, signal) =>
      Promise.all(
        Array.from({ length: 8 }, () =>
          keepOpen(125, signal, async () => (await RawHttp2.open(target)).socket),
        ),
      ),
  },
  {
    name: 'connections that say nothing after the handshake',
    does: { connections: 30 },
    needsCertificate: true,
    run: (target, signal) =>
      keepOpen(60, signal, async () => (await RawHttp2.connect(target)).socket),
  },
];

let bomb: Buffer | undefined;

/** 1 GiB of zeros, as small as gzip makes it: a little over a mebibyte's thousandth part. */
export function gigabyteBomb(): Buffer {
  bomb ??= makeBomb();
  return bomb;
}

/** Gzip of many members is gzip: one of 64 MiB, sixteen times. */
function makeBomb(): Buffer {
  const part = gzipSync(Buffer.alloc(64 * mebibyte), { level: constants.Z_BEST_COMPRESSION });
  return Buffer.concat(Array<Buffer>(16).fill(part));
}

/** What he does to sockets and TLS, to HTTP/2, with calls, and with what they bring. */
export const attacksByClass = { handshakes: withoutCertificate, frames: floods, calls, messages };

/** Everything a hostile peer does here. */
export const attacks: readonly Attack[] = Object.values(attacksByClass).flat();
