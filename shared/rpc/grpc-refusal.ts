/**
 * What gRPC refuses by itself, before a method hears of the call: an unknown method, a message that is too
 * large, another content type. No interceptor sees it, so it is read from what was sent. Writes nothing.
 */
import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { status } from '@grpc/grpc-js';
import type { AuditEvent } from './audit-event.ts';
import { printable } from './call-summary.ts';
import { errorTrailerName } from './error-detail.ts';

const pathCharsMax = 100;

/** Calls the listener when a call is over that gRPC has refused. */
export function onGrpcRefusal(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  listener: (refusal: Pick<AuditEvent, 'method' | 'result' | 'detail'>) => void,
): void {
  stream.once('close', () => {
    const refusal = refusalIn({ ...stream.sentHeaders, ...stream.sentTrailers });
    if (refusal) listener({ method: pathOf(headers), ...refusal });
  });
}

/** Errors of our own have a trailer of their own, and whoever threw them has written them down. */
function refusalIn(sent: OutgoingHttpHeaders): Pick<AuditEvent, 'result' | 'detail'> | undefined {
  if (sent[errorTrailerName] !== undefined) return undefined;
  const httpStatus = Number(sent[':status'] ?? 200);
  if (httpStatus !== 200) return { result: `HTTP ${httpStatus}`, detail: 'refused by gRPC' };
  const code = Number(sent['grpc-status'] ?? status.OK);
  if (code === status.OK) return undefined;
  return { result: status[code] ?? `${code}`, detail: 'refused by gRPC' };
}

/** The method that is called, as a line of the audit trail may have it. */
export function pathOf({ ':path': path = '' }: IncomingHttpHeaders): string {
  return printable(path.slice(0, pathCharsMax));
}
