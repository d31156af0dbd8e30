import type { MethodNameOfKind, RequestOf, ResponseOf } from '../../shared/rpc/conversation.ts';
import type { CallOptions, UnaryOptions } from '../../shared/rpc/rpc-channel.ts';

/** Methods with one answer: `getSite`. */
export type AdminUnary = MethodNameOfKind<'Admin', 'unary'>;
/** Methods that answer with a stream: `watchJobs`. */
export type AdminStream = MethodNameOfKind<'Admin', 'serverStream'>;
/** What is asked with a method. */
export type AdminRequest<M extends AdminUnary | AdminStream> = RequestOf<'Admin', M>;
/** What a method answers with, or each message of its stream. */
export type AdminAnswer<M extends AdminUnary | AdminStream> = ResponseOf<'Admin', M>;

/**
 * As much of a channel to a site server as the commands need; `RpcChannel<'Admin'>` is one, and
 * tests pass fakes. Failures are WaybillErrors, or an AbortError once the signal fired.
 */
export interface AdminChannel {
  unary<M extends AdminUnary>(
    method: M,
    request: AdminRequest<M>,
    options: UnaryOptions,
  ): Promise<AdminAnswer<M>>;
  serverStream<M extends AdminStream>(
    method: M,
    request: AdminRequest<M>,
    options: CallOptions,
  ): AsyncIterable<AdminAnswer<M>>;
  /** Resolves when the site server answers again. */
  whenReachable(signal?: AbortSignal): Promise<void>;
  close(): void;
}
