import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { WaybillError } from '../domain/errors.ts';
import { AbortError, workIsOver } from '../runtime/abort-error.ts';
import { type CallFacts, isServiceError, toCallFailure } from './call-failure.ts';
import type {
  ConversationName,
  MethodName,
  MethodNameOfKind,
  RequestOf,
  ResponseOf,
} from './conversation.ts';
import { DuplexCall } from './duplex-call.ts';
import type { HeldClient } from './held-client.ts';
import { PeerConnection, type PeerConnectionOptions } from './peer-connection.ts';
import { methodDefinition } from './service-definitions.ts';

/** Whom to speak to, and which conversation. */
export interface RpcChannelOptions<C extends ConversationName> extends PeerConnectionOptions {
  readonly conversation: C;
}

/** How long a call may take, and what ends it early. */
export interface CallOptions {
  /** From the call to its end; none when absent. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

/** A call that answers once must answer in time. */
export interface UnaryOptions extends CallOptions {
  readonly deadlineMs: number;
}

/**
 * One side of a conversation with one peer: makes calls, connecting when needed. Used by whoever
 * speaks to another agent. Every failure is a WaybillError: PEER_UNREACHABLE, PEER_IDENTITY_MISMATCH,
 * DEADLINE_EXCEEDED, PEER_FAILED, or the code and facts the peer sent; or an AbortError.
 */
export class RpcChannel<C extends ConversationName> {
  readonly #options: RpcChannelOptions<C>;
  readonly #connection: PeerConnection;

  constructor(options: RpcChannelOptions<C>) {
    this.#options = options;
    this.#connection = new PeerConnection(options);
  }

  /** One request, one answer. */
  async unary<M extends MethodNameOfKind<C, 'unary'>>(
    method: M,
    request: RequestOf<C, M>,
    options: UnaryOptions,
  ): Promise<ResponseOf<C, M>> {
    const call = this.#call<M>(method, options);
    send(call, request);
    return this.#onlyResponse(call, method);
  }

  /** One request, a stream of answers. Leaving the loop cancels the call. */
  async *serverStream<M extends MethodNameOfKind<C, 'serverStream'>>(
    method: M,
    request: RequestOf<C, M>,
    options: CallOptions,
  ): AsyncGenerator<ResponseOf<C, M>, void> {
    const call = this.#call<M>(method, options);
    send(call, request);
    try {
      for (;;) {
        const response = await call.read();
        if (response === undefined) return;
        yield response;
      }
    } finally {
      call.cancel();
    }
  }

  /**
   * A stream of requests, one answer. A failure of `requests` cancels the call and comes out here.
   */
  async clientStream<M extends MethodNameOfKind<C, 'clientStream'>>(
    method: M,
    requests: AsyncIterable<RequestOf<C, M> | Buffer>,
    options: CallOptions,
  ): Promise<ResponseOf<C, M>> {
    const call = this.#call<M>(method, options);
    void pump(call, requests);
    return this.#onlyResponse(call, method);
  }

  /** A stream each way. */
  duplex<M extends MethodNameOfKind<C, 'duplex'>>(
    method: M,
    options: CallOptions,
  ): DuplexCall<RequestOf<C, M>, ResponseOf<C, M>> {
    return this.#call<M>(method, options);
  }

  /** Connects, at the pace of `connect-pace.ts`, until there is a connection. @throws AbortError */
  whenReachable(signal?: AbortSignal): Promise<void> {
    return this.#connection.whenReady(signal);
  }

  /** Resolves when there is no connection any more: the peer may have been restarted. @throws AbortError */
  whenLost(signal: AbortSignal): Promise<void> {
    return this.#connection.whenLost(signal);
  }

  /** Ends the connection; calls that run may go on to their end. */
  close(): void {
    this.#connection.close();
  }

