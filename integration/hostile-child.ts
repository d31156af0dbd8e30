import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, WaybillError } from '../shared/domain/errors.ts';
import type { ReplicatedTable } from '../shared/domain/replicated-tables.ts';
import type { RequestOf, ResponseOf } from '../shared/rpc/conversation.ts';
import type { RpcChannel } from '../shared/rpc/rpc-channel.ts';

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

  /** Opens a stream and says Hello; what it claims need not be so. */
  static async greet(
    channel: RpcChannel<'Replication'>,
    siteCode: string,
    claims: Partial<Hello> = {},
  ): Promise<HostileChild> {
    const child = new HostileChild(siteCode, channel.duplex('synchronise', {}));
    const hello = {
      ...{ siteCode, kind: 'SITE_KIND_PRIMARY' as const, parentSiteCode: 'CS1', layout: 1 },
      ...{ cursors: [], nowMs: Date.now(), ...claims },
    };
    await child.call.write({ hello });
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

  /** The code with which the parent ends the stream; what it says before is not answered. */
  async refusal(): Promise<ErrorCode> {
    const timer = setTimeout(() => this.call.cancel(), refusalMsMax);
    try {
      while (await this.call.read());
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
