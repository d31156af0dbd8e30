import { Metadata } from '@grpc/grpc-js';
import { type ErrorCode, type ErrorDetails, errorCodes, WaybillError } from '../domain/errors.ts';
import { errorFactKinds, type FactKind } from './error-facts.ts';
import type { ErrorDetail, ErrorDetail__Output } from './generated/waybill/v1/ErrorDetail.ts';
import { errorDetailBytesMax } from './rpc-limits.ts';
import { errorDetailType } from './service-definitions.ts';

/** The trailer that carries code and facts of a failed call; see proto/waybill/v1/common.proto. */
/** The header in which code and facts of an error of ours travel. */
export const errorTrailerName = 'waybill-error-bin';

/** Longest fact as it travels, in UTF-16 units; no code has more than four facts. */
const factLengthMax = 600;

/** The trailers of a call that failed with this error. `cause` and stack stay here. */
export function toErrorTrailers(error: WaybillError): Metadata {
  const trailers = new Metadata();
  trailers.set(errorTrailerName, errorDetailType().serialize(toErrorDetail(error.details)));
  return trailers;
}

/** Code and facts of an error as they travel inside a message. */
export function toErrorDetail({ code, ...facts }: ErrorDetails): ErrorDetail {
  const texts = Object.entries(facts).map(([name, value]) => [name, cut(String(value))] as const);
  return { code, facts: Object.fromEntries(texts) };
}

/**
 * The error a peer sent, rebuilt from code and facts alone. Undefined when there is none, or when it
 * is too long, of an unknown code, or without a fact of its code.
 */
export function fromErrorTrailers(trailers: Metadata): WaybillError | undefined {
  const bytes = trailers.get(errorTrailerName)[0];
  if (!Buffer.isBuffer(bytes) || bytes.length > errorDetailBytesMax) return undefined;
  const detail = decoded(bytes);
  return detail && fromErrorDetail(detail);
}

/** The same of an error inside a message; its texts are cut, and freed of control characters. */
export function fromErrorDetail({
  code,
  facts: received,
}: ErrorDetail__Output): WaybillError | undefined {
  if (!isErrorCode(code)) return undefined;
  const facts = checkedFacts(code, received);
  // The one cast: errorFactKinds has just shown that these are the facts of this code.
  return facts && new WaybillError({ code, ...facts } as ErrorDetails);
}

function decoded(bytes: Buffer): { code: string; facts: Record<string, string> } | undefined {
  try {
    return errorDetailType().deserialize(bytes);
  } catch {
    return undefined;
  }
}

function isErrorCode(code: string): code is ErrorCode {
  return (errorCodes as string[]).includes(code);
}

function checkedFacts(
  code: ErrorCode,
  received: Record<string, string>,
): Record<string, string | number> | undefined {
  const facts: Record<string, string | number> = {};
  for (const [name, kind] of Object.entries<FactKind>(errorFactKinds[code])) {
    const text = Object.hasOwn(received, name) ? received[name] : undefined;
    if (text === undefined && kind === 'optional text') continue;
    if (text === undefined || (kind === 'number' && !isNumber(text))) return undefined;
    facts[name] = kind === 'number' ? Number(text) : cut(printable(text));
  }
  return facts;
}

function isNumber(text: string): boolean {
  return text.trim() !== '' && Number.isFinite(Number(text));
}

/** Control characters of a peer must reach no terminal and no log. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\ufffd');
}

function cut(text: string): string {
  return text.length <= factLengthMax ? text : `${text.slice(0, factLengthMax - 1)}…`;
}
