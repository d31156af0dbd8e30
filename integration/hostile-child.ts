import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, WaybillError } from '../shared/domain/errors.ts';
import type { ReplicatedTable } from '../shared/domain/replicated-tables.ts';
import type { RequestOf, ResponseOf } from '../shared/rpc/conversation.ts';
import type { PeerCredentials } from '../shared/rpc/peer-credentials.ts';
import type { RpcChannel } from '../shared/rpc/rpc-channel.ts';
import { methodDefinition } from '../shared/rpc/service-definitions.ts';

/** A message of a child to its parent. */
export type Message = RequestOf<'Replication', 'synchronise'>;
type Hello = NonNullable<Message['hello']>;
type Row = NonNullable<NonNullable<Message['changes']>['rows']>[number];
type Call = ReturnType<RpcChannel<'Replication'>['duplex']>;

interface Known {
  readonly sequence: number;
  readonly messageSerial: number;
}

/** A row as it is on the wire, but for its number. */
export interface ForgedRow {
  readonly table: ReplicatedTable | 'passwords';
  readonly key: string;
  /** Absent: the row is deleted. */
  readonly value?: unknown;
  /** How far in the future it was changed. */
  readonly aheadMs?: number;
  /** Who is said to have changed it; default: the origin. */
  readonly by?: string;
}

/** How long a parent may take to refuse what came. */
const refusalMsMax = 20_000;

/** Speaks with the parent of a site that somebody has taken over, as the site's server does. */
export class HostileChild implements Disposable {
  readonly siteCode: string;
  readonly call: Call;
  #known = new Map<string, Known>();

  private constructor(siteCode: string, call: Call) {
    this.siteCode = siteCode;
    this.call = call;
  }

  /** What the parent says that it has of the site's own changes and messages. */
  get known(): Known {
    return this.knownOf(this.siteCode);
  }

  /** The same of any site. */
  knownOf(origin: string): Known {
    return this.#known.get(origin) ?? { sequence: 0, messageSerial: 0 };
  }

  static helloOf(siteCode: string, claims: Partial<Hello> = {}): Message {
    const place = { siteCode, kind: 'SITE_KIND_PRIMARY' as const, parentSiteCode: 'CS1' };
    return { hello: { ...place, layout: 1, cursors: [], nowMs: Date.now(), ...claims } };
  }

  /** Opens a stream and says Hello; what it claims need not be so. */
  static async greet(
    channel: RpcChannel<'Replication'>,
    siteCode: string,
    claims: Partial<Hello> = {},
  ): Promise<HostileChild> {
    const child = new HostileChild(siteCode, channel.duplex('synchronise', {}));
    await child.call.write(HostileChild.helloOf(siteCode, claims));
    return child;
  }

  /** Greets until the parent answers: what it refused a moment ago it does not look at again at once. */
  static async join(
    channel: RpcChannel<'Replication'>,
    siteCode: string,
    claims: Partial<Hello> = {},
  ): Promise<HostileChild> {
    for (const untilMs = performance.now() + refusalMsMax; ; ) {
      const child = await HostileChild.greet(channel, siteCode, claims);
      try {
        child.#heard(await child.call.read());
        return child;
      } catch (error) {
        child.call.cancel();
        if (!(error instanceof WaybillError) || performance.now() > untilMs) throw error;
      }
      await sleep(5);
    }
  }

  /** Changes of this site, or of who it says, that follow what the parent has. */
  changes(
    rows: readonly ForgedRow[],
    claims: { readonly origin?: string; readonly after?: number; readonly through?: number } = {},
  ): Message {
    const { origin = this.siteCode, after = this.known.sequence } = claims;
    const { through = after + rows.length } = claims;
    const numbered = rows.map((row, index) => wireRow(row, origin, after + 1 + index));
    return { changes: { originSiteCode: origin, after, through, rows: numbered } };
  }

  /** Sends, and answers with the code of the parent's refusal. */
  async refusalOf(...messages: readonly Message[]): Promise<ErrorCode> {
    // What is refused may end the stream before all of it is written.
    for (const message of messages) this.call.write(message).catch(() => {});
    return this.refusal();
  }

  /** The code with which the parent refuses what came, or ends the stream; nothing is answered before. */
  async refusal(): Promise<ErrorCode> {
    const timer = setTimeout(() => this.call.cancel(), refusalMsMax);
    try {
      for (let said = await this.call.read(); said; said = await this.call.read()) {
        if (said.refused) return said.refused.code as ErrorCode;
      }
      return assert.fail('the parent ended the stream well');
    } catch (error) {
      if (error instanceof WaybillError) return error.code;
      throw error;
    } finally {
      clearTimeout(timer);
      this.call.cancel();
    }
  }

  /** Sends a right message; resolves when the parent has it on disk. */
  async applied(message: Message): Promise<void> {
    await this.call.write(message);
    for (;;) {
      const answer = await this.call.read();
      const cursor = answer?.applied?.cursor;
      if (cursor?.originSiteCode === this.siteCode) {
        this.#known.set(this.siteCode, { ...this.known, sequence: Number(cursor.sequence) });
        return;
      }
    }
  }

  /** Ends the stream as a site does that stops. */
  async leave(): Promise<void> {
    this.call.end();
    while (await this.call.read());
  }

  [Symbol.dispose](): void {
    this.call.cancel();
  }

  #heard(message: ResponseOf<'Replication', 'synchronise'> | undefined): void {
    assert.ok(message?.hello, 'the parent says Hello first');
    for (const { originSiteCode, sequence, messageSerial } of message.hello.cursors) {
      this.#known.set(originSiteCode, {
        sequence: Number(sequence),
        messageSerial: Number(messageSerial),
      });
    }
  }
}

/**
 * Says Hello, the same message so many times, and a last one, in as few writes as there can be; no
 * program of ours sends so.
 *
 * @returns how the parent ends the stream: the number of its gRPC status
 */
export async function floodOf(
  target: { readonly address: string; readonly credentials: PeerCredentials },
  {
    hello,
    message,
    count,
    last,
  }: { hello: Message; message: Message; count: number; last: Message },
): Promise<string> {
  const { path, requestSerialize } = methodDefinition('Replication', 'synchronise');
  const { ca, certificate: cert, key } = target.credentials;
  const session = connect(`https://${target.address}`, {
    ...{ ca, cert, key, checkServerIdentity: () => undefined },
  });
  try {
    const headers = { ':method': 'POST', ':path': path, te: 'trailers' };
    const stream = session.request({ ...headers, 'content-type': 'application/grpc' });
    const frames = Array<Buffer>(count).fill(framed(requestSerialize(message)));
    const [first, end] = [hello, last].map((one) => framed(requestSerialize(one)));
    stream.end(Buffer.concat([first ?? assert.fail(), ...frames, end ?? assert.fail()]));
    stream.resume();
    const [trailers] = await once(stream, 'trailers');
    return String(trailers['grpc-status']);
  } finally {
    session.destroy();
  }
}

/** A message as gRPC has it on the wire. */
function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function wireRow(
  { table, key, value, aheadMs = 0, by }: ForgedRow,
  origin: string,
  sequence: number,
): Row {
  const isDeleted = value === undefined;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return {
    ...{ table, key, sequence, deleted: isDeleted, value: isDeleted ? '' : text },
    changedAt: { wallMs: Date.now() + aheadMs, counter: 0, siteCode: by ?? origin },
  };
}
