import { WaybillError } from '../domain/errors.ts';
import type { Priority } from '../domain/package.ts';
import { toIdentityUri } from '../domain/peer-identity.ts';
import { servingPassage } from '../domain/transfer-passage.ts';
import { toPriority } from '../package-info/priority-message.ts';
import type { CallContext } from '../rpc/conversation.ts';
import { throwIfAborted, workIsOver } from '../runtime/abort-error.ts';
import type { PassageHours } from '../transfer-arbiter/passage-hours.ts';
import type { TransferArbiter } from '../transfer-arbiter/transfer-arbiter.ts';
import type { TransferPermit } from '../transfer-arbiter/transfer-permit.ts';

/** What an agent keeps to while it serves. */
export interface ServingControls {
  readonly arbiter: Pick<TransferArbiter, 'open' | 'controlsOf'>;
  readonly hours: Pick<PassageHours, 'isOpen' | 'opensAtMs' | 'onChanged'>;
}

/** The permit of a caller, for all its calls of one priority. */
interface SharedPermit {
  readonly permit: TransferPermit;
  useCount: number;
}

/** Of which priority a call is whose request does not say so. */
const priorityDefault: Priority = 2;

/**
 * Lets content leave when the agent's schedule and limit allow it. All calls of one caller have one
 * permit for each priority: so callers share what there is, however many streams each of them opens.
 */
export class ServingGate {
  readonly #controls: ServingControls | undefined;
  readonly #permits = new Map<string, SharedPermit>();
  #sentBytes = 0;

  /** @param controls none where nothing is ever set */
  constructor(controls: ServingControls | undefined) {
    this.#controls = controls;
  }

  /** What has left since this program began. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** A call begins that is answered with content; to be disposed of when it is over. */
  open(context: CallContext): ServedCall {
    const controls = this.#controls;
    const onLeft = (bytes: number) => {
      this.#sentBytes += bytes;
    };
    if (!controls) return new ServedCall(context, undefined, onLeft);
    const take = (priority: Priority) => this.#take(controls, context, priority);
    return new ServedCall(context, { ...controls, take }, onLeft);
  }

  #take(
    { arbiter }: ServingControls,
    { caller }: CallContext,
    priority: Priority,
  ): { readonly permit: TransferPermit; readonly release: () => void } {
    const key = `${toIdentityUri(caller.identity)} ${priority}`;
    const known = this.#permits.get(key);
    const shared = known ?? { permit: arbiter.open([servingPassage], priority), useCount: 0 };
    this.#permits.set(key, shared);
    shared.useCount += 1;
    const release = () => {
      shared.useCount -= 1;
      if (shared.useCount > 0) return;
      shared.permit.close();
      this.#permits.delete(key);
    };
    return { permit: shared.permit, release };
  }
}

interface CallControls extends ServingControls {
  readonly take: (priority: Priority) => {
    readonly permit: TransferPermit;
    readonly release: () => void;
  };
}

/** One call, as its schedule and limit concern it. */
export class ServedCall implements Disposable {
  readonly #context: CallContext;
  readonly #controls: CallControls | undefined;
  readonly #onLeft: (bytes: number) => void;
  #priority: Priority = priorityDefault;
  #held: ReturnType<CallControls['take']> | undefined;

  constructor(
    context: CallContext,
    controls: CallControls | undefined,
    onLeft: (bytes: number) => void,
  ) {
    this.#context = context;
    this.#controls = controls;
    this.#onLeft = onLeft;
  }

  get priority(): Priority {
    return this.#priority;
  }

  /**
   * A request has come: it is of this priority from now on, as it travels. A client's word makes no
   * call urgent: anybody has one.
   *
   * @throws CONTENT_WINDOW_CLOSED
   */
  begin(priorityName: unknown): void {
    const asked = toPriority(priorityName) ?? priorityDefault;
    const isClient = this.#context.caller.identity.kind === 'client';
    const priority = isClient && asked === 1 ? priorityDefault : asked;
    if (priority !== this.#priority) this[Symbol.dispose]();
    this.#priority = priority;
    this.requireOpen();
  }

  /** @throws CONTENT_WINDOW_CLOSED */
  requireOpen(): void {
    const hours = this.#controls?.hours;
    if (!hours || hours.isOpen(this.#priority)) return;
    const opensAtMs = hours.opensAtMs(this.#priority) ?? 0;
    throw new WaybillError({ code: 'CONTENT_WINDOW_CLOSED', opensAtMs });
  }

  /**
   * Resolves when some of an answer may leave; without a limit all of it, at once.
   *
   * @param leftBytes at most a message of the wire
   * @returns how many bytes
   * @throws CONTENT_WINDOW_CLOSED as soon as it closes; AbortError when the call is over
   */
  async takePart(leftBytes: number): Promise<number> {
    const bytes = await this.#permitted(leftBytes);
    this.#onLeft(bytes);
    return bytes;
  }

  /** Resolves when so many bytes may leave, one part after another. @throws as `takePart` */
  async takeAll(bytes: number): Promise<void> {
    for (let left = bytes; left > 0; ) left -= await this.takePart(left);
  }

  /** Cuts bytes into what may leave, each when it may. @throws as `takePart` */
  async *cut(bytes: Buffer): AsyncGenerator<Buffer> {
    for (let offset = 0; offset < bytes.length; ) {
      const partBytes = await this.takePart(bytes.length - offset);
      yield bytes.subarray(offset, offset + partBytes);
      offset += partBytes;
    }
  }

  [Symbol.dispose](): void {
    this.#held?.release();
    this.#held = undefined;
  }

  async #permitted(leftBytes: number): Promise<number> {
    const controls = this.#controls;
    if (!controls || isFree(controls)) return leftBytes;
    this.requireOpen();
    this.#held ??= controls.take(this.#priority);
    const { signal } = this.#context;
    const closing = new AbortController();
    const abort = () => closing.abort(workIsOver);
    const endListening = controls.hours.onChanged(() => {
      if (!controls.hours.isOpen(this.#priority)) abort();
    });
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await this.#held.permit.takePart(leftBytes, closing.signal);
    } catch (error) {
      throwIfAborted(signal);
      this.requireOpen();
      throw error;
    } finally {
      endListening();
      signal.removeEventListener('abort', abort);
    }
  }
}

function isFree({ arbiter }: ServingControls): boolean {
  const { schedule, limit } = arbiter.controlsOf(servingPassage);
  return !schedule && !limit;
}
