import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type {
  AdminAnswer,
  AdminChannel,
  AdminRequest,
  AdminStream,
  AdminUnary,
} from './admin-channel.ts';

/** What a watch has to tell: something changed, or the site server went or came back. */
export type WatchEvent<T> =
  | { readonly kind: 'change'; readonly item: T }
  | { readonly kind: 'lost' }
  /** All that is so now follows as changes; what was seen before may be outdated. */
  | { readonly kind: 'back' };

/** How patiently a site server is asked. */
export interface AdminConfig {
  /** For a call with one answer. @default 30_000 */
  readonly answerMsMax: number;
  /** For a whole list. @default 300_000 */
  readonly listMsMax: number;
  /** Between the loss of a watch and the next try. @default 1_000 */
  readonly returnDelayMs: number;
}

const defaultAdminConfig: AdminConfig = {
  answerMsMax: 30_000,
  listMsMax: 300_000,
  returnDelayMs: 1_000,
};

/** Asks a site server, with deadlines, until the administrator interrupts. */
export class Admin {
  readonly #channel: AdminChannel;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #config: AdminConfig;

  constructor(
    needs: { channel: AdminChannel; clock: Clock; signal: AbortSignal },
    config = defaultAdminConfig,
  ) {
    this.#channel = needs.channel;
    this.#clock = needs.clock;
    this.#signal = needs.signal;
    this.#config = config;
  }

  /** One call with one answer. */
  ask<M extends AdminUnary>(method: M, request: AdminRequest<M>): Promise<AdminAnswer<M>> {
    const deadlineMs = this.#config.answerMsMax;
    return this.#channel.unary(method, request, { deadlineMs, signal: this.#signal });
  }

  /** A list, item by item as it comes. */
  stream<M extends AdminStream>(
    method: M,
    request: AdminRequest<M>,
    signal: AbortSignal = this.#signal,
  ): AsyncIterable<AdminAnswer<M>> {
    const deadlineMs = this.#config.listMsMax;
    return this.#channel.serverStream(method, request, { deadlineMs, signal });
  }

  /** What is told of work until it has ended, however long that takes. */
  follow<M extends AdminStream>(
    method: M,
    request: AdminRequest<M>,
  ): AsyncIterable<AdminAnswer<M>> {
    return this.#channel.serverStream(method, request, { signal: this.#signal });
  }

  /** The whole of a list. */
  async list<M extends AdminStream>(
    method: M,
    request: AdminRequest<M>,
    signal: AbortSignal = this.#signal,
  ): Promise<AdminAnswer<M>[]> {
    const items: AdminAnswer<M>[] = [];
    for await (const item of this.stream(method, request, signal)) items.push(item);
    return items;
  }

  /** The whole of a list for which a site has to work, for as long as that takes: no deadline ends it. */
  async listUnhurried<M extends AdminStream>(
    method: M,
    request: AdminRequest<M>,
  ): Promise<AdminAnswer<M>[]> {
    const items: AdminAnswer<M>[] = [];
    const answers = this.#channel.serverStream(method, request, { signal: this.#signal });
    for await (const item of answers) items.push(item);
    return items;
  }

  /**
   * Changes until the caller leaves the loop. Survives a restart of the site server; so ask
   * something else first, to tell a server that is away for a while from a wrong address.
   *
   * @param request asked anew at each return
   */
  async *watch<M extends AdminStream>(
    method: M,
    request: () => AdminRequest<M>,
    signal: AbortSignal = this.#signal,
  ): AsyncGenerator<WatchEvent<AdminAnswer<M>>, never, undefined> {
    for (;;) {
      try {
        for await (const item of this.#channel.serverStream(method, request(), { signal })) {
          yield { kind: 'change', item };
        }
      } catch (error) {
        if (signal.aborted || !isLoss(error)) throw error;
      }
      yield { kind: 'lost' };
      await this.#clock.sleep(this.#config.returnDelayMs, signal);
      await this.#channel.whenReachable(signal);
      yield { kind: 'back' };
    }
  }
}

/** Whether the site server went away; one that stops cancels the calls it serves. */
export function isLoss(error: unknown): boolean {
  return isErrorWithCode(error, 'PEER_UNREACHABLE') || isAbortError(error);
}
