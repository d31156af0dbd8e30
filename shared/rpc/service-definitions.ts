import { fileURLToPath } from 'node:url';
import {
  loadSync,
  type MessageTypeDefinition,
  type MethodDefinition,
  type PackageDefinition,
  type ServiceDefinition,
} from '@grpc/proto-loader';
import type {
  AnswerOf,
  ConversationName,
  MethodName,
  ReceivedRequestOf,
  RequestOf,
  ResponseOf,
} from './conversation.ts';
import type { ErrorDetail, ErrorDetail__Output } from './generated/waybill/v1/ErrorDetail.ts';
import type {
  PackageInstruction,
  PackageInstruction__Output,
} from './generated/waybill/v1/PackageInstruction.ts';
import type {
  PackageVersion,
  PackageVersion__Output,
} from './generated/waybill/v1/PackageVersion.ts';
import type {
  SignedInstruction,
  SignedInstruction__Output,
} from './generated/waybill/v1/SignedInstruction.ts';
import type {
  TransferInstruction,
  TransferInstruction__Output,
} from './generated/waybill/v1/TransferInstruction.ts';

/** From dist/shared/rpc: the package's own proto/, in a work tree and installed alike. */
const protoDirectory = fileURLToPath(new URL('../../../proto/', import.meta.url));

/** One a conversation; they import the rest. */
const protoFiles = [
  'admin',
  'content',
  'distribution_point',
  'enrollment',
  'management_point',
  'replication',
  'site_transfer',
].map((name) => `waybill/v1/${name}.proto`);

let loaded: PackageDefinition | undefined;

/** Everything of proto/waybill/v1; read from disk once, when it is first needed. */
export function packageDefinition(): PackageDefinition {
  loaded ??= loadSync(protoFiles, {
    includeDirs: [protoDirectory],
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  return loaded;
}

/** A method whose message types are known to the caller only. */
export type UntypedMethod = MethodDefinition<unknown, unknown, unknown, unknown>;

function serviceDefinition(conversation: ConversationName): ServiceDefinition {
  return packageDefinition()[`waybill.v1.${conversation}`] as ServiceDefinition;
}

/** The methods of a conversation, by their names in code (`createPackage`). */
export function methodDefinitions(conversation: ConversationName): [string, UntypedMethod][] {
  return Object.entries(serviceDefinition(conversation)).map(([name, definition]) => [
    name.charAt(0).toLowerCase() + name.slice(1),
    definition as UntypedMethod,
  ]);
}

/** One method, by its name in code (`createPackage`). Throws for a name the proto does not have. */
export function methodDefinition(conversation: ConversationName, method: string): UntypedMethod {
  const name = method.charAt(0).toUpperCase() + method.slice(1);
  const definition = serviceDefinition(conversation)[name] as UntypedMethod | undefined;
  if (!definition) throw new Error(`${conversation} has no method ${name}`);
  return definition;
}

/** Methods of gRPC's own services whose caller sends a stream of messages: a tool asks as its user does. */
const streamedPlatformPaths = [
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo',
];

let streamedPaths: ReadonlySet<string> | undefined;

/**
 * Whether the caller of a method sends one message and not a stream of them, by its full path. So is
 * said of a method that no server of ours has, too.
 */
export function callerSendsOne(path: string): boolean {
  streamedPaths ??= new Set([
    ...streamedPlatformPaths,
    ...Object.values(packageDefinition())
      .flatMap((service) => ('format' in service ? [] : Object.values(service)))
      .flatMap((method) => (method.requestStream ? [method.path] : [])),
  ]);
  return !streamedPaths.has(path);
}

/** A request as it travels, so that one encoding can be sent to many peers. */
export function encodeMessage<C extends ConversationName, M extends MethodName<C>>(
  conversation: C,
  method: M,
  message: RequestOf<C, M>,
): Buffer {
  return methodDefinition(conversation, method).requestSerialize(message);
}

/** What an encoded request says; bytes in it are views of its memory. */
export function decodeRequest<C extends ConversationName, M extends MethodName<C>>(
  conversation: C,
  method: M,
  bytes: Buffer,
): ReceivedRequestOf<C, M> {
  return methodDefinition(conversation, method).requestDeserialize(bytes) as ReceivedRequestOf<
    C,
    M
  >;
}

/** A message that is encoded by itself; its types are known to the caller only. */
function messageType<I extends object, O extends object>(
  name: string,
): MessageTypeDefinition<I, O> {
  return packageDefinition()[`waybill.v1.${name}`] as unknown as MessageTypeDefinition<I, O>;
}

/** How a package info bundle is encoded. */
export function packageVersionType(): MessageTypeDefinition<
  PackageVersion,
  PackageVersion__Output
> {
  return messageType('PackageVersion');
}

/** How the instruction of one hop between sites is encoded. */
export function transferInstructionType(): MessageTypeDefinition<
  TransferInstruction,
  TransferInstruction__Output
> {
  return messageType('TransferInstruction');
}

/** How a source site's instruction is encoded. */
export function packageInstructionType(): MessageTypeDefinition<
  PackageInstruction,
  PackageInstruction__Output
> {
  return messageType('PackageInstruction');
}

/** How both instructions with their signatures are encoded, to be kept. */
export function signedInstructionType(): MessageTypeDefinition<
  SignedInstruction,
  SignedInstruction__Output
> {
  return messageType('SignedInstruction');
}

/** How the trailer of a failed call is encoded. */
export function errorDetailType(): MessageTypeDefinition<ErrorDetail, ErrorDetail__Output> {
  return messageType('ErrorDetail');
}

/** An answer as it travels; see `EncodedAnswer`. */
export function encodeAnswer<C extends ConversationName, M extends MethodName<C>>(
  conversation: C,
  method: M,
  answer: AnswerOf<C, M>,
): Buffer {
  return methodDefinition(conversation, method).responseSerialize(answer);
}

/** What an encoded answer says; bytes in it are views of its memory. */
export function decodeAnswer<C extends ConversationName, M extends MethodName<C>>(
  conversation: C,
  method: M,
  bytes: Buffer,
): ResponseOf<C, M> {
  return methodDefinition(conversation, method).responseDeserialize(bytes) as ResponseOf<C, M>;
}
