import type { EventEmitter } from 'node:events';
import type {
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  sendUnaryData,
  UntypedHandleCall,
} from '@grpc/grpc-js';
import { WaybillError } from '../domain/errors.ts';
import { toIdentityUri } from '../domain/peer-identity.ts';
import { AbortError, throwIfAborted } from '../runtime/abort-error.ts';
import type { Logger } from '../runtime/logger.ts';
import { WakeSignal } from '../runtime/wake-signal.ts';
import { mayHaveActed, toAnsweredFailure } from './answered-failure.ts';
import type { AuditEvent } from './audit-event.ts';
import type { CallStatus } from './call-failure.ts';
import { callPolicy } from './call-policy.ts';
import { callerOf } from './call-policy-interceptor.ts';
import { isLook, printable, summaryOf } from './call-summary.ts';
import type { CallContext } from './conversation.ts';
import { takeOneByOne } from './message-pace.ts';
import { ResponseStream } from './response-stream.ts';
import { messageBytesMax } from './rpc-limits.ts';
import type { UntypedMethod } from './service-definitions.ts';

/** A function of a Conversation, its types known to its maker only. */
export type UntypedImplementation = (request: never, context: CallContext) => unknown;

type Implementation = (request: unknown, context: CallContext) => unknown;
type UnaryCall = ServerUnaryCall<Buffer, Buffer>;
type ResponseStreamCall = ServerWritableStream<Buffer, Buffer>;
type RequestStreamCall = ServerDuplexStream<Buffer, Buffer>;
type AnyCall = UnaryCall | ResponseStreamCall | RequestStreamCall;
type Failure = Partial<CallStatus>;

/** After each of these reading on may bring something, or the end. */
const readEvents = ['readable', 'end', 'close'] as const;

/** How one call brings its answer to the caller, by kind. */
interface Delivery {
  succeed(answer: unknown, signal: AbortSignal): Promise<void>;
  fail(failure: Failure): void;
}

/** One call and all that answering it takes. */
interface CallWork {
  readonly method: UntypedMethod;
  readonly run: Implementation;
  readonly call: AnyCall;
  readonly delivery: Delivery;
}

/**
 * Turns the functions of a Conversation into what gRPC calls: makes the context, keeps
 * back-pressure both ways, maps failures to statuses, writes changing calls to the audit trail, but not
 * those that only look what would change.
 */
export class CallAnswerer {
  readonly #logger: Logger;
  readonly #onAudit: (event: AuditEvent) => void;
  readonly #onRefusal: (event: AuditEvent) => void;
  readonly #running = new Set<Promise<void>>();

  /** @param needs.onRefusal told of calls that did not end well: a caller may make as many as he likes */
  constructor(needs: {
    logger: Logger;
    onAudit: (event: AuditEvent) => void;
    onRefusal: (event: AuditEvent) => void;
  }) {
    this.#logger = needs.logger;
    this.#onAudit = needs.onAudit;
    this.#onRefusal = needs.onRefusal;
  }

  /** Resolves when no function of a Conversation runs any more. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /** What gRPC calls for one method; its answers are encoded already. */
  answer(method: UntypedMethod, implementation: UntypedImplementation): UntypedHandleCall {
    const run = implementation as Implementation;
    if (method.responseStream) {
      return (call: ResponseStreamCall) =>
        this.#track({ method, run, call, delivery: streamedDelivery(method, call) });
    }
    return (call: UnaryCall, callback: sendUnaryData<Buffer>) =>
      this.#track({ method, run, call, delivery: singleDelivery(method, callback) });
  }

