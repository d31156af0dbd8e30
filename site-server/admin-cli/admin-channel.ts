import type { AdminDefinition } from '../../shared/rpc/generated/waybill/v1/Admin.ts';

/** The methods of the Admin conversation, without the index signature gRPC adds. */
type Methods = {
  [M in keyof AdminDefinition as string extends M
    ? never
    : number extends M
      ? never
      : M & string]: AdminDefinition[M];
};

type ProtoName = keyof Methods;
type StreamProtoName = Extract<ProtoName, `List${string}` | `Watch${string}` | 'ReadLog'>;

/** Methods that answer with a stream, as they are called: `watchJobs`. */
export type AdminStream = Uncapitalize<StreamProtoName>;
/** Methods with one answer, as they are called: `getSite`. */
export type AdminUnary = Uncapitalize<Exclude<ProtoName, StreamProtoName>>;
/** Every method of the Admin conversation. */
export type AdminMethod = AdminUnary | AdminStream;

type DefinitionOf<M extends AdminMethod> = Methods[Capitalize<M> & ProtoName];

/** What is asked with a method. */
export type RequestOf<M extends AdminMethod> =
  DefinitionOf<M> extends { requestSerialize: (value: infer Request) => Buffer } ? Request : never;

/** What a method answers with, or each message of its stream. */
export type AnswerOf<M extends AdminMethod> =
  DefinitionOf<M> extends { responseDeserialize: (bytes: Buffer) => infer Answer } ? Answer : never;

/**
 * As much of a channel to a site server as the commands need; `RpcChannel<'Admin'>` is one, and
 * tests pass fakes. Failures are WaybillErrors, or an AbortError once the signal fired.
 */
export interface AdminChannel {
  unary<M extends AdminUnary>(
    method: M,
    request: RequestOf<M>,
    options: { deadlineMs: number; signal?: AbortSignal },
  ): Promise<AnswerOf<M>>;
  serverStream<M extends AdminStream>(
    method: M,
    request: RequestOf<M>,
    options: { deadlineMs?: number; signal?: AbortSignal },
  ): AsyncIterable<AnswerOf<M>>;
  /** Resolves when the site server answers again. */
  whenReachable(signal?: AbortSignal): Promise<void>;
  close(): void;
}
