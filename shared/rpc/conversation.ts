import type { PeerIdentity } from '../domain/peer-identity.ts';
import type { AdminDefinition, AdminHandlers } from './generated/waybill/v1/Admin.ts';
import type { ContentDefinition, ContentHandlers } from './generated/waybill/v1/Content.ts';
import type {
  DistributionPointDefinition,
  DistributionPointHandlers,
} from './generated/waybill/v1/DistributionPoint.ts';
import type {
  EnrollmentDefinition,
  EnrollmentHandlers,
} from './generated/waybill/v1/Enrollment.ts';
import type {
  ManagementPointDefinition,
  ManagementPointHandlers,
} from './generated/waybill/v1/ManagementPoint.ts';

import type {
  ReplicationDefinition,
  ReplicationHandlers,
} from './generated/waybill/v1/Replication.ts';
import type {
  SiteEnrollmentDefinition,
  SiteEnrollmentHandlers,
} from './generated/waybill/v1/SiteEnrollment.ts';
import type {
  SiteTransferDefinition,
  SiteTransferHandlers,
} from './generated/waybill/v1/SiteTransfer.ts';

/** The services of proto/waybill/v1. */
export type ConversationName =
  | 'Admin'
  | 'Content'
  | 'DistributionPoint'
  | 'Enrollment'
  | 'ManagementPoint'
  | 'Replication'
  | 'SiteEnrollment'
  | 'SiteTransfer';

interface Definitions {
  readonly Admin: AdminDefinition;
  readonly Content: ContentDefinition;
  readonly DistributionPoint: DistributionPointDefinition;
  readonly Enrollment: EnrollmentDefinition;
  readonly ManagementPoint: ManagementPointDefinition;
  readonly Replication: ReplicationDefinition;
  readonly SiteEnrollment: SiteEnrollmentDefinition;
  readonly SiteTransfer: SiteTransferDefinition;
}

interface GrpcHandlers {
  readonly Admin: AdminHandlers;
  readonly Content: ContentHandlers;
  readonly DistributionPoint: DistributionPointHandlers;
  readonly Enrollment: EnrollmentHandlers;
  readonly ManagementPoint: ManagementPointHandlers;
  readonly Replication: ReplicationHandlers;
  readonly SiteEnrollment: SiteEnrollmentHandlers;
  readonly SiteTransfer: SiteTransferHandlers;
}

/** Keys that are spelled out; the generated types also have an index signature. */
type KnownKeys<T> = keyof {
  [K in keyof T as string extends K ? never : number extends K ? never : K]: T[K];
} &
  string;

/** Methods as the proto spells them, such as `CreatePackage`. */
export type ProtoMethodName<C extends ConversationName> = KnownKeys<Definitions[C]>;

/** Methods as the code spells them, such as `createPackage`. */
export type MethodName<C extends ConversationName> = Uncapitalize<ProtoMethodName<C>>;

/** Whether each side sends one message or a stream of them. */
export type MethodKind = 'unary' | 'serverStream' | 'clientStream' | 'duplex';

type DefinitionOf<
  C extends ConversationName,
  M extends MethodName<C>,
> = Definitions[C][Capitalize<M> & keyof Definitions[C]];

type GrpcHandlerOf<
  C extends ConversationName,
  M extends MethodName<C>,
> = GrpcHandlers[C][Capitalize<M> & keyof GrpcHandlers[C]];

/** What the caller sends. */
export type RequestOf<C extends ConversationName, M extends MethodName<C>> =
  DefinitionOf<C, M> extends { requestSerialize: (value: infer T) => Buffer } ? T : never;

/** What the server gets: every field present, with its default. */
export type ReceivedRequestOf<C extends ConversationName, M extends MethodName<C>> =
  DefinitionOf<C, M> extends { requestDeserialize: (bytes: Buffer) => infer T } ? T : never;

/** What the server answers. */
export type AnswerOf<C extends ConversationName, M extends MethodName<C>> =
  DefinitionOf<C, M> extends { responseSerialize: (value: infer T) => Buffer } ? T : never;

/** What the caller gets: every field present, with its default. */
export type ResponseOf<C extends ConversationName, M extends MethodName<C>> =
  DefinitionOf<C, M> extends { responseDeserialize: (bytes: Buffer) => infer T } ? T : never;

/** The kind of a method, told by the shape of its generated gRPC handler type. */
type KindOf<C extends ConversationName, M extends MethodName<C>> =
  GrpcHandlerOf<C, M> extends (call: infer Call, ...rest: infer Rest) => void
    ? Call extends { request: unknown }
      ? Rest extends [unknown]
        ? 'unary'
        : 'serverStream'
      : Rest extends [unknown]
        ? 'clientStream'
        : 'duplex'
    : never;

/** The methods of one kind. */
export type MethodNameOfKind<C extends ConversationName, K extends MethodKind> = {
  [M in MethodName<C>]: KindOf<C, M> extends K ? M : never;
}[MethodName<C>];

/** Who calls, as its certificate says, and from where. */
export interface Caller {
  readonly identity: PeerIdentity;
  /** IP address and port. */
  readonly address: string;
}

/** What a method knows of the call it answers. */
export interface CallContext {
  readonly caller: Caller;
  /** Aborted when the call is cancelled, its deadline passes, its connection dies, or it ended. */
  readonly signal: AbortSignal;
  /**
   * Says in words what was asked, for the audit trail, where the request's fields do not: bytes that
   * were signed, for one. Never secrets.
   */
  readonly describe?: (asked: string) => void;
}

interface MethodShapes<Request, Answer> {
  unary: (request: Request, context: CallContext) => Promise<Answer>;
  serverStream: (request: Request, context: CallContext) => AsyncIterable<Answer>;
  clientStream: (requests: AsyncIterable<Request>, context: CallContext) => Promise<Answer>;
  duplex: (
    requests: AsyncIterable<Request>,
    context: CallContext,
  ) => AsyncIterable<Answer | EncodedAnswer>;
}

/**
 * An answer as it travels, so that long ones are not copied by an encoder. Its memory is lent: whoever
 * made it may use it again when it is asked for the next answer, or for the end; then the transport
 * needs it no more. A generator is ended at its `yield` when the call is over: then never.
 */
export type EncodedAnswer = Buffer;

/**
 * What answers a conversation: one function for each method of the proto.
 *
 * The end of `requests` does not say that the caller has said all: Node ends the stream of a call
 * that is cancelled just as well, a moment before `signal` fires. What must be complete has to say
 * so in its messages, as a length or a hash.
 */
export type Conversation<C extends ConversationName> = {
  readonly [M in MethodName<C>]: MethodShapes<ReceivedRequestOf<C, M>, AnswerOf<C, M>>[KindOf<
    C,
    M
  >];
};
