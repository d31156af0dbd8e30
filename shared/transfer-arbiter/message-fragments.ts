import { WaybillError } from '../domain/errors.ts';
import { messageBytesMax } from '../rpc/rpc-limits.ts';
import type { TransferPermit } from './transfer-permit.ts';

/** The message of the wire. */
export interface MessageFragment {
  readonly data: Uint8Array;
  readonly last: boolean;
}

/** What may leave of a message: all of it at once, as it is, or the next part. */
export type MessagePart =
  | { readonly message: Buffer; readonly fragment?: undefined }
  | { readonly message?: undefined; readonly fragment: MessageFragment };

/**
 * Gives an encoded message in the parts in which it may leave, each when it may: without a limit the
 * message itself, else fragments. Parts are views of its memory, to be used before the next is asked for.
 *
 * @param message at most `messageBytesMax`, and not empty
 * @throws AbortError as soon as the signal fires
 */
export async function* partsOf(
  message: Buffer,
  permit: Pick<TransferPermit, 'takePart'>,
  signal: AbortSignal,
): AsyncGenerator<MessagePart, void> {
  for (let offset = 0; offset < message.length; ) {
    const bytes = await permit.takePart(message.length - offset, signal);
    if (bytes === message.length) {
      yield { message };
      return;
    }
    const data = message.subarray(offset, offset + bytes);
    offset += bytes;
    yield { fragment: { data, last: offset === message.length } };
  }
}

/**
 * Puts together what came in fragments, one message after another, of one stream. Holds no more than
 * about twice what has come of the message, and never more than the longest message.
 */
export class MessageAssembly {
  #memory = new Uint8Array(0);
  #length = 0;

  /** Whether fragments of a message have come, and not the last. */
  get isUnderWay(): boolean {
    return this.#length > 0;
  }

  /**
   * Takes the next fragment; its memory is not kept.
   *
   * @returns the encoded message when it is whole, in memory of its own; undefined when more is to come
   * @throws MESSAGE_INVALID when it is empty, or the message would be over the limit
   */
  add({ data, last }: MessageFragment): Buffer | undefined {
    if (data.length === 0) throw invalidFragment('one byte at least', 'none');
    const length = this.#length + data.length;
    if (length > messageBytesMax) {
      throw invalidFragment(`a message of ${messageBytesMax} bytes at most`, `${length} bytes`);
    }
    if (length > this.#memory.length) this.#grow(length, last);
    this.#memory.set(data, this.#length);
    this.#length = length;
    return last ? this.#taken() : undefined;
  }

  #grow(length: number, isLast: boolean): void {
    const roomBytes = isLast ? length : Math.min(messageBytesMax, 2 * length);
    const memory = new Uint8Array(roomBytes);
    memory.set(this.#memory.subarray(0, this.#length));
    this.#memory = memory;
  }

  #taken(): Buffer {
    const { buffer, byteOffset } = this.#memory;
    const message = Buffer.from(buffer, byteOffset, this.#length);
    this.#memory = new Uint8Array(0);
    this.#length = 0;
    return message;
  }
}

function invalidFragment(expected: string, actual: string): WaybillError {
  return new WaybillError({ code: 'MESSAGE_INVALID', field: 'fragment', expected, actual });
}