  #call<M extends MethodName<C>>(
    method: M,
    { deadlineMs, signal }: CallOptions,
  ): DuplexCall<RequestOf<C, M>, ResponseOf<C, M>> {
    const definition = methodDefinition(this.#options.conversation, method);
    const held = this.#connection.client();
    const stream = held.client.makeBidiStreamRequest(
      definition.path,
      (bytes: Buffer) => bytes,
      definition.responseDeserialize,
      new Metadata(),
      deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs },
    );
    const facts = this.#factsOf(definition.path, deadlineMs ?? 0);
    const call = new DuplexCall<RequestOf<C, M>, ResponseOf<C, M>>(stream, {
      encode: (message) => definition.requestSerialize(message),
      toFailure: (error) => this.#toFailure(error, facts, held),
      endedEarly: () => failed(facts.peer, `it ended ${facts.method} before it was told all`),
    });
    held.keepFor(call.over);
    this.#cancelOnAbort(call, signal);
    void this.#cancelWithoutConnection(call, facts, held);
    return call;
  }

  #factsOf(method: string, deadlineMs: number): CallFacts {
    const { expectedText: peer, address } = this.#options;
    return { peer, address, method, deadlineMs };
  }

  #toFailure(error: unknown, facts: CallFacts, held: HeldClient): Error {
    if (!isServiceError(error)) return error instanceof Error ? error : new Error(String(error));
    // Without a connection the status is gRPC's own and not the peer's.
    return (!held.isReady && this.#toConnectFailure(error, facts)) || toCallFailure(error, facts);
  }

  #toConnectFailure(error: ServiceError, facts: CallFacts): Error | undefined {
    if (error.code === status.DEADLINE_EXCEEDED) return noConnection(facts, facts.deadlineMs);
    if (error.code !== status.UNAVAILABLE) return undefined;
    return this.#connection.toIdentityFailure(error.details);
  }

  #cancelOnAbort(call: AnyCall, signal: AbortSignal | undefined): void {
    if (!signal) return;
    const cancel = () =>
      call.cancel(new AbortError('The call was cancelled', { cause: signal.reason }));
    if (signal.aborted) cancel();
    signal.addEventListener('abort', cancel, { once: true });
    void call.over.then(() => signal.removeEventListener('abort', cancel));
  }

  /** gRPC itself would wait for a connection as long as the operating system does: minutes. */
  async #cancelWithoutConnection(call: AnyCall, facts: CallFacts, held: HeldClient): Promise<void> {
    if (held.isReady) return;
    const over = new AbortController();
    void call.over.then(() => over.abort(workIsOver));
    const isReady = await this.#connection.isReadyInTime(over.signal, held).catch(() => true);
    if (isReady) return;
    call.cancel(noConnection(facts, this.#connection.connectDeadlineMs));
    this.#connection.renewIfStuck();
  }

  async #onlyResponse<M extends MethodName<C>>(
    call: DuplexCall<RequestOf<C, M>, ResponseOf<C, M>>,
    method: M,
  ): Promise<ResponseOf<C, M>> {
    const response = await call.read();
    // The answer counts only with the status that follows it.
    const isLast = (await call.read()) === undefined;
    if (response !== undefined && isLast) return response;
    call.cancel();
    throw failed(this.#options.expectedText, `it did not answer ${method} with one message`);
  }
}

type AnyCall = Pick<DuplexCall<never, unknown>, 'over' | 'cancel'>;

function failed(peer: string, reason: string): WaybillError {
  return new WaybillError({ code: 'PEER_FAILED', peer, reason });
}

function noConnection({ peer, address }: CallFacts, withinMs: number): WaybillError {
  const reason = `no connection within ${withinMs} ms`;
  return new WaybillError({ code: 'PEER_UNREACHABLE', peer, address, reason });
}

/** The one request of a call. What becomes of it is told by the response. */
function send<Request>(call: DuplexCall<Request, unknown>, request: Request): void {
  call.write(request).catch(() => {});
  call.end();
}

/** Never rejects: a failure of the call is told by its response, one of `requests` cancels it. */
async function pump<Request>(
  call: DuplexCall<Request, unknown>,
  requests: AsyncIterable<Request | Buffer>,
): Promise<void> {
  try {
    for await (const request of requests) await call.write(request);
    call.end();
  } catch (error) {
    call.cancel(error instanceof Error ? error : new Error(String(error)));
  }
}
