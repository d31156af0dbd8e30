import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import type { PeerCredentials } from '../shared/rpc/peer-credentials.ts';

/** Whom to attack, and as whom. */
export interface Target {
  readonly address: string;
  readonly credentials: PeerCredentials;
  /** Address of ours to come from. @default what the system takes */
  readonly localAddress?: string;
  /** The methods that are called, by full path. @default those of `defaultPaths` */
  readonly paths?: AttackedPaths;
}

/** Methods of one service. */
export interface AttackedPaths {
  /** Whose caller sends a stream, where the service has one. */
  readonly streamed: string;
  /** Whose caller sends one message. */
  readonly single: string;
}

/** What anybody with a certificate may call, at sites and DPs. */
export const defaultPaths: AttackedPaths = {
  streamed: '/waybill.v1.Content/Fetch',
  single: '/waybill.v1.Content/WatchHoldings',
};

/** Types of frames (RFC 9113, 6). */
export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  resetStream: 3,
  settings: 4,
  ping: 6,
  windowUpdate: 8,
  continuation: 9,
  /** None that anybody knows. */
  unknown: 0x77,
} as const;

/** Flags of frames. */
export const flags = { endStream: 1, acknowledgement: 1, endHeaders: 4, padded: 8 } as const;

/** What this process has done to others so far: an attack that does nothing proves nothing. */
export const blows = { connectionCount: 0, writtenBytes: 0 };

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** One frame of HTTP/2 as it travels. */
export function frame(
  type: number,
  flag: number,
  streamId: number,
  payload: Uint8Array = Buffer.alloc(0),
) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flag, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

/** Headers of a call in HPACK, each spelled out. */
export function headersOf(path: string, others: Readonly<Record<string, string>> = {}): Buffer {
  const all = {
    ...{ ':method': 'POST', ':scheme': 'https', ':path': path, ':authority': 'waybill.invalid' },
    ...{ te: 'trailers', 'content-type': 'application/grpc', ...others },
  };
  return Buffer.concat(Object.entries(all).map(([name, value]) => literal(name, value)));
}

/** A message as gRPC has it on the wire. */
export function framed(message: Uint8Array, { flag = 0, length = message.length } = {}): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flag, 0);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

function literal(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.of(0), text(name), text(value)]);
}

/** A string of HPACK, without Huffman (RFC 7541, 5). */
function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  const length: number[] = [127];
  for (let rest = bytes.length - 127; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) {
      length.push(rest);
      break;
    }
    length.push((rest % 128) + 128);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** A connection that speaks HTTP/2 frame by frame and keeps none of its rules. */
export class RawHttp2 implements Disposable {
  readonly socket: TLSSocket;
  #nextStreamId = 1;

  private constructor(socket: TLSSocket) {
    this.socket = socket;
  }

  /** TLS alone: nothing of HTTP/2 has been said. @throws when the server refuses */
  static async connect({ address, credentials, localAddress }: Target): Promise<RawHttp2> {
    const [host = '', port] = address.split(':');
    const { ca, certificate: cert, key } = credentials;
    const socket = connect({
      ...{ host, port: Number(port), ca, cert, key, ALPNProtocols: ['h2'] },
      ...(localAddress !== undefined && { localAddress }),
      checkServerIdentity: () => undefined,
    });
    socket.on('error', () => {});
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(20_000) });
    blows.connectionCount += 1;
    // Who does not read does not hear either that it is over.
    socket.resume();
    return new RawHttp2(socket);
  }

  /** Connects, and says what each connection begins with. Answers pings, so that it counts as alive. */
  static async open(target: Target): Promise<RawHttp2> {
    const raw = await RawHttp2.connect(target);
    raw.#answerPings();
    await raw.write(preface, frame(frameTypes.settings, 0, 0));
    return raw;
  }

  get isOpen(): boolean {
    return !this.socket.destroyed && this.socket.writable;
  }

  /** Writes as fast as the server reads. Does nothing when it has hung up. */
  async write(...frames: readonly Buffer[]): Promise<void> {
    if (!this.isOpen) return;
    const bytes = Buffer.concat(frames);
    blows.writtenBytes += bytes.length;
    if (this.socket.write(bytes)) return;
    const over = new AbortController();
    const { signal } = over;
    const waits = [once(this.socket, 'drain', { signal }), once(this.socket, 'close', { signal })];
    await Promise.race(waits).catch(() => {});
    over.abort();
    await Promise.allSettled(waits);
  }

  /** Begins a call. @returns its number */
  async call(path: string, others: Readonly<Record<string, string>> = {}, flag = 0) {
    const id = this.#nextStreamId;
    this.#nextStreamId += 2;
    await this.write(
      frame(frameTypes.headers, flags.endHeaders | flag, id, headersOf(path, others)),
    );
    return id;
  }

  /** Bytes of a call, cut into frames. */
  async send(streamId: number, bytes: Buffer, frameBytes = 16_384): Promise<void> {
    for (let at = 0; at < bytes.length && this.isOpen; at += frameBytes) {
      await this.write(frame(frameTypes.data, 0, streamId, bytes.subarray(at, at + frameBytes)));
    }
  }

  /** Resolves when the server has hung up; false when it has not within this time. */
  async closed(withinMs: number): Promise<boolean> {
    for (const untilMs = performance.now() + withinMs; performance.now() < untilMs; ) {
      if (this.socket.destroyed) return true;
      await sleep(20);
    }
    return this.socket.destroyed;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  /** Looks for pings at the places where frames begin. */
  #answerPings(): void {
    let rest = Buffer.alloc(0);
    this.socket.on('data', (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes]);
      while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
        const length = rest.readUIntBE(0, 3);
        const payload = rest.subarray(9, 9 + length);
        const [type, flag] = [rest.readUInt8(3), rest.readUInt8(4)];
        rest = rest.subarray(9 + length);
        if ((flag & flags.acknowledgement) !== 0 || !this.isOpen) continue;
        if (type === frameTypes.ping) {
          this.socket.write(frame(frameTypes.ping, flags.acknowledgement, 0, payload));
        }
        if (type === frameTypes.settings) {
          this.socket.write(frame(frameTypes.settings, flags.acknowledgement, 0));
        }
      }
    });
  }
}