  #track(work: CallWork): void {
    const tracked = this.#answer(work, contextOf(work.call)).finally(() => {
      this.#running.delete(tracked);
    });
    this.#running.add(tracked);
  }

  async #answer({ method, run, call, delivery }: CallWork, bare: CallContext): Promise<void> {
    let asked = '';
    let isOnlyLook = false;
    const describe = (text: string) => {
      asked = printable(text);
    };
    const context = { ...bare, describe };
    const ask = (request: unknown) => {
      asked ||= summaryOf(request);
      isOnlyLook ||= isLook(request);
      return request;
    };
    try {
      const decode = (bytes: Buffer) => ask(decoded(method, bytes));
      const request = 'request' in call ? decode(call.request) : requestsOf(call, context, decode);
      await delivery.succeed(run(request, context), context.signal);
      if (!isOnlyLook)
        this.#audit(method, context, { result: 'ok', detail: asked, isUnsure: false });
    } catch (error) {
      const failure = toAnsweredFailure(error, (fault) => {
        const caller = toIdentityUri(context.caller.identity);
        const facts = { method: method.path, caller, err: fault };
        this.#logger.error(facts, 'A call failed on a fault');
      });
      const isUnsure = !isOnlyLook && mayHaveActed(failure);
      const outcome = { result: failure.result, detail: asked, isUnsure };
      this.#audit(method, context, outcome);
      delivery.fail(failure.status);
    }
  }

  #audit(
    method: UntypedMethod,
    { caller }: CallContext,
    { isUnsure, ...outcome }: { result: string; detail: string; isUnsure: boolean },
  ): void {
    const audited = callPolicy.get(method.path)?.audited ?? 'never';
    const isOk = outcome.result === 'ok';
    if (audited === 'never' || (audited === 'refusals' && isOk)) return;
    const isOnce = isUnsure && audited === 'always' && caller.identity.kind === 'admin';
    const tell = isOk || isOnce ? this.#onAudit : this.#onRefusal;
    tell({
      caller: toIdentityUri(caller.identity),
      address: caller.address,
      method: method.path,
      ...outcome,
      ...(isOnce && { isOnce }),
    });
  }
}

function contextOf(call: AnyCall): CallContext {
  const abort = new AbortController();
  const emitter: EventEmitter = call;
  emitter.on('cancelled', () => abort.abort(new AbortError('The call is over')));
  return { caller: callerOf(call.metadata), signal: abort.signal };
}

/**
 * The caller's messages, pulled one by one, so that what is not pulled waits at the caller; ends with AbortError when
 * the call is cancelled. Not by the stream's own iterator: that destroys the stream, and so an answer that is still on
 * its way, when the method fails while it waits for a message.
 */
async function* requestsOf(
  call: RequestStreamCall,
  { signal }: CallContext,
  decode: (bytes: Buffer) => unknown,
): AsyncGenerator<unknown> {
  const tell = takeOneByOne(call.metadata);
  const news = new WakeSignal();
  const wake = () => news.wake();
  for (const event of readEvents) call.on(event, wake);
  try {
    for (;;) {
      const bytes: Buffer | null = call.read();
      if (bytes) {
        tell(bytes.length);
        yield decode(bytes);
      } else if (call.readableEnded || call.destroyed) break;
      else await news.wait(signal);
    }
  } finally {
    for (const event of readEvents) call.off(event, wake);
  }
  throwIfAborted(signal);
}

function singleDelivery(method: UntypedMethod, callback: sendUnaryData<Buffer>): Delivery {
  return {
    succeed: async (answer) => callback(null, encoded(method, await answer)),
    fail: (failure) => callback(failure),
  };
}

function streamedDelivery(method: UntypedMethod, call: ResponseStreamCall): Delivery {
  return {
    succeed: async (answers, signal) => {
      const responses = new ResponseStream(call, signal);
      for await (const answer of answers as AsyncIterable<unknown>) {
        if (answer instanceof Uint8Array) await responses.writeLent(checked(answer));
        else await responses.write(encoded(method, answer));
      }
      call.end();
    },
    fail: (failure) => call.emit('error', failure),
  };
}

/** @throws MESSAGE_INVALID for bytes that are no message of this method */
function decoded(method: UntypedMethod, bytes: Buffer): unknown {
  try {
    return method.requestDeserialize(bytes);
  } catch {
    throw new WaybillError({
      code: 'MESSAGE_INVALID',
      field: `message of ${method.path}`,
      expected: 'a message as its proto defines it',
      actual: `${bytes.length} bytes that are none`,
    });
  }
}

/** Encoding here and not in gRPC: an answer that cannot be sent is our fault and must be logged. */
function encoded(method: UntypedMethod, answer: unknown): Buffer {
  return checked(method.responseSerialize(answer));
}

function checked<Bytes extends Uint8Array>(bytes: Bytes): Bytes {
  if (bytes.length <= messageBytesMax) return bytes;
  throw new Error(`An answer of ${bytes.length} bytes is over the limit of ${messageBytesMax}`);
}
