import type { StatusMessage } from '../../shared/domain/status-message.ts';
import { joinKey, type KeySpace, keySpaces } from '../../shared/state-store/key-space.ts';
import type { RecordStore } from '../../shared/state-store/record-store.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { ChangeLog } from './change-log.ts';

/** What the message log needs. */
export interface MessageLogComponents {
  readonly store: Pick<StateStore, 'records' | 'onWritten'>;
  readonly log: ChangeLog;
}

/** Messages of one origin that follow each other, as JSON. */
export interface MessagePart {
  readonly after: number;
  readonly through: number;
  readonly messages: readonly string[];
}

/** Messages of one part at most. */
const partCountMax = 1_000;

/**
 * Status messages on their way up: those of this site, and those the sites below have sent, by serial.
 * A serial of this site gets an offset on its way, once a parent knows messages this site has lost.
 */
export class MessageLog {
  readonly #components: MessageLogComponents;
  readonly #listeners = new Set<() => void>();
  #newest = 0;
  #synced = 0;
  #unsubscribe = () => {};

  constructor(components: MessageLogComponents) {
    this.#components = components;
  }

  async start(): Promise<void> {
    const { store } = this.#components;
    const { name } = keySpaces.statusMessages;
    this.#unsubscribe = store.onWritten((changes) => {
      const before = this.#newest;
      for (const { type, space, key } of changes) {
        if (type === 'put' && space === name) this.#newest = Math.max(this.#newest, Number(key));
      }
      if (this.#newest > before) for (const listener of this.#listeners) listener();
    });
    const newest = store.records(keySpaces.statusMessages).list({ reverse: true, limit: 1 });
    for await (const [key] of newest) this.#newest = Math.max(this.#newest, Number(key));
    this.#synced = this.#newest;
  }

  stop(): void {
    this.#unsubscribe();
  }

  /** Calls `listener` when this site has written a message. @returns ends it */
  onWritten(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The newest serial of an origin, as it travels. */
  headOf(origin: string): number {
    const { log } = this.#components;
    if (origin !== log.capture.siteCode) return log.originState(origin).messageSerial;
    return this.#newest === 0 ? 0 : this.#newest + log.capture.messageOffset;
  }

  /** Makes serials new to a parent that knows higher ones: this site has lost its store since. */
  async raiseAbove(serial: number): Promise<void> {
    const { capture } = this.#components.log;
    if (serial <= this.#newest + capture.messageOffset) return;
    await capture.setMessageOffset(serial);
  }

  /** The messages after a serial; synced to disk. */
  async read(
    origin: string,
    after: number,
    limits: { countMax: number; bytesMax: number },
  ): Promise<MessagePart> {
    const { log } = this.#components;
    const head = this.headOf(origin);
    const isOwn = origin === log.capture.siteCode;
    if (isOwn) await this.#sync();
    const offset = isOwn ? log.capture.messageOffset : 0;
    // Older ones the parent would not keep.
    const from = Math.max(after, head - limits.countMax);
    const messages: string[] = [];
    let through = from;
    let byteCount = 0;
    for await (const [serial, message] of this.#list(origin, from - offset, head - offset)) {
      const json = JSON.stringify({ ...message, serial: serial + offset });
      byteCount += Buffer.byteLength(json) + 8;
      const isFull = messages.length >= partCountMax || byteCount > limits.bytesMax;
      if (messages.length > 0 && isFull) return { after, through, messages };
      messages.push(json);
      through = serial + offset;
    }
    return { after, through: head, messages };
  }

  /** A power cut must not take back what a parent has. */
  async #sync(): Promise<void> {
    const newest = this.#newest;
    if (newest <= this.#synced) return;
    await this.#components.log.capture.syncAll();
    this.#synced = newest;
  }

  async *#list(
    origin: string,
    after: number,
    until: number,
  ): AsyncIterable<[number, StatusMessage]> {
    const { log } = this.#components;
    const own = origin === log.capture.siteCode;
    const key = (serial: number) =>
      own ? joinKey(Math.max(0, serial)) : joinKey(origin, Math.max(0, serial));
    const range = { gt: key(after), lte: key(until), limit: partCountMax + 1 };
    const space = own ? keySpaces.statusMessages : keySpaces.siteStatusMessages;
    for await (const [rowKey, message] of this.#records(space).list(range)) {
      yield [Number(rowKey.slice(rowKey.lastIndexOf('/') + 1)), message];
    }
  }

  #records(space: KeySpace<StatusMessage>): RecordStore<StatusMessage> {
    return this.#components.store.records(space);
  }
}
